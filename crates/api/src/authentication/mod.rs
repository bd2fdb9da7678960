//! authentication.k8s.io/v1: who somebody is, and tokens that say so. Nothing of it is stored.

pub mod self_subject_review;
pub mod token_request;
pub mod token_review;

const GROUP: &str = "authentication.k8s.io";
