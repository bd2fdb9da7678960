//! The whole status of a pod, and the patch that brings the API to it.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, HostIP, Pod, PodIP, PodStatus};
use serde_json::{Map, Value, json};

use super::conditions::{Facts, conditions};
use super::container_status::{Context, Sort, lost, statuses, time};
use super::phase::{any_started, phase};
use super::seen::{Seen, Verdict};
use super::{qos, spec};

/// The status to report. `seen.latest` gives what is remembered: transition times, last states, restart counts.
pub fn status(
    pod: &Pod,
    seen: &Seen,
    now: Timestamp,
    verdict: Option<&Verdict>,
    ending: bool,
    wake: &mut Option<Timestamp>,
) -> PodStatus {
    let old = &seen.latest;
    if matches!(old.phase.as_deref(), Some("Succeeded" | "Failed")) && seen.containers.is_empty() {
        // It ended before this kubelet began, or never began at all: what was told then stays.
        return old.clone();
    }
    let mut out = PodStatus {
        qos_class: Some(qos::class(pod).into()),
        start_time: old.start_time.clone().or(seen.started.map(time)),
        observed_generation: pod.metadata.generation,
        nominated_node_name: old.nominated_node_name.clone(),
        resize: old.resize.clone(),
        ..PodStatus::default()
    };
    if let Some(v) = verdict.filter(|_| seen.refused) {
        out.phase = Some("Failed".into());
        out.reason = Some(v.reason.clone());
        out.message = Some(v.message.clone());
        out.conditions = old.conditions.clone();
        return out;
    }
    let cx = Context { pod, seen, now, ending };
    let of = |list: &Option<Vec<ContainerStatus>>| list.clone().unwrap_or_default();
    let mut init = statuses(&cx, spec::init_containers(pod), &of(&old.init_container_statuses), Sort::Init, wake);
    let mut regular = statuses(&cx, spec::containers(pod), &of(&old.container_statuses), Sort::Regular, wake);
    let ephemeral = spec::ephemeral_containers(pod);
    let ephemeral = statuses(&cx, &ephemeral, &of(&old.ephemeral_container_statuses), Sort::Ephemeral, wake);
    let over = ending && !seen.any_running() && seen.flying.is_empty();
    if over {
        finish(pod, &mut init, &mut regular);
    }
    set_phase(pod, seen, verdict, (ending, over), &init, &regular, &mut out);
    addresses(pod, seen, &mut out);
    let phase = out.phase.clone().unwrap_or_default();
    let sandbox_ready = seen.sandbox().is_some();
    let facts = Facts { pod, phase: &phase, init: &init, regular: &regular, sandbox_ready };
    out.conditions = Some(conditions(&facts, old.conditions.as_deref().unwrap_or_default(), time(now).0));
    let listed = |list: Vec<ContainerStatus>| Some(list).filter(|l| !l.is_empty());
    out.init_container_statuses = listed(init);
    out.container_statuses = listed(regular);
    out.ephemeral_container_statuses = listed(ephemeral);
    out
}

/// At the end every container that ever had a chance to run shows as terminated.
fn finish(pod: &Pod, init: &mut [ContainerStatus], regular: &mut [ContainerStatus]) {
    let message = "The container could not be located when the pod was terminated";
    let close = |s: &mut ContainerStatus| {
        if s.state.as_ref().is_none_or(|state| state.terminated.is_none()) {
            s.state = Some(lost(message));
            s.ready = false;
            s.started = Some(false);
        }
    };
    let initialized = spec::init_containers(pod).is_empty()
        || any_started(pod, regular)
        || init.iter().all(|s| s.ready || s.started == Some(true));
    if initialized {
        regular.iter_mut().for_each(close);
    }
    let sidecar = |name: &str| spec::init_containers(pod).iter().any(|c| c.name == name && spec::restartable(c));
    let touched = |s: &&mut ContainerStatus| s.container_id.is_some() && (initialized || !sidecar(&s.name));
    init.iter_mut().filter(touched).for_each(close);
}

