//! autoscaling/v1 and v2.

pub mod scale;
