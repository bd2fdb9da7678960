//! apps/v1.

pub mod deployment;
mod workload;
