//! Whether a pod may run on this node at all: the checks of the scheduler, made again where it counts.
//!
//! Source: <https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/> and upstream's messages.

use k8s_openapi::api::core::v1::{Node, NodeSelectorRequirement, NodeSelectorTerm, Pod};

use super::qos::{self, Amounts};
use super::seen::Verdict;
use super::spec;

/// Refuses `pod` when it does not fit beside the `others` that run here.
pub fn admit<'a>(pod: &Pod, node: &Node, others: impl IntoIterator<Item = &'a Pod>) -> Option<Verdict> {
    let others: Vec<&Pod> = others.into_iter().collect();
    sysctl_forbidden(pod)
        .or_else(|| resources(pod, node, &others))
        .or_else(|| {
            (!selected(pod, node))
                .then(|| predicate("NodeAffinity", "node(s) didn't match Pod's node affinity/selector"))
        })
        .or_else(|| {
            ports_clash(pod, &others)
                .then(|| predicate("NodePorts", "node(s) didn't have free ports for the requested pod ports"))
        })
        .or_else(|| {
            evicted(pod, node).then(|| predicate("TaintToleration", "node(s) had taints that the pod didn't tolerate"))
        })
}

/// Sysctls that a pod may set because they reach no further than the pod.
///
/// Source: <https://kubernetes.io/docs/tasks/administer-cluster/sysctl-cluster/#safe-and-unsafe-sysctls>.
const SYSCTLS_SAFE: [&str; 12] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_wmem",
];

fn sysctl_forbidden(pod: &Pod) -> Option<Verdict> {
    let context = spec::spec(pod).security_context.as_ref();
    let asked = context.and_then(|c| c.sysctls.as_deref()).unwrap_or_default();
    let host_ipc = spec::spec(pod).host_ipc == Some(true);
    let why = asked.iter().find_map(|s| match s.name.replace('/', ".") {
        name if !SYSCTLS_SAFE.contains(&name.as_str()) => Some(format!("{name:?} not allowlisted")),
        // Without a namespace of the pod's own it would be the host's.
        name if name.starts_with("net.") && spec::host_network(pod) => {
            Some(format!("{name:?} not allowed with host net enabled"))
        }
        name if name.starts_with("kernel.") && host_ipc => Some(format!("{name:?} not allowed with host ipc enabled")),
        _ => None,
    })?;
    Some(Verdict { reason: "SysctlForbidden".into(), message: format!("Pod was rejected: forbidden sysctl: {why}") })
}

fn predicate(name: &str, why: &str) -> Verdict {
    Verdict { reason: name.into(), message: format!("Pod was rejected: Predicate {name} failed: {why}") }
}

fn resources(pod: &Pod, node: &Node, others: &[&Pod]) -> Option<Verdict> {
    let empty = Amounts::new();
    let allocatable = node.status.as_ref().and_then(|s| s.allocatable.as_ref()).unwrap_or(&empty);
    let short = |resource: &str, requested: i64, used: i64, capacity: i64| {
        let message = format!(
            "Pod was rejected: Node didn't have enough resource: {resource}, requested: {requested}, used: {used}, capacity: {capacity}"
        );
        (requested > capacity - used).then(|| Verdict { reason: format!("OutOf{resource}"), message })
    };
    if allocatable.contains_key("pods") {
        let used = i64::try_from(others.len()).unwrap_or(i64::MAX);
        if let Some(verdict) = short("pods", 1, used, qos::whole(Some(allocatable), "pods")) {
            return Some(verdict);
        }
    }
    // Only what the pod asks for is compared; CPU in thousandths, the others in whole units.
    allocatable.keys().filter(|r| *r != "pods").find_map(|resource| {
        let asked = qos::pod_milli(pod, resource, qos::requests);
        let used: i64 = others.iter().map(|p| qos::pod_milli(p, resource, qos::requests)).sum();
        let capacity = qos::milli(Some(allocatable), resource);
        let unit = if resource == "cpu" { 1 } else { 1000 };
        if asked == 0 { None } else { short(resource, asked / unit, used / unit, capacity / unit) }
    })
}

fn label<'a>(node: &'a Node, key: &str) -> Option<&'a str> {
    node.metadata.labels.as_ref()?.get(key).map(String::as_str)
}

/// `nodeSelector` and the required node affinity.
fn selected(pod: &Pod, node: &Node) -> bool {
    let spec = spec::spec(pod);
    let simple = spec.node_selector.iter().flatten().all(|(k, v)| label(node, k) == Some(v));
    let affinity = spec.affinity.as_ref().and_then(|a| a.node_affinity.as_ref());
    let required = affinity.and_then(|a| a.required_during_scheduling_ignored_during_execution.as_ref());
    simple && required.is_none_or(|r| r.node_selector_terms.iter().any(|t| term(t, node)))
}

fn term(term: &NodeSelectorTerm, node: &Node) -> bool {
    let labels = term.match_expressions.as_deref().unwrap_or_default();
    let fields = term.match_fields.as_deref().unwrap_or_default();
    let name = node.metadata.name.as_deref();
    let nothing = labels.is_empty() && fields.is_empty();
    !nothing
        && labels.iter().all(|r| requirement(r, label(node, &r.key)))
        && fields.iter().all(|r| requirement(r, name))
}

