//! autoscaling/v1 and v2.

pub mod horizontal_pod_autoscaler;
pub mod scale;
