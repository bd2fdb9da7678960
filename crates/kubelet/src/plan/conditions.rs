//! The pod conditions that the kubelet owns, with upstream's reasons and messages.
//!
//! Source: <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-conditions>.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::phase::any_started;
use super::spec;

const OWNED: [&str; 5] = ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"];

/// Whether this condition is the kubelet's to write.
pub fn owned(type_: &str) -> bool {
    OWNED.contains(&type_)
}

/// What the conditions follow from.
pub struct Facts<'a> {
    pub pod: &'a Pod,
    pub phase: &'a str,
    pub init: &'a [ContainerStatus],
    pub regular: &'a [ContainerStatus],
    pub sandbox_ready: bool,
}

#[derive(Debug, PartialEq)]
struct Verdict {
    status: bool,
    reason: &'static str,
    message: String,
}

const TRUE: Verdict = Verdict { status: true, reason: "", message: String::new() };

fn no(reason: &'static str, message: String) -> Verdict {
    Verdict { status: false, reason, message }
}

/// All conditions of the pod: others' as they are, ours as the facts say; times move only when a status flips.
pub fn conditions(facts: &Facts, old: &[PodCondition], now: Timestamp) -> Vec<PodCondition> {
    let mut out: Vec<_> = old.iter().filter(|c| !owned(&c.type_)).cloned().collect();
    let ready = ready(facts, &out);
    let ours = [
        ("PodReadyToStartContainers", Verdict { status: facts.sandbox_ready, reason: "", message: String::new() }),
        ("Initialized", initialized(facts)),
        ("Ready", ready),
        ("ContainersReady", containers_ready(facts)),
        ("PodScheduled", TRUE),
    ];
    let generation = facts.pod.metadata.generation;
    out.extend(ours.into_iter().map(|(type_, verdict)| condition(type_, verdict, generation, old, now)));
    out
}

fn condition(
    type_: &str,
    verdict: Verdict,
    generation: Option<i64>,
    old: &[PodCondition],
    now: Timestamp,
) -> PodCondition {
    let status = if verdict.status { "True" } else { "False" };
    let before = old.iter().find(|c| c.type_ == type_ && c.status == status);
    let since = before.and_then(|c| c.last_transition_time.clone()).unwrap_or(Time(now));
    PodCondition {
        type_: type_.into(),
        status: status.into(),
        reason: Some(verdict.reason.to_owned()).filter(|r| !r.is_empty()),
        message: Some(verdict.message).filter(|m| !m.is_empty()),
        last_transition_time: Some(since),
        last_probe_time: None,
        observed_generation: generation,
    }
}

/// Names as Go prints a slice of strings.
fn listed(names: &[&str]) -> String {
    format!("[{}]", names.join(" "))
}

fn containers_ready(facts: &Facts) -> Verdict {
    let sidecars = spec::init_containers(facts.pod).iter().filter(|c| spec::restartable(c));
    let (mut unknown, mut unready) = (Vec::new(), Vec::new());
    for container in sidecars.chain(spec::containers(facts.pod)) {
        let name = container.name.as_str();
        match facts.init.iter().chain(facts.regular).find(|s| s.name == name) {
            None => unknown.push(name),
            Some(s) if !s.ready => unready.push(name),
            Some(_) => {}
        }
    }
    match facts.phase {
        "Succeeded" if unknown.is_empty() => return no("PodCompleted", String::new()),
        "Failed" => return no("PodFailed", String::new()),
        _ => {}
    }
    let message = messages(&[("unknown", &unknown), ("unready", &unready)]);
    if message.is_empty() { TRUE } else { no("ContainersNotReady", message) }
}

fn messages(of: &[(&str, &[&str])]) -> String {
    let parts = of.iter().filter(|(_, names)| !names.is_empty());
    let parts: Vec<_> =
        parts.map(|(what, names)| format!("containers with {what} status: {}", listed(names))).collect();
    parts.join(", ")
}

fn ready(facts: &Facts, others: &[PodCondition]) -> Verdict {
    let containers = containers_ready(facts);
    if !containers.status {
        return containers;
    }
    let gates = spec::spec(facts.pod).readiness_gates.iter().flatten();
    let problems: Vec<_> = gates
        .filter_map(|gate| {
            let gate = &gate.condition_type;
            match others.iter().find(|c| c.type_ == *gate) {
                None => Some(format!("corresponding condition of pod readiness gate {gate:?} does not exist.")),
                Some(c) if c.status == "True" => None,
                Some(c) => {
                    let is = &c.status;
                    Some(format!("the status of pod readiness gate {gate:?} is not \"True\", but {is}"))
                }
            }
        })
        .collect();
    if problems.is_empty() { TRUE } else { no("ReadinessGatesNotReady", problems.join(", ")) }
}

fn initialized(facts: &Facts) -> Verdict {
    let (mut unknown, mut incomplete) = (Vec::new(), Vec::new());
    for container in spec::init_containers(facts.pod) {
        let name = container.name.as_str();
        match facts.init.iter().find(|s| s.name == name) {
            None => unknown.push(name),
            Some(s) if spec::restartable(container) && s.started == Some(true) => {}
            Some(s) if !spec::restartable(container) && s.ready => {}
            Some(_) => incomplete.push(name),
        }
    }
    if facts.phase == "Succeeded" && unknown.is_empty() {
        return Verdict { status: true, reason: "PodCompleted", message: String::new() };
    }
    if any_started(facts.pod, facts.regular) {
        return TRUE;
    }
    let message = messages(&[("unknown", &unknown), ("incomplete", &incomplete)]);
    if message.is_empty() { TRUE } else { no("ContainersNotInitialized", message) }
}
