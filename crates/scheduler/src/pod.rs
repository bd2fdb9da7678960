//! What a pod wants of a node, compiled once per version of the pod.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, Toleration};

use crate::plugins::affinity::Affinity;
use crate::resources::{Amounts, List};

/// A port that must be free on the node: protocol, number and the address that it is bound to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostPort {
    pub protocol: String,
    pub port: i32,
    /// `0.0.0.0` means every address.
    pub address: String,
}

/// The pod as scheduling sees it: a small projection.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub uid: String,
    pub namespace: String,
    pub name: String,
    pub scheduler: String,
    pub node: Option<String>,
    pub priority: i32,
    /// It waits for room rather than driving others off.
    pub never_preempts: bool,
    pub created: Timestamp,
    pub is_finished: bool,
    pub is_deleted: bool,
    pub is_gated: bool,
    pub requests: Amounts,
    /// With guesses for containers without requests; what scores look at.
    pub guessed: Amounts,
    pub host_ports: Vec<HostPort>,
    pub tolerations: Vec<Toleration>,
    pub affinity: Affinity,
    /// What the condition PodScheduled says now, when it says no.
    pub unschedulable_message: Option<String>,
}

impl Wanted {
    pub fn of(pod: &Pod) -> Self {
        let empty = PodSpec::default();
        let spec = pod.spec.as_ref().unwrap_or(&empty);
        let status = pod.status.as_ref();
        let meta = &pod.metadata;
        let phase = status.and_then(|s| s.phase.as_deref()).unwrap_or_default();
        let not_scheduled = status.and_then(|s| s.conditions.as_ref()).into_iter().flatten();
        let not_scheduled = not_scheduled.filter(|c| c.type_ == "PodScheduled" && c.status == "False");
        Self {
            uid: meta.uid.clone().unwrap_or_default(),
            namespace: meta.namespace.clone().unwrap_or_default(),
            name: meta.name.clone().unwrap_or_default(),
            scheduler: spec.scheduler_name.clone().unwrap_or_else(|| crate::DEFAULT_NAME.into()),
            node: spec.node_name.clone().filter(|node| !node.is_empty()),
            priority: spec.priority.unwrap_or(0),
            never_preempts: spec.preemption_policy.as_deref() == Some("Never"),
            created: meta.creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |t| t.0),
            is_finished: matches!(phase, "Succeeded" | "Failed"),
            is_deleted: meta.deletion_timestamp.is_some(),
            is_gated: spec.scheduling_gates.as_ref().is_some_and(|gates| !gates.is_empty()),
            requests: total(spec, Amounts::of),
            guessed: total(spec, |list| Amounts::of(list).or_guessed(list)),
            host_ports: host_ports(spec),
            tolerations: spec.tolerations.clone().unwrap_or_default(),
            affinity: Affinity::of(spec),
            unschedulable_message: not_scheduled.filter_map(|c| c.message.clone()).next(),
        }
    }

    /// Ours to place now: not bound, not going away, not held back by a gate.
    pub fn is_ours(&self, scheduler: &str) -> bool {
        self.scheduler == scheduler && !self.is_deleted && !self.is_gated
    }

    /// Whether another version could be placed where this one could not.
    pub fn asks_other_than(&self, newer: &Self) -> bool {
        self.requests != newer.requests
            || self.tolerations != newer.tolerations
            || self.affinity != newer.affinity
            || self.is_gated != newer.is_gated
            || self.is_deleted != newer.is_deleted
    }
}

/// The sum over containers and sidecars, at least what the largest init container needs, plus overhead.
/// Source: <https://kubernetes.io/docs/concepts/workloads/pods/init-containers/#resource-sharing-within-containers>.
fn total(spec: &PodSpec, amounts: impl Fn(Option<&List>) -> Amounts) -> Amounts {
    let requests = |c: &Container| amounts(c.resources.as_ref().and_then(|r| r.requests.as_ref()));
    let mut sum = Amounts::default();
    spec.containers.iter().for_each(|c| sum.add(&requests(c)));
    let mut sidecars = Amounts::default();
    let mut largest_init = Amounts::default();
    for container in spec.init_containers.iter().flatten() {
        let mut needed = requests(container);
        if container.restart_policy.as_deref() == Some("Always") {
            sidecars.add(&needed);
            largest_init.raise_to(&sidecars);
        } else {
            needed.add(&sidecars);
            largest_init.raise_to(&needed);
        }
    }
    sum.add(&sidecars);
    sum.raise_to(&largest_init);
    if let Some(pod_level) = spec.resources.as_ref().and_then(|r| r.requests.as_ref()) {
        let stated = Amounts::of(Some(pod_level));
        sum.cpu = if pod_level.contains_key("cpu") { stated.cpu } else { sum.cpu };
        sum.memory = if pod_level.contains_key("memory") { stated.memory } else { sum.memory };
    }
    if let Some(overhead) = &spec.overhead {
        sum.add(&Amounts::of(Some(overhead)));
    }
    sum
}

fn host_ports(spec: &PodSpec) -> Vec<HostPort> {
    let sidecars = spec.init_containers.iter().flatten().filter(|c| c.restart_policy.as_deref() == Some("Always"));
    let mut found = Vec::new();
    for port in spec.containers.iter().chain(sidecars).flat_map(|c| c.ports.iter().flatten()) {
        let Some(number) = port.host_port.filter(|number| *number > 0) else { continue };
        found.push(HostPort {
            protocol: port.protocol.clone().unwrap_or_else(|| "TCP".into()),
            port: number,
            address: port.host_ip.clone().filter(|ip| !ip.is_empty()).unwrap_or_else(|| "0.0.0.0".into()),
        });
    }
    found
}
