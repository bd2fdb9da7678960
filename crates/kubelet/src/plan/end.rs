//! The steps of a pod that ends: containers, then sidecars backwards, sandbox, volumes, object.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use super::seen::{Container, Seen, State, Volumes};
use super::step::{Flight, Step, Why};
use super::{Plan, spec};

/// What a sidecar gets at least when the others used the grace period up.
const SIDECAR_GRACE_S_MIN: i64 = 2;

/// Adds the steps of an ending pod. The object is forgotten when all is gone and the last status was `written`.
pub fn end(pod: &Pod, seen: &Seen, now: Timestamp, written: bool, plan: &mut Plan) {
    if seen.any_running() {
        stop_containers(pod, seen, now, plan);
        return;
    }
    let starting = |f: &Flight| matches!(f, Flight::Start(_) | Flight::Sandbox | Flight::Volumes);
    if seen.flying.iter().any(starting) {
        return;
    }
    let ready: Vec<_> = seen.sandboxes.iter().filter(|s| s.ready).collect();
    for sandbox in &ready {
        plan.step(seen, Step::StopSandbox { id: sandbox.id.clone() });
    }
    if !ready.is_empty() {
        return;
    }
    let mounted = seen.volumes != Volumes::Absent || (spec::deleted(pod) || seen.gone) && !seen.torn_down;
    if mounted {
        plan.step(seen, Step::TearDown);
    } else if seen.gone {
        for sandbox in &seen.sandboxes {
            plan.step(seen, Step::RemoveSandbox { id: sandbox.id.clone() });
        }
    } else if spec::deleted(pod) && written {
        plan.step(seen, Step::Forget);
    }
}

fn stop_containers(pod: &Pod, seen: &Seen, now: Timestamp, plan: &mut Plan) {
    let alive = |c: &&Container| matches!(c.state, State::Running | State::Unknown);
    let sidecar =
        |c: &Container| spec::init_containers(pod).iter().position(|i| spec::restartable(i) && i.name == c.name);
    let (sidecars, others): (Vec<_>, Vec<_>) = seen.containers.iter().filter(alive).partition(|c| sidecar(c).is_some());
    if !others.is_empty() {
        others.iter().for_each(|c| stop(c, spec::grace_s(pod), seen, plan));
        return;
    }
    let Some(last) = sidecars.into_iter().max_by_key(|c| sidecar(c)) else { return };
    stop(last, grace_left_s(pod, now), seen, plan);
}

/// What is left of the grace period of a deleted pod.
fn grace_left_s(pod: &Pod, now: Timestamp) -> i64 {
    let grace = spec::grace_s(pod);
    match &pod.metadata.deletion_timestamp {
        Some(until) if grace > 0 => until.0.duration_since(now).as_secs().clamp(SIDECAR_GRACE_S_MIN, grace.max(2)),
        _ => grace,
    }
}

fn stop(c: &Container, grace_s: i64, seen: &Seen, plan: &mut Plan) {
    // A stop on its way is overtaken only by one with a shorter grace period.
    let flying = seen.flying.iter().any(|f| matches!(f, Flight::Stop(id, grace) if *id == c.id && *grace <= grace_s));
    if !flying {
        let message = format!("Stopping container {}", c.name);
        let (id, container) = (c.id.clone(), c.name.clone());
        plan.step(seen, Step::StopContainer { id, container, grace_s, message, why: Why::Deleted });
    }
}
