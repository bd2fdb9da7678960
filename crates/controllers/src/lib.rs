//! One controller per file (or folder, where one screen after another would not do). Pure: each is a function of
//! what it sees to a plan.
//!
//! To add one: copy the file of the one it is most like, add its line to [`table`], write its test.

mod indexes;
mod owner;
mod pods;
mod status;

pub mod deployment;
pub mod replicaset;

use std::sync::Arc;

use control::Controller;

/// The visible table: one line per controller.
pub fn table() -> Vec<Arc<dyn Controller>> {
    vec![Arc::new(replicaset::ReplicaSets), Arc::new(deployment::Deployments)]
}
