//! The scheduler's mind: which pod goes to which node, and why not. Pure: events in, decisions out.
//!
//! ```text
//!   pods, nodes ──apply──▶ queue + node table (with an overlay of own unseen bindings) ──decide──▶ bindings, failures
//! ```
//! It never waits for a round trip: a decided binding is assumed at once, and taken back when it is refused.
//! Plugins are one file each in [`plugins`], one line in its tables. The driver is in `runner`.
//! Source: <https://kubernetes.io/docs/concepts/scheduling-eviction/kube-scheduler/>.

mod cycle;
mod node;
mod plugins;
mod pod;
mod queue;
mod resources;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};

use crate::node::Table;
use crate::pod::Wanted;
use crate::queue::Queue;

pub const DEFAULT_NAME: &str = "default-scheduler";

/// What the scheduler hears.
pub enum Event {
    /// A pod was added or changed.
    Pod(Arc<Pod>),
    PodGone {
        uid: String,
    },
    Node(Arc<Node>),
    NodeGone {
        name: String,
    },
    /// The API server refused a binding, or its outcome is not known.
    BindingFailed {
        uid: String,
    },
}

/// A pod's way to its node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    pub namespace: String,
    pub name: String,
    pub uid: String,
    pub node: String,
}

/// A pod that fits nowhere now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub namespace: String,
    pub name: String,
    pub uid: String,
    /// `0/3 nodes are available: …`, for the event and the condition.
    pub message: String,
    /// The condition PodScheduled says this already.
    pub known: bool,
    /// The condition did not say no before.
    pub is_first: bool,
}

/// What to write, in the order decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    Bind(Binding),
    Fail(Failure),
}

/// The state machine.
pub struct Scheduler {
    /// Pods with another `spec.schedulerName` count on their nodes but are not ours to place.
    name: String,
    nodes: Table,
    pods: BTreeMap<String, Held>,
    queue: Queue,
    /// Where the search for feasible nodes starts next, so that all nodes get their turn.
    next_start: usize,
}

/// A pod that is known, and the node that it is on or was decided for.
struct Held {
    wanted: Arc<Wanted>,
    node: Option<String>,
    /// Decided here, not yet seen in the API.
    assumed: bool,
}

impl Scheduler {
    pub fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            nodes: Table::default(),
            pods: BTreeMap::new(),
            queue: Queue::default(),
            next_start: 0,
        }
    }

    /// Takes a fact in.
    pub fn apply(&mut self, event: Event, now: Timestamp) {
        match event {
            Event::Pod(pod) => self.set_pod(&pod, now),
            Event::PodGone { uid } => self.forget_pod(&uid, now),
            Event::Node(node) => {
                if self.nodes.set(&node) {
                    self.queue.retry_all(now);
                }
            }
            Event::NodeGone { name } => self.nodes.remove(&name),
            Event::BindingFailed { uid } => self.take_back(&uid, now),
        }
    }

    /// Decides for at most `limit` pods that are due.
    pub fn decide(&mut self, now: Timestamp, limit: usize) -> Vec<Decision> {
        let mut decisions = Vec::new();
        while decisions.len() < limit
            && let Some(uid) = self.queue.pop(now)
        {
            let Some(held) = self.pods.get(&uid) else { continue };
            let wanted = held.wanted.clone();
            decisions.push(self.decide_one(&uid, &wanted, now));
        }
        decisions
    }

    /// When the next waiting pod is due, if any; nothing is due before without a new event.
    pub fn wake(&self) -> Option<Timestamp> {
        self.queue.next_due()
    }

    fn decide_one(&mut self, uid: &str, wanted: &Arc<Wanted>, now: Timestamp) -> Decision {
        let outcome = cycle::place(wanted, &self.nodes, self.next_start);
        self.next_start = outcome.next_start;
        match outcome.node {
            Ok(node) => {
                self.nodes.add(&node, wanted);
                if let Some(held) = self.pods.get_mut(uid) {
                    held.node = Some(node.clone());
                    held.assumed = true;
                }
                Decision::Bind(Binding {
                    namespace: wanted.namespace.clone(),
                    name: wanted.name.clone(),
                    uid: uid.into(),
                    node,
                })
            }
            Err(message) => {
                self.queue.park(uid, now);
                Decision::Fail(Failure {
                    namespace: wanted.namespace.clone(),
                    name: wanted.name.clone(),
                    uid: uid.into(),
                    known: wanted.unschedulable_message.as_deref() == Some(&message),
                    is_first: wanted.unschedulable_message.is_none(),
                    message,
                })
            }
        }
    }

    fn set_pod(&mut self, pod: &Pod, now: Timestamp) {
        let wanted = Arc::new(Wanted::of(pod));
        if wanted.is_finished {
            let uid = wanted.uid.clone();
            return self.forget_pod(&uid, now);
        }
        let node = wanted.node.clone();
        let before = self.pods.get(&wanted.uid);
        let assumed = before.filter(|held| held.assumed).and_then(|held| held.node.clone());
        let node = match (node, assumed) {
            // Our own binding is under way: the pod as it was before it is no news.
            (None, Some(_)) => return self.replace_wanted(wanted),
            (node, _) => node,
        };
        let is_new = before.is_none();
        let changed = before.is_some_and(|held| held.wanted.asks_other_than(&wanted));
        self.leave_node(&wanted.uid);
        if let Some(node) = &node {
            self.nodes.add(node, &wanted);
            self.queue.remove(&wanted.uid);
        } else if wanted.is_ours(&self.name) && (is_new || changed) {
            self.queue.push(&wanted.uid, wanted.priority, wanted.created, now);
        }
        if !wanted.is_ours(&self.name) {
            self.queue.remove(&wanted.uid);
        }
        self.pods.insert(wanted.uid.clone(), Held { wanted, node, assumed: false });
    }

    fn replace_wanted(&mut self, wanted: Arc<Wanted>) {
        if let Some(held) = self.pods.get_mut(&wanted.uid) {
            let node = held.node.clone();
            if let Some(node) = &node {
                self.nodes.subtract(node, &held.wanted);
                self.nodes.add(node, &wanted);
            }
            held.wanted = wanted;
        }
    }

    /// A pod that leaves a node makes room: those that fitted nowhere are tried again.
    fn forget_pod(&mut self, uid: &str, now: Timestamp) {
        let made_room = self.leave_node(uid);
        self.pods.remove(uid);
        self.queue.remove(uid);
        if made_room {
            self.queue.retry_all(now);
        }
    }

    fn take_back(&mut self, uid: &str, now: Timestamp) {
        if !self.pods.get(uid).is_some_and(|held| held.assumed) {
            return;
        }
        self.leave_node(uid);
        let Some(held) = self.pods.get_mut(uid) else { return };
        held.node = None;
        held.assumed = false;
        self.queue.fail(uid, held.wanted.priority, held.wanted.created, now);
    }

    fn leave_node(&mut self, uid: &str) -> bool {
        let Some(held) = self.pods.get(uid) else { return false };
        let Some(node) = &held.node else { return false };
        self.nodes.subtract(node, &held.wanted);
        true
    }
}
