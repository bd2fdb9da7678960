//! Which pods go first when there are too many.
//!
//! Source: <https://kubernetes.io/docs/concepts/workloads/controllers/replicaset/#scaling-a-replicaset> and
//! upstream's `ActivePodsWithRanks`: unbound, pending, not ready, cheap, crowded, young, restarting pods first.

use std::cmp::{Ordering, Reverse};
use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use crate::pods;

/// What it costs to delete a pod: `-2147483648` to `2147483647`.
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// The first `count` of `active` to be deleted; `related` tells how crowded a node is.
pub fn first_to_go(active: &[Arc<Pod>], related: &[Arc<Pod>], count: usize, now: Timestamp) -> Vec<Arc<Pod>> {
    let mut crowd: BTreeMap<&str, usize> = BTreeMap::new();
    for pod in related.iter().filter(|pod| pods::is_active(pod)) {
        *crowd.entry(pods::node_name(pod)).or_default() += 1;
    }
    let mut ranked: Vec<_> = active.iter().map(|pod| (Rank::of(pod, &crowd), pod)).collect();
    ranked.sort_by(|(a, _), (b, _)| a.compare(b, now));
    ranked.into_iter().take(count).map(|(_, pod)| pod.clone()).collect()
}

struct Rank<'a> {
    bound: bool,
    phase: u8,
    ready: bool,
    cost: i32,
    neighbours: Reverse<usize>,
    ready_since: Option<Timestamp>,
    restarts: Reverse<(i32, i32)>,
    created: Option<Timestamp>,
    uid: &'a str,
}

impl<'a> Rank<'a> {
    fn of(pod: &'a Pod, crowd: &BTreeMap<&str, usize>) -> Self {
        let node = pods::node_name(pod);
        Self {
            bound: !node.is_empty(),
            phase: match pods::phase(pod) {
                "Pending" => 0,
                "Unknown" => 1,
                "Running" => 2,
                _ => 0,
            },
            ready: pods::is_ready(pod),
            cost: cost(pod),
            neighbours: Reverse(crowd.get(node).copied().unwrap_or(0)),
            ready_since: pods::ready_since(pod),
            restarts: Reverse(restarts(pod)),
            created: pod.metadata.creation_timestamp.as_ref().map(|time| time.0),
            uid: pod.metadata.uid.as_deref().unwrap_or_default(),
        }
    }

    /// Less goes first.
    fn compare(&self, other: &Self, now: Timestamp) -> Ordering {
        let ready = || match self.ready && other.ready {
            true => younger(self.ready_since, other.ready_since, now),
            false => Ordering::Equal,
        };
        (self.bound, self.phase, self.ready, self.cost, self.neighbours)
            .cmp(&(other.bound, other.phase, other.ready, other.cost, other.neighbours))
            .then_with(ready)
            .then_with(|| self.restarts.cmp(&other.restarts))
            .then_with(|| younger(self.created, other.created, now))
            .then_with(|| self.uid.cmp(other.uid))
    }
}

/// Younger goes first, by the logarithm of the age: pods of about one age go in the order of their uids, so that
/// it is not always the newest that goes. An unknown time counts as young.
fn younger(a: Option<Timestamp>, b: Option<Timestamp>, now: Timestamp) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) => magnitude(a, now).cmp(&magnitude(b, now)),
        (a, b) => a.is_some().cmp(&b.is_some()),
    }
}

/// The power of two of an age in nanoseconds; -1 for none.
fn magnitude(since: Timestamp, now: Timestamp) -> i32 {
    let age = now.duration_since(since).as_nanos();
    if age > 0 { i32::try_from(age.ilog2()).unwrap_or(i32::MAX) } else { -1 }
}

/// An unreadable cost counts as none.
fn cost(pod: &Pod) -> i32 {
    let cost = pod.metadata.annotations.as_ref().and_then(|annotations| annotations.get(DELETION_COST));
    let plain = |cost: &&String| !cost.starts_with('+') && (cost.as_str() == "0" || !cost.starts_with('0'));
    cost.filter(plain).and_then(|cost| cost.parse().ok()).unwrap_or(0)
}

/// The most restarts of a container, and of a restartable init container.
fn restarts(pod: &Pod) -> (i32, i32) {
    let Some(status) = &pod.status else { return (0, 0) };
    let most = |statuses: &Option<Vec<_>>| {
        let statuses: &[k8s_openapi::api::core::v1::ContainerStatus] = statuses.as_deref().unwrap_or_default();
        statuses.iter().map(|container| container.restart_count).max().unwrap_or(0)
    };
    (most(&status.container_statuses), most(&status.init_container_statuses))
}
