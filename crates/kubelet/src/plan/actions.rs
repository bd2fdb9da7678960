//! Which containers a living pod should start and stop: init containers in order, sidecars, then the others.
//!
//! Source: <https://kubernetes.io/docs/concepts/workloads/pods/init-containers/> and `…/sidecar-containers/>.
//! It does not know about back-off, images or volumes: see `run`.

use k8s_openapi::api::core::v1::{Container as Spec, Pod};

use super::seen::{Container, Probes, Seen, State};
use super::spec;
use super::step::Why;

/// A container to stop, by id, and the words of the event.
#[derive(Clone, Debug, PartialEq)]
pub struct Stop {
    pub id: String,
    pub name: String,
    pub message: String,
    pub why: Why,
}

#[derive(Debug, Default, PartialEq)]
pub struct Actions {
    /// The pod has come to its end: nothing is to be kept running or started.
    pub end: bool,
    pub initialized: bool,
    pub start: Vec<Spec>,
    pub stop: Vec<Stop>,
}

/// What to do in the ready sandbox `sandbox`.
pub fn actions(pod: &Pod, seen: &Seen, sandbox: &str) -> Actions {
    let mut out = Actions::default();
    let never_ran = |c: &Spec| seen.container(&c.name).is_none();
    out.start.extend(spec::ephemeral_containers(pod).into_iter().filter(never_ran));
    init(pod, seen, sandbox, &mut out);
    if out.end || !out.initialized {
        return out;
    }
    let mut kept = 0;
    let mut regular = Vec::new();
    for container in spec::containers(pod) {
        match seen.container(&container.name) {
            Some(c) if c.running() => match complaint(container, c, seen) {
                None => kept += 1,
                Some((message, why)) => {
                    let restarted = why == Why::Changed || spec::restarts_failed(pod);
                    let tail = if restarted { ", will be restarted" } else { "" };
                    kept += usize::from(restarted);
                    out.stop.push(Stop { id: c.id.clone(), name: c.name.clone(), message: message + tail, why });
                }
            },
            other => {
                if restarts(pod, other) {
                    regular.push(container.clone());
                }
                out.stop.extend(other.filter(|c| c.state == State::Unknown).map(unknown));
            }
        }
    }
    if kept == 0 && regular.is_empty() {
        // A pod whose work is done is not kept alive by its sidecars.
        return Actions { end: true, initialized: true, ..Actions::default() };
    }
    out.start.extend(regular);
    out
}

/// Whether a regular container in this state is to be started.
pub fn restarts(pod: &Pod, container: Option<&Container>) -> bool {
    match container {
        None => true,
        Some(c) => match c.state {
            State::Running => false,
            State::Created | State::Unknown => true,
            State::Exited => spec::restarts_ended(pod, c.exit_code),
        },
    }
}

fn unknown(c: &Container) -> Stop {
    let message = "Container is in \"unknown\" state, try killing it before restart".to_owned();
    Stop { id: c.id.clone(), name: c.name.clone(), message, why: Why::Unknown }
}

/// What is wrong with a running container.
fn complaint(spec: &Spec, c: &Container, seen: &Seen) -> Option<(String, Why)> {
    let probes = seen.probes.get(&c.id).copied().unwrap_or_default();
    let name = &spec.name;
    if c.hash != spec::hash(spec) {
        return Some((format!("Container {name} definition changed"), Why::Changed));
    }
    failed_probe(probes).map(|(probe, why)| (format!("Container {name} failed {probe} probe"), why))
}

fn failed_probe(probes: Probes) -> Option<(&'static str, Why)> {
    match (probes.liveness, probes.startup) {
        (Some(false), _) => Some(("liveness", Why::Liveness)),
        (_, Some(false)) => Some(("startup", Why::Startup)),
        _ => None,
    }
}

/// Walks the init containers; sets `initialized` when the regular ones may start, `end` when one failed for good.
fn init(pod: &Pod, seen: &Seen, sandbox: &str, out: &mut Actions) {
    let all = spec::init_containers(pod);
    let here = |name: &str| seen.container(name).filter(|c| c.sandbox == sandbox);
    let regular = spec::containers(pod).iter().any(|c| here(&c.name).is_some());
    // What comes after the last one that was ever started here has not been reached yet.
    let reached = all.iter().rposition(|c| here(&c.name).is_some());
    for (i, container) in all.iter().enumerate() {
        let passed = regular || reached.is_some_and(|r| i < r);
        let go_on = match here(&container.name) {
            _ if passed && !spec::restartable(container) => true,
            None => {
                out.start.push(container.clone());
                passed
            }
            Some(c) if spec::restartable(container) => sidecar(container, c, seen, out) || passed,
            Some(c) => match c.state {
                State::Created if seen.busy(&c.name) => false,
                State::Running => false,
                State::Exited if c.exit_code == 0 => true,
                _ if !spec::restarts_failed(pod) => {
                    out.end = true;
                    false
                }
                _ => {
                    out.start.push(container.clone());
                    out.stop.extend((c.state == State::Unknown).then(|| unknown(c)));
                    false
                }
            },
        };
        if !go_on {
            return;
        }
    }
    out.initialized = true;
}

/// Whether what follows this sidecar may start.
fn sidecar(container: &Spec, c: &Container, seen: &Seen, out: &mut Actions) -> bool {
    if c.state != State::Running {
        out.start.push(container.clone());
        out.stop.extend((c.state == State::Unknown).then(|| unknown(c)));
        return false;
    }
    let probes = seen.probes.get(&c.id).copied().unwrap_or_default();
    if let Some((probe, why)) = failed_probe(probes) {
        let message = format!("Init container {} failed {probe} probe", c.name);
        out.stop.push(Stop { id: c.id.clone(), name: c.name.clone(), message, why });
    }
    container.startup_probe.is_none() || probes.startup == Some(true)
}
