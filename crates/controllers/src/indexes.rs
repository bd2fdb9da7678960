//! The declared indexes that controllers share. One static each, named after what it answers.

use control::Index;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::{Pod, ReplicationController};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::owner::controller_of;

/// Pods by the uid of their controller; those without one under [`orphans`] of their namespace.
pub static PODS_BY_OWNER: Index<Pod> = Index { name: "pods-by-owner", values: |pod| by_owner(&pod.metadata) };

/// ReplicaSets by the uid of their controller; those without one under [`orphans`] of their namespace.
pub static SETS_BY_OWNER: Index<ReplicaSet> = Index { name: "sets-by-owner", values: |set| by_owner(&set.metadata) };

/// ReplicationControllers by the uid of their controller; those without one under [`orphans`] of their namespace.
pub static CONTROLLERS_BY_OWNER: Index<ReplicationController> =
    Index { name: "controllers-by-owner", values: |controller| by_owner(&controller.metadata) };

/// Pods by the node that they are bound to; unbound ones under the empty name.
pub static PODS_BY_NODE: Index<Pod> = Index {
    name: "pods-by-node",
    values: |pod| vec![pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).unwrap_or_default()],
};

/// The value under which objects of a namespace without a controller are found.
pub fn orphans(namespace: &str) -> String {
    format!("orphan/{namespace}")
}

fn by_owner(meta: &ObjectMeta) -> Vec<String> {
    match controller_of(meta) {
        Some(owner) => vec![owner.uid.clone()],
        None => vec![orphans(meta.namespace.as_deref().unwrap_or_default())],
    }
}
