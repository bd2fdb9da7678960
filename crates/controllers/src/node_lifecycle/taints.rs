//! Conditions of a node as taints.
//!
//! Source: <https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/#taint-nodes-by-condition>.

use control::Index;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Taint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::condition;

const NO_SCHEDULE: &str = "NoSchedule";
const NO_EXECUTE: &str = "NoExecute";
const NOT_READY: &str = "node.kubernetes.io/not-ready";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";
/// Condition, the status that taints, the taint.
const CONDITIONS: [(&str, &str, &str); 6] = [
    ("Ready", "False", NOT_READY),
    ("Ready", "Unknown", UNREACHABLE),
    ("MemoryPressure", "True", "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", "True", "node.kubernetes.io/disk-pressure"),
    ("NetworkUnavailable", "True", "node.kubernetes.io/network-unavailable"),
    ("PIDPressure", "True", "node.kubernetes.io/pid-pressure"),
];

/// Nodes that are ready under [`READY`]; others by whether they have a NoExecute taint for it.
pub static NODES_BY_STATE: Index<Node> = Index {
    name: "nodes-by-state",
    values: |node| {
        let is_ready = condition(node, "Ready").is_some_and(|ready| ready.status == "True");
        let state = match (is_ready, evicts(node)) {
            (true, _) => READY,
            (false, true) => EVICTING,
            (false, false) => KEEPING,
        };
        vec![state.to_owned()]
    },
};
pub const READY: &str = "ready";
pub const EVICTING: &str = "evicting";
pub const KEEPING: &str = "keeping";

fn evicts(node: &Node) -> bool {
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_ref());
    let of_ready = |taint: &&Taint| taint.key == NOT_READY || taint.key == UNREACHABLE;
    taints.into_iter().flatten().filter(of_ready).any(|taint| taint.effect == NO_EXECUTE)
}

/// The node's taints as they should be; `None` when they are. Taints that say nothing of a condition stay. Pods are
/// driven off (`evict`) only where there is another node for them.
pub fn wanted(node: &Node, evict: bool, now: Timestamp) -> Option<Vec<Taint>> {
    let held = node.spec.as_ref().and_then(|spec| spec.taints.clone()).unwrap_or_default();
    let wanted = signs(node, evict);
    let is_ours = |taint: &Taint| {
        let of_condition = CONDITIONS.iter().any(|(_, _, key)| *key == taint.key) || taint.key == UNSCHEDULABLE;
        let of_ready = taint.key == NOT_READY || taint.key == UNREACHABLE;
        (of_condition && taint.effect == NO_SCHEDULE) || (of_ready && taint.effect == NO_EXECUTE)
    };
    let is_wanted = |taint: &Taint| wanted.iter().any(|(key, effect)| *key == taint.key && *effect == taint.effect);
    let mut new: Vec<Taint> = held.iter().filter(|taint| !is_ours(taint) || is_wanted(taint)).cloned().collect();
    for (key, effect) in wanted {
        if !new.iter().any(|taint| taint.key == key && taint.effect == effect) {
            let time_added = Some(Time(now));
            new.push(Taint { key: key.into(), effect: effect.into(), time_added, value: None });
        }
    }
    (new != held).then_some(new)
}

/// Taint and effect for all that is wrong with the node. Before it ever said how it is, it is not judged.
fn signs(node: &Node, evict: bool) -> Vec<(&'static str, &'static str)> {
    let is = |kind: &str, status: &str| condition(node, kind).is_some_and(|condition| condition.status == status);
    let mut signs = Vec::new();
    for (kind, status, key) in CONDITIONS.iter().filter(|(kind, status, _)| is(kind, status)) {
        signs.push((*key, NO_SCHEDULE));
        if evict && *kind == "Ready" && matches!(*status, "False" | "Unknown") {
            signs.push((*key, NO_EXECUTE));
        }
    }
    // A node that has not said that it is ready keeps the taint that it was registered with.
    if condition(node, "Ready").is_none() && has_taint(node, NOT_READY) {
        signs.push((NOT_READY, NO_SCHEDULE));
    }
    if node.spec.as_ref().and_then(|spec| spec.unschedulable) == Some(true) {
        signs.push((UNSCHEDULABLE, NO_SCHEDULE));
    }
    signs
}

fn has_taint(node: &Node, key: &str) -> bool {
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_ref());
    taints.into_iter().flatten().any(|taint| taint.key == key)
}
