//! The steps of a pod that should live: sandbox, volumes and images at once, then containers in order.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Container as Spec, Pod};

use super::actions::{Actions, Stop, actions};
use super::backoff::{self, Restart};
use super::seen::{Image, Seen, State, Volumes};
use super::step::{Flight, Step, Why};
use super::{Plan, spec};

/// The containers of one name that are kept: the running one and the one before it.
const CONTAINERS_KEPT: usize = 2;
/// The first delay after a failed image pull; it doubles up to the restart back-off's maximum.
const PULL_BACKOFF_S_MIN: i64 = 10;

/// Adds the steps of a living pod; true when the pod has come to its end instead.
pub fn run(pod: &Pod, seen: &Seen, now: Timestamp, plan: &mut Plan) -> bool {
    let Some(sandbox) = seen.sandbox() else { return without_sandbox(pod, seen, now, plan) };
    let Actions { end, start, stop, .. } = actions(pod, seen, &sandbox.id);
    if end {
        return true;
    }
    prepare(pod, seen, now, &start, plan);
    for stop in &stop {
        plan.step(seen, stop_step(pod, stop));
    }
    start_next(seen, now, &start, &sandbox.id, plan);
    remove_old(seen, plan);
    false
}

fn stop_step(pod: &Pod, stop: &Stop) -> Step {
    let container = spec::find(pod, &stop.name);
    let probe = container.as_ref().and_then(|c| match stop.why {
        Why::Liveness => c.liveness_probe.as_ref(),
        Why::Startup => c.startup_probe.as_ref(),
        _ => None,
    });
    let grace_s = probe.and_then(|p| p.termination_grace_period_seconds).unwrap_or_else(|| spec::grace_s(pod));
    Step::StopContainer {
        id: stop.id.clone(),
        container: stop.name.clone(),
        grace_s,
        message: stop.message.clone(),
        why: stop.why,
    }
}

/// A pod without a ready sandbox: gets one, unless it has nothing left to do.
fn without_sandbox(pod: &Pod, seen: &Seen, now: Timestamp, plan: &mut Plan) -> bool {
    let attempt = seen.sandboxes.first().map_or(0, |s| s.attempt + 1);
    if attempt > 0 && !seen.containers.is_empty() && !spec::restarts_failed(pod) {
        return true;
    }
    let regular = |c: &&Spec| super::actions::restarts(pod, seen.container(&c.name));
    let started = spec::containers(pod).iter().any(|c| seen.container(&c.name).is_some());
    let succeeded = |c: &Spec| seen.container(&c.name).is_some_and(|c| c.succeeded());
    let to_start: Vec<_> = spec::containers(pod)
        .iter()
        .filter(|c| !(spec::restart_policy(pod) == "OnFailure" && succeeded(c)))
        .filter(|c| regular(c) || seen.container(&c.name).is_some_and(|c| c.running()))
        .cloned()
        .collect();
    if started && to_start.is_empty() {
        return true;
    }
    let all: Vec<_> = spec::init_containers(pod).iter().cloned().chain(to_start).collect();
    prepare(pod, seen, now, &all, plan);
    // Containers whose sandbox died are dead or of no use: two of one name must never run at once.
    for c in seen.containers.iter().filter(|c| matches!(c.state, State::Running | State::Unknown)) {
        let message = format!("Stopping container {}", c.name);
        let (id, container) = (c.id.clone(), c.name.clone());
        plan.step(seen, Step::StopContainer { id, container, grace_s: 0, message, why: Why::Unknown });
    }
    if !seen.any_running() {
        plan.step(seen, Step::CreateSandbox { attempt });
    }
    false
}

/// Volumes, and the images of all containers that have not run yet, are prepared beside the sandbox.
fn prepare(pod: &Pod, seen: &Seen, now: Timestamp, start: &[Spec], plan: &mut Plan) {
    if seen.volumes == Volumes::Absent {
        plan.step(seen, Step::PrepareVolumes);
    }
    let first_time = spec::containers(pod).iter().filter(|c| seen.container(&c.name).is_none());
    let missing = first_time.filter(|c| !start.iter().any(|s| s.name == c.name));
    for container in start.iter().chain(missing) {
        // A container between create and start is not one to start again.
        if seen.flies(&Flight::Start(container.name.clone())) {
            continue;
        }
        let attempt = attempt(seen, &container.name);
        let delay_s = match seen.images.get(&container.name) {
            Some(Image::Ready { attempt: ready }) if *ready == attempt => continue,
            Some(Image::Failed { retry, .. }) if !due(Some(*retry), now, plan) => continue,
            Some(Image::Failed { delay_s, .. }) => (delay_s * 2).min(backoff::BACKOFF_S_MAX),
            _ => PULL_BACKOFF_S_MIN,
        };
        // The pull of a restart waits for the back-off, as the start does.
        if matches!(held_back(seen, container, now), Some(Restart::At(..))) {
            continue;
        }
        plan.step(seen, Step::EnsureImage { container: container.name.clone(), attempt, delay_s });
    }
}

