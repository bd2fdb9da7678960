//! The core group, v1.

pub mod claim_spec;
pub mod configmap;
pub mod pod_spec;
