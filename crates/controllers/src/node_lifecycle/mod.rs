//! Node health: a node whose lease is not renewed becomes Unknown, conditions become taints, and the pods of a
//! node that is not ready are not ready.
//!
//! Evicting pods for taints is [`eviction`]'s. Source:
//! <https://kubernetes.io/docs/concepts/architecture/nodes/#node-controller>.

pub mod eviction;
mod taints;

use std::sync::Arc;

use control::{Controller, Event, Heard, Plan, Target, View, Watch, Write};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, NodeCondition, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use machinery::key::Key;
use serde_json::json;

use crate::indexes::PODS_BY_NODE;
use crate::pods;
use taints::NODES_BY_STATE;

/// Without a sign of life for this long a node is Unknown.
const GRACE: SignedDuration = SignedDuration::from_secs(50);
/// The same for a node that never posted a status.
const STARTUP_GRACE: SignedDuration = SignedDuration::from_secs(60);
/// The conditions that a kubelet posts.
const POSTED: [&str; 4] = ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"];
/// Where leases of nodes are.
const LEASES: &str = "kube-node-lease";

pub struct NodeLifecycle;

impl Controller for NodeLifecycle {
    fn name(&self) -> &'static str {
        "node-lifecycle"
    }

    fn account(&self) -> &'static str {
        "node-controller"
    }

    fn watches(&self) -> Vec<Watch> {
        vec![
            Watch::of::<Node>().index(&NODES_BY_STATE).own::<Node>().tells(came_or_went),
            Watch::of::<Lease>()
                .keys(|lease: &Lease, _| {
                    let meta = &lease.metadata;
                    let of_node = meta.namespace.as_deref() == Some(LEASES);
                    of_node.then(|| Key::new("", meta.name.as_deref().unwrap_or_default())).into_iter().collect()
                })
                .timed(),
            Watch::of::<Pod>().index(&PODS_BY_NODE),
        ]
    }

    fn reconcile(&self, key: &Key, view: &View<'_>, heard: &Heard, now: Timestamp) -> Plan {
        let Some(node) = view.get::<Node>("", &key.name) else { return Plan::idle() };
        let mut plan = Plan::idle();
        let late_at = late_at(&node, heard, now);
        let unknown = (late_at <= now).then(|| unknown(&node, now)).flatten();
        match unknown {
            Some(conditions) => {
                let name = node.metadata.name.as_deref().unwrap_or_default();
                let tree = json!({ "status": { "conditions": conditions } });
                let message = format!("Node {name} status is now: NodeNotReady");
                let write = Write::patch(Target::exactly(&*node).subresource("status"), tree);
                plan.write(write.tell(Event::normal(&*node, "NodeNotReady", message)));
                // Taints and pods follow from the conditions once they are written.
                return plan;
            }
            None if late_at > now => plan.wake_at(late_at),
            None => {}
        }
        taint(&mut plan, &node, view, now);
        plan.burst(unready(&node, view, now));
        plan
    }
}

/// A node comes when it is first seen, and goes.
fn came_or_went(old: Option<&Node>, new: Option<&Node>) -> Option<Event> {
    let (node, reason, what) = match (old, new) {
        (None, Some(node)) => (node, "RegisteredNode", "Registered Node NAME in Controller"),
        (Some(node), None) => (node, "RemovingNode", "Removing Node NAME from Controller"),
        _ => return None,
    };
    let name = node.metadata.name.as_deref().unwrap_or_default();
    let mut event = Event::normal(node, reason, format!("Node {name} event: {}", what.replace("NAME", name)));
    // As upstream: the name and the uid are all that is said of the node.
    event.about = json!({"kind": "Node", "apiVersion": "v1", "name": name, "uid": node.metadata.uid});
    Some(event)
}

