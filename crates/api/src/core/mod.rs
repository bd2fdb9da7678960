//! The core group, v1.

pub mod claim_spec;
pub mod configmap;
pub mod endpoints;
pub mod event;
pub mod namespace;
pub mod node;
pub mod pod;
pub mod pod_spec;
pub mod secret;
pub mod service;
pub mod service_account;
