//! What the node and its containers use: Prometheus text and the summary that `kubectl top` is fed from.

use std::fmt::Write as _;

use http::StatusCode;
use jiff::Timestamp;
use rpc::cri::{ContainerStats, ListContainerStatsRequest};
use serde_json::{Value, json};
use tonic::Request;

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

/// `/stats/summary`: nodes and pods with CPU and memory.
pub async fn summary(cx: &Context) -> Answer {
    let stats = match of_containers(cx).await {
        Ok(stats) => stats,
        Err(answer) => return answer,
    };
    let time = |nanos: i64| {
        let at = Timestamp::from_nanosecond(nanos.into()).unwrap_or_default();
        machinery::time::format(at)
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
        json!({"podRef": {"name": name, "namespace": namespace, "uid": uid}, "containers": containers})
    });
    let (cpu, memory) = of_node();
    let now = machinery::time::format(cx.now());
    json(&json!({"node": {"nodeName": cx.config.node_name,
        "cpu": {"time": now, "usageCoreNanoSeconds": (cpu * 1e9) as u64},
        "memory": {"time": now, "workingSetBytes": memory}}, "pods": pods.collect::<Vec<_>>()}))
}
