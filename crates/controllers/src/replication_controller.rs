//! ReplicationControllers: keepers of pods whose selector is a map. How they keep them is in [`crate::replicas`].
//!
//! Source: <https://kubernetes.io/docs/concepts/workloads/controllers/replicationcontroller/>.

use control::{Controller, Heard, Index, Plan, View, Watch};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ReplicaSetCondition, ReplicaSetStatus};
use k8s_openapi::api::core::v1::{ReplicationController, ReplicationControllerCondition, ReplicationControllerStatus};
use machinery::key::Key;
use machinery::selector::LabelSelector;
use serde_json::json;

use crate::indexes::CONTROLLERS_BY_OWNER;
use crate::replicas::{self, Keeper, Wish};

pub struct ReplicationControllers;

impl Controller for ReplicationControllers {
    fn name(&self) -> &'static str {
        "replicationcontroller"
    }

    fn account(&self) -> &'static str {
        "replication-controller"
    }

    fn watches(&self) -> Vec<Watch> {
        replicas::watches::<ReplicationController>()
    }

    fn reconcile(&self, key: &Key, view: &View<'_>, heard: &Heard, now: Timestamp) -> Plan {
        replicas::reconcile::<ReplicationController>(key, view, heard, now)
    }
}

impl Keeper for ReplicationController {
    const COUNTS_TERMINATING: bool = false;

    fn by_owner() -> &'static Index<Self> {
        &CONTROLLERS_BY_OWNER
    }

    fn wish(&self) -> Option<Wish<'_>> {
        let spec = self.spec.as_ref()?;
        // An empty map would select everything; the rules of the kind do not let one in.
        let labels = spec.selector.as_ref().filter(|selector| !selector.is_empty());
        let selector = labels.and_then(|labels| LabelSelector::from_map(&json!(labels)).ok());
        let selector = selector.unwrap_or_else(LabelSelector::nothing);
        Some(Wish::new(spec.replicas, spec.min_ready_seconds, selector, spec.template.as_ref()))
    }

    fn status(&self) -> ReplicaSetStatus {
        self.status.clone().map(in_shape_of_a_set).unwrap_or_default()
    }
}

fn in_shape_of_a_set(status: ReplicationControllerStatus) -> ReplicaSetStatus {
    ReplicaSetStatus {
        replicas: status.replicas,
        fully_labeled_replicas: status.fully_labeled_replicas,
        ready_replicas: status.ready_replicas,
        available_replicas: status.available_replicas,
        terminating_replicas: None,
        observed_generation: status.observed_generation,
        conditions: status.conditions.map(|conditions| conditions.into_iter().map(condition).collect()),
    }
}

fn condition(condition: ReplicationControllerCondition) -> ReplicaSetCondition {
    ReplicaSetCondition {
        type_: condition.type_,
        status: condition.status,
        reason: condition.reason,
        message: condition.message,
        last_transition_time: condition.last_transition_time,
    }
}
