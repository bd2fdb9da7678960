//! The nodes, flat and indexed: what each has, and what the pods on it ask for.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Node, Taint};
use machinery::quantity;

use crate::pod::{HostPort, Wanted};
use crate::resources::Amounts;

/// A node as scheduling sees it.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub taints: Vec<Taint>,
    pub is_unschedulable: bool,
    pub allocatable: Amounts,
    pub pods_max: i64,
    /// What stands in the API, apart from the pods on it.
    pub is_known: bool,
    pub pods: i64,
    pub requested: Amounts,
    pub guessed: Amounts,
    pub ports: Vec<HostPort>,
    /// How many pods of each priority.
    pub priorities: BTreeMap<i32, usize>,
}

impl Seen {
    /// Whether a pod of this priority comes before one that is here.
    pub fn has_below(&self, priority: i32) -> bool {
        self.priorities.keys().next().is_some_and(|lowest| *lowest < priority)
    }
}

/// All nodes. Slots stay where they are; a slot whose node is gone stays while pods are on it.
#[derive(Default)]
pub struct Table {
    slots: Vec<Seen>,
    by_name: BTreeMap<String, usize>,
}

impl Table {
    /// The nodes that pods can go to.
    pub fn known(&self) -> impl Iterator<Item = &Seen> {
        self.slots.iter().filter(|seen| seen.is_known)
    }

    pub fn slots(&self) -> &[Seen] {
        &self.slots
    }

    /// Takes a node's version in; whether a pod may fit now that did not before.
    pub fn set(&mut self, node: &Node) -> bool {
        let name = node.metadata.name.clone().unwrap_or_default();
        let seen = self.slot(&name);
        let before = (seen.is_known, seen.labels.clone(), seen.taints.clone(), seen.is_unschedulable);
        let amounts = (seen.allocatable.clone(), seen.pods_max);
        seen.is_known = true;
        seen.labels = node.metadata.labels.clone().unwrap_or_default();
        let spec = node.spec.as_ref();
        seen.taints = spec.and_then(|s| s.taints.clone()).unwrap_or_default();
        seen.is_unschedulable = spec.and_then(|s| s.unschedulable).unwrap_or(false);
        let allocatable = node.status.as_ref().and_then(|s| s.allocatable.as_ref());
        seen.allocatable = Amounts::of(allocatable);
        let pods = allocatable.and_then(|list| list.get("pods"));
        seen.pods_max = pods.and_then(|q| quantity::Quantity::parse(&q.0).ok()).map_or(0, |q| q.value());
        before != (true, seen.labels.clone(), seen.taints.clone(), seen.is_unschedulable)
            || amounts != (seen.allocatable.clone(), seen.pods_max)
    }

    pub fn remove(&mut self, name: &str) {
        if let Some(at) = self.by_name.get(name) {
            self.slots[*at].is_known = false;
        }
    }

    /// Counts a pod on a node; nodes that are not known yet are counted on too.
    pub fn add(&mut self, node: &str, wanted: &Wanted) {
        let seen = self.slot(node);
        seen.pods += 1;
        seen.requested.add(&wanted.requests);
        seen.guessed.add(&wanted.guessed);
        seen.ports.extend(wanted.host_ports.iter().cloned());
        *seen.priorities.entry(wanted.priority).or_default() += 1;
    }

    pub fn subtract(&mut self, node: &str, wanted: &Wanted) {
        let seen = self.slot(node);
        seen.pods -= 1;
        seen.requested.subtract(&wanted.requests);
        seen.guessed.subtract(&wanted.guessed);
        if let Some(count) = seen.priorities.get_mut(&wanted.priority) {
            *count -= 1;
            if *count == 0 {
                seen.priorities.remove(&wanted.priority);
            }
        }
        for port in &wanted.host_ports {
            if let Some(at) = seen.ports.iter().position(|held| held == port) {
                seen.ports.swap_remove(at);
            }
        }
    }

    fn slot(&mut self, name: &str) -> &mut Seen {
        let at = match self.by_name.get(name) {
            Some(at) => *at,
            None => {
                self.slots.push(Seen { name: name.into(), ..Seen::default() });
                self.by_name.insert(name.into(), self.slots.len() - 1);
                self.slots.len() - 1
            }
        };
        &mut self.slots[at]
    }
}
