//! authorization.k8s.io/v1: who may do what. Nothing of it is stored.

pub mod local_subject_access_review;
mod review;
pub mod self_subject_access_review;
pub mod self_subject_rules_review;
pub mod subject_access_review;

const GROUP: &str = "authorization.k8s.io";
