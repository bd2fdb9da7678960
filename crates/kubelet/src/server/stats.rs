//! What the node and its containers use: Prometheus text and the summary that `kubectl top` is fed from.

use std::fmt::Write as _;

use http::StatusCode;
use jiff::Timestamp;
use rpc::cri::{ContainerStats, ListContainerStatsRequest, ListPodSandboxStatsRequest, PodSandboxStats, UInt64Value};
use serde_json::{Value, json};
use tonic::{Code, Request};

use super::{Answer, json, text};
use crate::drive::context::Context;
use crate::plan::config::labels;

async fn of_containers(cx: &Context) -> Result<Vec<ContainerStats>, Answer> {
    let request = Request::new(ListContainerStatsRequest { filter: None });
    match cx.runtime.service.list_container_stats(request).await {
        Ok(answer) => Ok(answer.into_inner().stats),
        Err(e) => Err(text(StatusCode::INTERNAL_SERVER_ERROR, e.message().to_owned())),
    }
}

/// One container's numbers.
struct Usage {
    namespace: String,
    pod: String,
    uid: String,
    container: String,
    cpu_nanos: u64,
    memory: u64,
    at: i64,
}

fn usage(stats: &ContainerStats) -> Usage {
    let attributes = stats.attributes.clone().unwrap_or_default();
    let label = |key: &str| attributes.labels.get(key).cloned().unwrap_or_default();
    let cpu = stats.cpu.as_ref();
    let memory = stats.memory.as_ref().and_then(|m| m.working_set_bytes.as_ref());
    Usage {
        namespace: label(labels::POD_NAMESPACE),
        pod: label(labels::POD_NAME),
        uid: label(labels::POD_UID),
        container: label(labels::CONTAINER_NAME),
        cpu_nanos: cpu.and_then(|c| c.usage_core_nano_seconds.as_ref()).map_or(0, |v| v.value),
        memory: memory.map_or(0, |v| v.value),
        at: cpu.map_or(0, |c| c.timestamp),
    }
}

/// The node's own use: processor seconds and memory that is not free.
fn of_node() -> (f64, u64) {
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let numbers: Vec<u64> =
        stat.lines().next().unwrap_or_default().split_whitespace().skip(1).filter_map(|n| n.parse().ok()).collect();
    // user, nice, system, irq, softirq, steal; idle and iowait are not use.
    let ticks: u64 = [0, 1, 2, 5, 6, 7].iter().filter_map(|i| numbers.get(*i)).sum();
    let info = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let value = |key: &str| {
        let line = info.lines().find_map(|l| l.strip_prefix(key)).unwrap_or_default();
        line.split_whitespace().next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0) * 1024
    };
    (
        ticks as f64 / rustix::param::clock_ticks_per_second() as f64,
        value("MemTotal:").saturating_sub(value("MemAvailable:")),
    )
}

/// `/metrics/resource`, in the names that metrics collectors know.
pub async fn resource_metrics(cx: &Context) -> Answer {
    let stats = match of_containers(cx).await {
        Ok(stats) => stats,
        Err(answer) => return answer,
    };
    let mut out = String::new();
    let (cpu, memory) = of_node();
    let _ = write!(
        out,
        "# TYPE node_cpu_usage_seconds_total counter\nnode_cpu_usage_seconds_total {cpu}\n\
         # TYPE node_memory_working_set_bytes gauge\nnode_memory_working_set_bytes {memory}\n"
    );
    let all: Vec<Usage> = stats.iter().map(usage).collect();
    let of = |u: &Usage| format!("{{container={:?},namespace={:?},pod={:?}}}", u.container, u.namespace, u.pod);
    out.push_str("# TYPE container_cpu_usage_seconds_total counter\n");
    for u in &all {
        let _ = writeln!(
            out,
            "container_cpu_usage_seconds_total{} {} {}",
            of(u),
            u.cpu_nanos as f64 / 1e9,
            u.at / 1_000_000
        );
    }
    out.push_str("# TYPE container_memory_working_set_bytes gauge\n");
    for u in &all {
        let _ = writeln!(out, "container_memory_working_set_bytes{} {} {}", of(u), u.memory, u.at / 1_000_000);
    }
    text(StatusCode::OK, out)
}

/// `/metrics`: the kubelet about itself.
pub async fn metrics(cx: &Context) -> Answer {
    let pods = cx.pods.snapshot().len();
    let running = of_containers(cx).await.map(|s| s.len()).unwrap_or(0);
    text(
        StatusCode::OK,
        format!(
            "# TYPE kubelet_running_pods gauge\nkubelet_running_pods {pods}\n\
             # TYPE kubelet_running_containers gauge\nkubelet_running_containers{{container_state=\"running\"}} {running}\n"
        ),
    )
}

