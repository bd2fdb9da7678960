//! ReplicaSets: keepers of pods with a full selector. How they keep them is in [`crate::replicas`].
//!
//! Source: <https://kubernetes.io/docs/concepts/workloads/controllers/replicaset/>.

use control::{Controller, Heard, Index, Plan, View, Watch};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetStatus};
use machinery::key::Key;

use crate::indexes::SETS_BY_OWNER;
use crate::owner;
use crate::replicas::{self, Keeper, Wish};

pub struct ReplicaSets;

impl Controller for ReplicaSets {
    fn name(&self) -> &'static str {
        "replicaset"
    }

    fn account(&self) -> &'static str {
        "replicaset-controller"
    }

    fn watches(&self) -> Vec<Watch> {
        replicas::watches::<ReplicaSet>()
    }

    fn reconcile(&self, key: &Key, view: &View<'_>, heard: &Heard, now: Timestamp) -> Plan {
        replicas::reconcile::<ReplicaSet>(key, view, heard, now)
    }
}

impl Keeper for ReplicaSet {
    const COUNTS_TERMINATING: bool = true;

    fn by_owner() -> &'static Index<Self> {
        &SETS_BY_OWNER
    }

    fn wish(&self) -> Option<Wish<'_>> {
        let spec = self.spec.as_ref()?;
        let selector = owner::selector(&spec.selector);
        Some(Wish::new(spec.replicas, spec.min_ready_seconds, selector, spec.template.as_ref()))
    }

    fn status(&self) -> ReplicaSetStatus {
        self.status.clone().unwrap_or_default()
    }
}
