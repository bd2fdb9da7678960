//! What a pod's task hears.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;

use crate::plan::probe::Kind;

#[derive(Clone)]
pub enum Event {
    /// The object changed.
    Pod(Arc<Pod>),
    /// The object is gone from the API.
    Gone,
    /// The runtime says that something of the pod changed, or that it may have missed telling.
    Runtime,
    /// The network can take sandboxes now.
    Network,
    /// An object that the pod refers to changed, or its tokens are due.
    Refs,
    /// A probe of the container with this id has a verdict.
    Probe { id: String, kind: Kind, success: bool },
}