/// A runtime without pod statistics is one that is asked for containers only.
async fn of_pods(cx: &Context) -> Result<Vec<PodSandboxStats>, Answer> {
    let request = Request::new(ListPodSandboxStatsRequest { filter: None });
    match cx.runtime.service.list_pod_sandbox_stats(request).await {
        Ok(answer) => Ok(answer.into_inner().stats),
        Err(e) if e.code() == Code::Unimplemented => Ok(Vec::new()),
        Err(e) => Err(text(StatusCode::INTERNAL_SERVER_ERROR, e.message().to_owned())),
    }
}

fn time(nanos: i64) -> String {
    machinery::time::format(Timestamp::from_nanosecond(nanos.into()).unwrap_or_default())
}

/// What a pod's own group and link say, added to its entry.
fn add_of_pod(entry: &mut Value, stats: &PodSandboxStats) {
    let Some(linux) = &stats.linux else { return };
    let value = |number: &Option<UInt64Value>| number.as_ref().map_or(0, |number| number.value);
    if let Some(cpu) = &linux.cpu {
        let used = value(&cpu.usage_core_nano_seconds);
        entry["cpu"] = json!({"time": time(cpu.timestamp), "usageCoreNanoSeconds": used});
    }
    if let Some(memory) = &linux.memory {
        let used = value(&memory.working_set_bytes);
        entry["memory"] = json!({"time": time(memory.timestamp), "workingSetBytes": used});
    }
    let network = linux.network.as_ref();
    if let Some((network, link)) = network.and_then(|n| Some((n, n.default_interface.as_ref()?))) {
        let numbers = json!({"name": link.name, "rxBytes": value(&link.rx_bytes), "rxErrors": value(&link.rx_errors),
            "txBytes": value(&link.tx_bytes), "txErrors": value(&link.tx_errors)});
        entry["network"] = numbers.clone();
        entry["network"]["time"] = time(network.timestamp).into();
        entry["network"]["interfaces"] = json!([numbers]);
    }
}

/// `/stats/summary`: nodes and pods with CPU, memory and network.
pub async fn summary(cx: &Context) -> Answer {
    let stats = match of_containers(cx).await {
        Ok(stats) => stats,
        Err(answer) => return answer,
    };
    let of_pods = match of_pods(cx).await {
        Ok(stats) => stats,
        Err(answer) => return answer,
    };
    let numbers = |u: &Usage| {
        json!({"cpu": {"time": time(u.at), "usageCoreNanoSeconds": u.cpu_nanos},
            "memory": {"time": time(u.at), "workingSetBytes": u.memory}})
    };
    let mut pods: std::collections::BTreeMap<(String, String, String), Vec<Value>> = Default::default();
    for u in stats.iter().map(usage) {
        let mut container = numbers(&u);
        container["name"] = u.container.clone().into();
        pods.entry((u.namespace, u.pod, u.uid)).or_default().push(container);
    }
    let pods = pods.into_iter().map(|((namespace, name, uid), containers)| {
        let mut entry = json!({"podRef": {"name": name, "namespace": namespace, "uid": uid}, "containers": containers});
        let is_its = |stats: &&PodSandboxStats| {
            let attributes = stats.attributes.as_ref();
            attributes.and_then(|a| a.metadata.as_ref()).is_some_and(|metadata| metadata.uid == uid)
        };
        if let Some(stats) = of_pods.iter().find(is_its) {
            add_of_pod(&mut entry, stats);
        }
        entry
    });
    let (cpu, memory) = of_node();
    let now = machinery::time::format(cx.now());
    json(&json!({"node": {"nodeName": cx.config.node_name,
        "cpu": {"time": now, "usageCoreNanoSeconds": (cpu * 1e9) as u64},
        "memory": {"time": now, "workingSetBytes": memory}}, "pods": pods.collect::<Vec<_>>()}))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rpc::cri::{LinuxPodSandboxStats, NetworkInterfaceUsage, NetworkUsage};

    #[test]
    fn a_pods_network_is_told() {
        let link = NetworkInterfaceUsage {
            name: "eth0".into(),
            rx_bytes: Some(UInt64Value { value: 7 }),
            ..NetworkInterfaceUsage::default()
        };
        let network = NetworkUsage { timestamp: 0, default_interface: Some(link), interfaces: Vec::new() };
        let linux = LinuxPodSandboxStats { network: Some(network), ..LinuxPodSandboxStats::default() };
        let mut entry = json!({});
        add_of_pod(&mut entry, &PodSandboxStats { attributes: None, linux: Some(linux) });
        let numbers = json!({"name": "eth0", "rxBytes": 7, "rxErrors": 0, "txBytes": 0, "txErrors": 0});
        assert_eq!(entry["network"]["interfaces"], json!([numbers]));
        assert_eq!(
            (&entry["network"]["rxBytes"], &entry["network"]["time"]),
            (&json!(7), &json!("1970-01-01T00:00:00Z"))
        );
    }
}
