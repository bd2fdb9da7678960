//! rbac.authorization.k8s.io/v1: rules in roles, and who has which role.

pub mod cluster_role;
pub mod cluster_role_binding;
pub mod role;
pub mod role_binding;
mod rules;
mod subjects;

const GROUP: &str = "rbac.authorization.k8s.io";