/// Starts the first container that can start; one that is on its way holds back those behind it.
fn start_next(seen: &Seen, now: Timestamp, start: &[Spec], sandbox: &str, plan: &mut Plan) {
    // A start in flight holds back what follows even when it already shows as running: its postStart hook may run.
    if seen.volumes != Volumes::Ready || seen.flying.iter().any(|f| matches!(f, Flight::Start(_))) {
        return;
    }
    for container in start {
        let name = &container.name;
        let attempt = attempt(seen, name);
        if seen.flies(&Flight::Image(name.clone())) {
            return;
        }
        if seen.images.get(name) != Some(&Image::Ready { attempt }) {
            continue;
        }
        if !seen.failures.get(name).is_none_or(|f| due(Some(f.retry), now, plan)) {
            continue;
        }
        let backoff = match held_back(seen, container, now) {
            None => None,
            Some(Restart::Now(entry)) => Some(entry),
            Some(Restart::At(when, _)) => {
                plan.wake_at(when);
                continue;
            }
        };
        if stopping(seen, name) {
            continue;
        }
        let container = name.clone();
        plan.step(seen, Step::StartContainer { container, sandbox: sandbox.to_owned(), attempt, backoff });
        return;
    }
    // Those that wait only for their back-off must wake the pod too.
    for container in start {
        if let Some(Restart::At(when, _)) = held_back(seen, container, now) {
            plan.wake_at(when);
        }
    }
}

fn stopping(seen: &Seen, name: &str) -> bool {
    let Some(c) = seen.container(name) else { return false };
    seen.flying.iter().any(|f| matches!(f, Flight::Stop(id, _) if *id == c.id))
}

/// The restart back-off of a container that has ended; `None` when it never ran.
pub fn held_back(seen: &Seen, container: &Spec, now: Timestamp) -> Option<Restart> {
    let last = seen.container(&container.name).filter(|c| c.exited())?;
    let finished = last.finished.unwrap_or(last.created);
    Some(backoff::restart(seen.backoffs.get(&container.name), &spec::hash(container), finished, now))
}

/// The restart count of the container's next instance.
pub fn attempt(seen: &Seen, name: &str) -> u32 {
    if let Some(c) = seen.container(name) {
        return c.restarts + 1;
    }
    let latest = &seen.latest;
    let mut reported = latest.container_statuses.iter().chain(&latest.init_container_statuses).flatten();
    let known = reported.rfind(|s| s.name == name && s.container_id.is_some());
    known.map_or(0, |s| s.restart_count.unsigned_abs() + 1)
}

fn due(retry: Option<Timestamp>, now: Timestamp, plan: &mut Plan) -> bool {
    match retry {
        Some(retry) if now < retry => {
            plan.wake_at(retry);
            false
        }
        _ => true,
    }
}

/// Dead containers beyond the last ones, and old sandboxes that hold none any more.
fn remove_old(seen: &Seen, plan: &mut Plan) {
    let mut names: Vec<&str> = seen.containers.iter().map(|c| c.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        for c in seen.containers.iter().filter(|c| c.name == name).skip(CONTAINERS_KEPT) {
            if c.state != State::Running {
                plan.step(seen, Step::RemoveContainer { id: c.id.clone(), container: c.name.clone() });
            }
        }
    }
    for sandbox in seen.sandboxes.iter().skip(1) {
        if !seen.containers.iter().any(|c| c.sandbox == sandbox.id) {
            plan.step(seen, Step::RemoveSandbox { id: sandbox.id.clone() });
        }
    }
}

/// The time at which a failed thing may be tried again.
pub fn retry_at(now: Timestamp, delay_s: i64) -> Timestamp {
    now + SignedDuration::from_secs(delay_s)
}