/// Brings the node's taints up to date, and those of others that depend on it: while no node at all is ready, it is
/// not the nodes that are to blame, and no pod would be better off elsewhere.
fn taint(plan: &mut Plan, node: &Node, view: &View<'_>, now: Timestamp) {
    let is_ready = condition(node, "Ready").is_some_and(|ready| ready.status == "True");
    let evict = is_ready || !view.by(&NODES_BY_STATE, taints::READY).is_empty();
    let others = view.by(&NODES_BY_STATE, if evict { taints::KEEPING } else { taints::EVICTING });
    let others = others.iter().map(|other| &**other).filter(|other| other.metadata.uid != node.metadata.uid);
    for node in std::iter::once(node).chain(others) {
        if let Some(taints) = taints::wanted(node, evict, now) {
            plan.write(Write::patch(Target::exactly(node), json!({ "spec": { "taints": taints } })));
        }
    }
}

pub fn condition<'a>(node: &'a Node, kind: &str) -> Option<&'a NodeCondition> {
    node.status.as_ref()?.conditions.iter().flatten().find(|condition| condition.type_ == kind)
}

/// When the node is late, unless it gives a sign of life before: it renews its lease, or posts a status.
fn late_at(node: &Node, heard: &Heard, now: Timestamp) -> Timestamp {
    let created = node.metadata.creation_timestamp.as_ref().map_or(now, |time| time.0);
    let after = |at: Timestamp, grace| at.saturating_add(grace).unwrap_or(Timestamp::MAX);
    let Some(ready) = condition(node, "Ready") else {
        let seen = heard.changed::<Lease>().map_or(created, |seen| seen.max(created));
        return after(seen, STARTUP_GRACE);
    };
    let posted = ready.last_heartbeat_time.as_ref().map(|time| time.0);
    let seen = heard.changed::<Lease>().into_iter().chain(posted).max().unwrap_or(created);
    after(seen, GRACE)
}

/// All conditions with those of the kubelet Unknown; `None` when they are already.
fn unknown(node: &Node, now: Timestamp) -> Option<Vec<NodeCondition>> {
    let mut conditions = node.status.as_ref().and_then(|status| status.conditions.clone()).unwrap_or_default();
    let mut changed = false;
    for kind in POSTED {
        match conditions.iter_mut().find(|condition| condition.type_ == kind) {
            None => {
                changed = true;
                conditions.push(NodeCondition {
                    type_: kind.into(),
                    status: "Unknown".into(),
                    reason: Some("NodeStatusNeverUpdated".into()),
                    message: Some("Kubelet never posted node status.".into()),
                    last_heartbeat_time: node.metadata.creation_timestamp.clone(),
                    last_transition_time: Some(Time(now)),
                });
            }
            Some(condition) if condition.status != "Unknown" => {
                changed = true;
                condition.status = "Unknown".into();
                condition.reason = Some("NodeStatusUnknown".into());
                condition.message = Some("Kubelet stopped posting node status.".into());
                condition.last_transition_time = Some(Time(now));
            }
            Some(_) => {}
        }
    }
    changed.then_some(conditions)
}

/// Pods that were ready before their node ceased to be. Once said, it is the kubelet's turn again: one that
/// calls a pod ready after that is not overruled.
fn unready(node: &Node, view: &View<'_>, now: Timestamp) -> Vec<Write> {
    let Some(ready) = condition(node, "Ready").filter(|ready| ready.status != "True") else { return Vec::new() };
    let Some(since) = ready.last_transition_time.as_ref().map(|time| time.0) else { return Vec::new() };
    let name = node.metadata.name.as_deref().unwrap_or_default();
    let were_ready = |pod: &Arc<Pod>| pods::ready_since(pod).is_some_and(|at| at <= since);
    let pods = view.by(&PODS_BY_NODE, name).into_iter().filter(were_ready);
    pods.map(|pod| {
        let mut conditions = pod.status.as_ref().and_then(|status| status.conditions.clone()).unwrap_or_default();
        for condition in conditions.iter_mut().filter(|condition| condition.type_ == "Ready") {
            condition.status = "False".into();
            condition.last_transition_time = Some(Time(now));
        }
        let tree = json!({ "status": { "conditions": conditions } });
        let event = Event::warning(&*pod, "NodeNotReady", "Node is not ready");
        Write::patch(Target::exactly(&*pod).subresource("status"), tree).tell(event)
    })
    .collect()
}