fn requirement(r: &NodeSelectorRequirement, value: Option<&str>) -> bool {
    let values = r.values.as_deref().unwrap_or_default();
    let listed = value.is_some_and(|v| values.iter().any(|w| w == v));
    let number = |text: Option<&str>| text.and_then(|t| t.parse::<i64>().ok());
    let compared = number(value).zip(number(values.first().map(String::as_str)));
    match r.operator.as_str() {
        "In" => listed,
        "NotIn" => !listed,
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => compared.is_some_and(|(a, b)| a > b),
        "Lt" => compared.is_some_and(|(a, b)| a < b),
        _ => false,
    }
}

type HostPort<'a> = (&'a str, &'a str, i32);

fn host_ports(pod: &Pod) -> impl Iterator<Item = HostPort<'_>> {
    let sidecars = spec::init_containers(pod).iter().filter(|c| spec::restartable(c));
    let ports = spec::containers(pod).iter().chain(sidecars).flat_map(|c| c.ports.iter().flatten());
    ports.filter_map(|p| {
        let ip = p.host_ip.as_deref().filter(|ip| !ip.is_empty()).unwrap_or("0.0.0.0");
        Some((ip, p.protocol.as_deref().unwrap_or("TCP"), p.host_port.filter(|port| *port > 0)?))
    })
}

fn ports_clash(pod: &Pod, others: &[&Pod]) -> bool {
    let same_ip = |a: &str, b: &str| a == b || a == "0.0.0.0" || b == "0.0.0.0";
    let clash = |a: HostPort, b: HostPort| a.1 == b.1 && a.2 == b.2 && same_ip(a.0, b.0);
    host_ports(pod).any(|a| others.iter().any(|p| host_ports(p).any(|b| clash(a, b))))
}

/// `NoExecute` taints that the pod does not tolerate.
fn evicted(pod: &Pod, node: &Node) -> bool {
    let taints = node.spec.as_ref().and_then(|s| s.taints.as_deref()).unwrap_or_default();
    let tolerations = spec::spec(pod).tolerations.as_deref().unwrap_or_default();
    taints.iter().filter(|t| t.effect == "NoExecute").any(|taint| {
        !tolerations.iter().any(|t| {
            let effect = t.effect.as_deref().unwrap_or_default();
            let key = t.key.as_deref().unwrap_or_default();
            let exists = t.operator.as_deref() == Some("Exists");
            let value = exists || t.value.as_deref().unwrap_or_default() == taint.value.as_deref().unwrap_or_default();
            (effect.is_empty() || effect == taint.effect) && (key == taint.key && value || key.is_empty() && exists)
        })
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn node() -> Node {
        serde_json::from_value(json!({"metadata": {"name": "n", "labels": {"zone": "a"}},
            "status": {"allocatable": {"cpu": "1", "memory": "1Gi", "pods": "2"}}}))
        .unwrap()
    }

    fn pod(spec: serde_json::Value) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "p"}, "spec": spec})).unwrap()
    }

    #[test]
    fn verdicts() {
        let big = pod(json!({"containers": [{"name": "c", "resources": {"requests": {"cpu": "900m"}}}]}));
        assert_eq!(admit(&big, &node(), []), None);
        let verdict = admit(&big, &node(), [&big]).unwrap();
        assert_eq!(verdict.reason, "OutOfcpu");
        assert!(
            verdict
                .message
                .ends_with("Node didn't have enough resource: cpu, requested: 900, used: 900, capacity: 1000")
        );
        let elsewhere = pod(json!({"containers": [], "nodeSelector": {"zone": "b"}}));
        assert_eq!(admit(&elsewhere, &node(), []).unwrap().reason, "NodeAffinity");
        let port = pod(json!({"containers": [{"name": "c", "ports": [{"containerPort": 80, "hostPort": 80}]}]}));
        assert_eq!(admit(&port, &node(), [&port]).unwrap().reason, "NodePorts");
        let sysctl =
            json!({"containers": [], "securityContext": {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}});
        let verdict = admit(&pod(sysctl), &node(), []).unwrap();
        assert_eq!(verdict.message, "Pod was rejected: forbidden sysctl: \"kernel.msgmax\" not allowlisted");
        let of_the_host = |field: &str, name: &str| {
            let sysctls = json!([{"name": name, "value": "1"}]);
            let spec = json!({"containers": [], field: true, "securityContext": {"sysctls": sysctls}});
            admit(&pod(spec), &node(), []).map(|verdict| verdict.message)
        };
        let told = |text: &str| Some(format!("Pod was rejected: forbidden sysctl: {text} enabled"));
        let net = "net/ipv4/tcp_syncookies";
        assert_eq!(of_the_host("hostNetwork", net), told("\"net.ipv4.tcp_syncookies\" not allowed with host net"));
        assert_eq!(of_the_host("hostPID", net), None);
        let shm = "kernel.shm_rmid_forced";
        assert_eq!(of_the_host("hostIPC", shm), told("\"kernel.shm_rmid_forced\" not allowed with host ipc"));
        let small = pod(json!({"containers": []}));
        assert_eq!(admit(&small, &node(), [&small, &small]).unwrap().reason, "OutOfpods");
    }
}