fn set_phase(
    pod: &Pod,
    seen: &Seen,
    verdict: Option<&Verdict>,
    (ending, over): (bool, bool),
    init: &[ContainerStatus],
    regular: &[ContainerStatus],
    out: &mut PodStatus,
) {
    let old = &seen.latest;
    let was = old.phase.as_deref().unwrap_or("Pending");
    let final_ = |p: &str| matches!(p, "Succeeded" | "Failed");
    let mut phase = phase(pod, init, regular, ending);
    if verdict.is_some() {
        phase = "Failed";
    }
    if over && !final_(phase) && !mirrored_or_unstarted(seen, pod) {
        phase = "Failed";
    }
    if final_(was) {
        phase = if was == "Failed" { "Failed" } else { "Succeeded" };
    }
    // A final phase is not told while something may still run.
    let told = if final_(phase) && !final_(was) && seen.any_running() { was } else { phase };
    out.phase = Some(told.to_owned());
    if let Some(v) = verdict.filter(|_| final_(told)) {
        out.reason = Some(v.reason.clone());
        out.message = Some(v.message.clone());
    } else if told == was {
        out.reason = old.reason.clone();
        out.message = old.message.clone();
    }
}

/// Orphans have no object whose phase could be told.
fn mirrored_or_unstarted(seen: &Seen, pod: &Pod) -> bool {
    seen.gone || spec::mirror(pod)
}

fn addresses(pod: &Pod, seen: &Seen, out: &mut PodStatus) {
    let hosts: Vec<_> = seen.host_ips.iter().map(|ip| HostIP { ip: ip.clone() }).collect();
    out.host_ip = seen.host_ips.first().cloned();
    out.host_ips = Some(hosts).filter(|h| !h.is_empty());
    let ips = match seen.sandboxes.first() {
        _ if spec::host_network(pod) => seen.host_ips.clone(),
        Some(sandbox) if !sandbox.ips.is_empty() => sandbox.ips.clone(),
        // The addresses of a finished pod stay readable.
        _ => seen.latest.pod_ips.iter().flatten().map(|p| p.ip.clone()).collect(),
    };
    out.pod_ip = ips.first().cloned();
    out.pod_ips = Some(ips.into_iter().map(|ip| PodIP { ip }).collect::<Vec<_>>()).filter(|p| !p.is_empty());
}

/// A strategic merge patch of the status subresource that leads from `old` to `new`; it touches only what differs
/// and, of the conditions, only ours, so that concurrent writers of others are not undone.
pub fn patch(uid: &str, old: &PodStatus, new: &PodStatus) -> Value {
    let tree = |s: &PodStatus| serde_json::to_value(s).ok().and_then(|v| v.as_object().cloned()).unwrap_or_default();
    let (old, new) = (tree(old), tree(new));
    let mut status = Map::new();
    for (key, value) in &new {
        if old.get(key) == Some(value) {
            continue;
        }
        let value = match key.as_str() {
            "conditions" => changed_conditions(old.get(key), value),
            "podIPs" | "hostIPs" => replaced(value),
            _ => value.clone(),
        };
        status.insert(key.clone(), value);
    }
    for key in old.keys().filter(|k| !new.contains_key(*k)) {
        status.insert(key.clone(), Value::Null);
    }
    json!({"metadata": {"uid": uid}, "status": status})
}

/// Conditions merge by type: an absent field must be told as null.
fn changed_conditions(old: Option<&Value>, new: &Value) -> Value {
    let old = old.and_then(Value::as_array).cloned().unwrap_or_default();
    let mut out = Vec::new();
    for condition in new.as_array().into_iter().flatten().filter(|c| !old.contains(c)) {
        let mut condition = condition.clone();
        let before = old.iter().find(|o| o["type"] == condition["type"]);
        for key in before.and_then(Value::as_object).into_iter().flat_map(Map::keys) {
            if condition.get(key).is_none() {
                condition[key.as_str()] = Value::Null;
            }
        }
        out.push(condition);
    }
    Value::Array(out)
}

fn replaced(list: &Value) -> Value {
    let mut items = list.as_array().cloned().unwrap_or_default();
    items.push(json!({"$patch": "replace"}));
    Value::Array(items)
}
