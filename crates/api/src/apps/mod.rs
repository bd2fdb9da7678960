//! apps/v1.

pub mod deployment;
pub mod replicaset;
mod workload;
