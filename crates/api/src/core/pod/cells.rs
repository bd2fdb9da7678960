//! How a pod prints: the one word that says how it is doing, from phase, conditions and container states.

use jiff::Timestamp;
use machinery::{meta, time, tree};
use serde_json::Value;

use crate::column::{self, int, text_or};
use crate::kind::Column;

pub const COLUMNS: &[Column] = &[
    column::NAME,
    column::text("Ready", "The aggregate readiness state of this pod for accepting traffic."),
    column::text("Status", "The aggregate status of the containers in this pod."),
    column::text(
        "Restarts",
        "The number of times the containers in this pod have been restarted and when the last container in this pod has restarted.",
    ),
    column::AGE,
    column::wide("IP", "The address of the pod, when it has one."),
    column::wide("Node", "The node that this pod is assigned to."),
    column::wide("Nominated Node", "The node on which room is being made for this pod."),
    column::wide("Readiness Gates", "Conditions of others that must hold for the pod to be ready."),
];

pub fn cells(pod: &Value, now: Timestamp) -> Vec<Value> {
    let seen = summary(pod);
    let restarts = match seen.last_restart {
        Some(at) if seen.restarts != 0 => format!("{} ({} ago)", seen.restarts, time::age(Some(at), now)),
        _ => seen.restarts.to_string(),
    };
    let ip = tree::items(pod, "status.podIPs").first().map_or("", |ip| tree::str(ip, "ip"));
    vec![
        column::name(pod),
        format!("{}/{}", seen.ready, seen.total).into(),
        seen.reason.into(),
        restarts.into(),
        column::age(pod, now),
        if ip.is_empty() { "<none>" } else { ip }.into(),
        text_or(pod, "spec.nodeName", "<none>").into(),
        text_or(pod, "status.nominatedNodeName", "<none>").into(),
        readiness_gates(pod).into(),
    ]
}

#[derive(Default)]
struct Summary {
    reason: String,
    ready: usize,
    total: usize,
    restarts: i64,
    last_restart: Option<Timestamp>,
}

impl Summary {
    fn count(&mut self, container: &Value) {
        self.restarts += int(container, "restartCount");
        let at = time::from_tree(tree::get(container, "lastState.terminated.finishedAt"));
        self.last_restart = self.last_restart.max(at);
    }
}

fn summary(pod: &Value) -> Summary {
    let mut seen = Summary { total: tree::items(pod, "spec.containers").len(), ..Summary::default() };
    seen.reason = text_or(pod, "status.reason", tree::str(pod, "status.phase")).to_owned();
    let gated = |c: &&Value| c["type"] == "PodScheduled" && c["reason"] == "SchedulingGated";
    if tree::items(pod, "status.conditions").iter().any(|c| gated(&c)) {
        seen.reason = "SchedulingGated".to_owned();
    }
    let sidecars: Vec<_> =
        tree::items(pod, "spec.initContainers").iter().filter(|c| c["restartPolicy"] == "Always").collect();
    seen.total += sidecars.len();
    let is_sidecar = |status: &Value| sidecars.iter().any(|c| c["name"] == status["name"]);
    let mut of_sidecars = Summary::default();
    let initializing = init_containers(pod, &is_sidecar, &mut seen, &mut of_sidecars);
    if !initializing || condition_is_true(pod, "Initialized") {
        // Restarts while initializing no longer matter, but those of containers that go on do.
        (seen.restarts, seen.last_restart) = (of_sidecars.restarts, of_sidecars.last_restart);
        containers(pod, &mut seen);
    }
    if meta::is_deleting(pod) {
        let lost = tree::str(pod, "status.reason") == "NodeLost";
        let ended = matches!(tree::str(pod, "status.phase"), "Failed" | "Succeeded");
        if lost {
            seen.reason = "Unknown".to_owned();
        } else if !ended {
            seen.reason = "Terminating".to_owned();
        }
    }
    seen
}

/// Whether one of them is still to end; it gives the reason.
fn init_containers(
    pod: &Value,
    is_sidecar: &dyn Fn(&Value) -> bool,
    seen: &mut Summary,
    sidecars: &mut Summary,
) -> bool {
    let count = tree::items(pod, "spec.initContainers").len();
    for (i, container) in tree::items(pod, "status.initContainerStatuses").iter().enumerate() {
        seen.count(container);
        if is_sidecar(container) {
            sidecars.count(container);
        }
        let (terminated, waiting) = (&container["state"]["terminated"], &container["state"]["waiting"]);
        if !terminated.is_null() && int(terminated, "exitCode") == 0 {
            continue;
        }
        if is_sidecar(container) && container["started"] == true {
            seen.ready += usize::from(container["ready"] == true);
            continue;
        }
        let why = match tree::str(waiting, "reason") {
            _ if !terminated.is_null() => ended_reason(terminated),
            "" | "PodInitializing" => format!("{i}/{count}"),
            reason => reason.to_owned(),
        };
        seen.reason = format!("Init:{why}");
        return true;
    }
    false
}

fn ended_reason(terminated: &Value) -> String {
    match (tree::str(terminated, "reason"), int(terminated, "signal")) {
        ("", 0) => format!("ExitCode:{}", int(terminated, "exitCode")),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}

/// The first container that waits or has ended gives the reason: they are seen from the last.
fn containers(pod: &Value, seen: &mut Summary) {
    let mut running = false;
    for container in tree::items(pod, "status.containerStatuses").iter().rev() {
        seen.count(container);
        let state = &container["state"];
        if !tree::str(state, "waiting.reason").is_empty() {
            seen.reason = tree::str(state, "waiting.reason").to_owned();
        } else if !state["terminated"].is_null() {
            seen.reason = ended_reason(&state["terminated"]);
        } else if container["ready"] == true && !state["running"].is_null() {
            running = true;
            seen.ready += 1;
        }
    }
    if seen.reason == "Completed" && running {
        seen.reason = if condition_is_true(pod, "Ready") { "Running" } else { "NotReady" }.to_owned();
    }
}

fn condition_is_true(pod: &Value, kind: &str) -> bool {
    tree::items(pod, "status.conditions").iter().any(|c| c["type"] == kind && c["status"] == "True")
}

fn readiness_gates(pod: &Value) -> String {
    let gates = tree::items(pod, "spec.readinessGates");
    let open = gates.iter().filter(|g| condition_is_true(pod, g["conditionType"].as_str().unwrap_or(""))).count();
    if gates.is_empty() { "<none>".to_owned() } else { format!("{open}/{}", gates.len()) }
}
