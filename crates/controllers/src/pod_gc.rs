//! Pods that nobody else will end: on nodes that are gone, deleted before they were bound, on nodes that are out of
//! service, and terminated ones beyond a number.
//!
//! Keys are pods, and one of its own for the number. Source: upstream's `pkg/controller/podgc`.

use std::sync::Arc;

use control::{Act, Ask, Controller, Heard, Index, Live, Plan, Target, View, Watch, Write};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Node, Pod};
use machinery::key::Key;
use serde_json::json;

use crate::indexes::PODS_BY_NODE;
use crate::node_lifecycle::condition;
use crate::pods::{self, disrupt};

/// Terminated pods that are kept.
const TERMINATED_MAX: usize = 12_500;
/// A node must be gone for this long before its pods are.
const QUARANTINE: SignedDuration = SignedDuration::from_secs(40);
const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";

/// Terminated pods, all under the empty value.
static TERMINATED: Index<Pod> = Index {
    name: "terminated-pods",
    values: |pod| if pods::is_terminal(pod) { vec![String::new()] } else { Vec::new() },
};

pub struct PodGc;

/// The key under which terminated pods are counted; no pod has it.
fn count_key() -> Key {
    Key::default()
}

impl Controller for PodGc {
    fn name(&self) -> &'static str {
        "pod-garbage-collector"
    }

    fn account(&self) -> &'static str {
        "pod-garbage-collector"
    }

    fn watches(&self) -> Vec<Watch> {
        let node_matters = |old: Option<&Node>, new: Option<&Node>| match (old, new) {
            (Some(old), Some(new)) => is_out_of_service(old) != is_out_of_service(new),
            (None, Some(new)) => is_out_of_service(new),
            _ => true,
        };
        let pod_matters = |old: Option<&Pod>, new: Option<&Pod>| match (old, new) {
            (Some(old), Some(new)) => {
                pods::is_active(old) != pods::is_active(new) || pods::node_name(old) != pods::node_name(new)
            }
            _ => new.is_some(),
        };
        vec![
            Watch::of::<Pod>().index(&PODS_BY_NODE).index(&TERMINATED).keys(keys_of_pod).when::<Pod>(pod_matters),
            Watch::of::<Node>().keys(pods_of_node).when::<Node>(node_matters).timed(),
        ]
    }

    fn reconcile(&self, key: &Key, view: &View<'_>, heard: &Heard, now: Timestamp) -> Plan {
        if *key == count_key() {
            return surplus(view.by(&TERMINATED, ""));
        }
        let Some(pod) = view.get::<Pod>(&key.namespace, &key.name) else { return Plan::idle() };
        let node = pods::node_name(&pod);
        let deleting = pod.metadata.deletion_timestamp.is_some();
        if node.is_empty() {
            return if deleting { end(&pod, None, now) } else { Plan::idle() };
        }
        match view.get::<Node>("", node) {
            Some(node) if deleting && is_out_of_service(&node) => end(&pod, None, now),
            Some(_) => Plan::idle(),
            None => orphaned(&pod, node, heard, now),
        }
    }
}

fn keys_of_pod(pod: &Pod, _: &View<'_>) -> Vec<Key> {
    let own = control::watch::own_key(pod);
    if pods::is_terminal(pod) { vec![own, count_key()] } else { vec![own] }
}

fn pods_of_node(node: &Node, view: &View<'_>) -> Vec<Key> {
    let pods = view.by::<Pod>(&PODS_BY_NODE, node.metadata.name.as_deref().unwrap_or_default());
    pods.iter().map(|pod| control::watch::own_key(&**pod)).collect()
}

fn is_out_of_service(node: &Node) -> bool {
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_ref());
    let tainted = taints.into_iter().flatten().any(|taint| taint.key == OUT_OF_SERVICE);
    tainted && condition(node, "Ready").is_none_or(|ready| ready.status != "True")
}

/// A pod whose node is gone, as far as the view knows: after a while the store is asked.
fn orphaned(pod: &Pod, node: &str, heard: &Heard, now: Timestamp) -> Plan {
    let made = pod.metadata.creation_timestamp.as_ref().map(|time| time.0);
    let seen = heard.changed::<Node>().max(made).unwrap_or(now);
    let at = seen.saturating_add(QUARANTINE).unwrap_or(now);
    if at > now {
        return Plan { wake: Some(at), ..Plan::idle() };
    }
    match heard.live::<Node>("", node) {
        Live::Unasked => Plan::ask(vec![Ask::get::<Node>("", node)]),
        Live::Present(_) => Plan::idle(),
        Live::Absent => end(pod, Some("PodGC: node no longer exists"), now),
    }
}

/// Says that the pod failed, unless it is over, and deletes it without grace.
fn end(pod: &Pod, because: Option<&str>, now: Timestamp) -> Plan {
    let mut plan = Plan::idle();
    if let Some(because) = because.filter(|_| !pods::is_terminal(pod)) {
        plan.steps.extend(disrupt(pod, "DeletionByPodGC", because, now));
    }
    if !pods::is_terminal(pod) {
        let target = Target::of(pod).subresource("status");
        plan.write(Write::patch(target, json!({ "status": { "phase": "Failed" } })));
    }
    plan.write(at_once(pod));
    plan
}

fn at_once(pod: &Pod) -> Write {
    let act = Act::Delete { at: Target::of(pod), propagation: None, grace_seconds: Some(0) };
    Write { act, done: None, refused: None }
}

/// Deletes the oldest of too many terminated pods.
fn surplus(mut terminated: Vec<Arc<Pod>>) -> Plan {
    let mut plan = Plan::idle();
    let count = terminated.len().saturating_sub(TERMINATED_MAX);
    if count > 0 {
        terminated.sort_by_key(|pod| pod.metadata.creation_timestamp.as_ref().map(|time| time.0));
        plan.burst(terminated.iter().take(count).map(|pod| at_once(pod)).collect());
    }
    plan
}
