//! A Deployment's status: counts over its sets, and the conditions Available, Progressing and ReplicaFailure.

use control::Plan;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::{Deployment, DeploymentCondition, DeploymentSpec, DeploymentStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::draft::{Draft, Set};
use crate::status::{self, count};

pub fn has_deadline(spec: &DeploymentSpec) -> bool {
    spec.progress_deadline_seconds.is_some_and(|seconds| seconds != i32::MAX)
}

pub fn condition(kind: &str, state: &str, reason: &str, message: &str, now: Timestamp) -> DeploymentCondition {
    DeploymentCondition {
        type_: kind.into(),
        status: state.into(),
        reason: Some(reason.into()),
        message: Some(message.into()),
        last_update_time: Some(Time(now)),
        last_transition_time: Some(Time(now)),
    }
}

pub fn find<'a>(status: &'a DeploymentStatus, kind: &str) -> Option<&'a DeploymentCondition> {
    status.conditions.iter().flatten().find(|condition| condition.type_ == kind)
}

/// Puts a condition in. One with the same status and reason stays as it is; one with the same status keeps its
/// time of transition.
pub fn set_condition(status: &mut DeploymentStatus, mut condition: DeploymentCondition) {
    if let Some(held) = find(status, &condition.type_).filter(|held| held.status == condition.status) {
        if held.reason == condition.reason {
            return;
        }
        condition.last_transition_time = held.last_transition_time.clone();
    }
    remove_condition(status, &condition.type_);
    status.conditions.get_or_insert_default().push(condition);
}

fn remove_condition(status: &mut DeploymentStatus, kind: &str) {
    if let Some(conditions) = &mut status.conditions {
        conditions.retain(|condition| condition.type_ != kind);
    }
    status.conditions = status.conditions.take().filter(|conditions| !conditions.is_empty());
}

/// All replicas are of the new template and available, and no older ones are left.
pub fn is_complete(draft: &Draft<'_>, status: Option<&DeploymentStatus>) -> bool {
    let wished = draft.wished();
    status.is_some_and(|status| {
        status.updated_replicas.unwrap_or(0) == wished
            && status.replicas.unwrap_or(0) == wished
            && status.available_replicas.unwrap_or(0) == wished
            && status.observed_generation >= draft.deployment.metadata.generation
    })
}

/// The status while nothing is rolled out: paused, resized, on its way out.
pub fn plain(plan: &mut Plan, draft: &Draft<'_>, now: Timestamp) {
    let new = counted(draft, now);
    write(plan, draft.deployment, &new);
}

/// The status of a roll-out, with its progress.
pub fn of_rollout(plan: &mut Plan, draft: &Draft<'_>, now: Timestamp) {
    let mut new = counted(draft, now);
    if has_deadline(draft.spec) {
        progress(draft, &mut new, now)
    } else {
        remove_condition(&mut new, "Progressing")
    }
    match failure(draft) {
        Some(failure) => set_condition(&mut new, failure),
        None => remove_condition(&mut new, "ReplicaFailure"),
    }
    write(plan, draft.deployment, &new);
    if let Some(at) = deadline(draft, &new) {
        plan.wake_at(at.max(now));
    }
}

fn write(plan: &mut Plan, deployment: &Deployment, new: &DeploymentStatus) {
    let old = deployment.status.clone().unwrap_or_default();
    if let Some(write) = status::patch(deployment, &old, new) {
        plan.write(write);
    }
}

fn counted(draft: &Draft<'_>, now: Timestamp) -> DeploymentStatus {
    let sum = |of: fn(&Set) -> i32| draft.sets().map(of).sum::<i32>();
    let available = sum(Set::available);
    let terminating = sum(|set| set.status.terminating_replicas.unwrap_or(0));
    let mut status = DeploymentStatus {
        observed_generation: draft.deployment.metadata.generation,
        replicas: count(sum(|set| set.status.replicas)),
        updated_replicas: count(draft.new.as_ref().map_or(0, |set| set.status.replicas)),
        ready_replicas: count(sum(|set| set.status.ready_replicas.unwrap_or(0))),
        available_replicas: count(available),
        unavailable_replicas: count((draft.total() - available).max(0)),
        terminating_replicas: Some(terminating),
        collision_count: draft.status.collision_count,
        conditions: draft.status.conditions.clone(),
    };
    let enough = available >= draft.wished() - draft.max_unavailable();
    let condition = match enough {
        true => condition("Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability.", now),
        false => condition(
            "Available",
            "False",
            "MinimumReplicasUnavailable",
            "Deployment does not have minimum availability.",
            now,
        ),
    };
    set_condition(&mut status, condition);
    status
}

/// Complete, moving, or stuck for too long. A finished roll-out is not judged again.
fn progress(draft: &Draft<'_>, new: &mut DeploymentStatus, now: Timestamp) {
    let held = find(&draft.status, "Progressing").cloned();
    let finished = held.as_ref().is_some_and(|c| c.reason.as_deref() == Some("NewReplicaSetAvailable"));
    if finished && new.replicas == new.updated_replicas {
        return;
    }
    let subject = match &draft.new {
        Some(set) => format!("ReplicaSet {:?}", set.name),
        None => format!("Deployment {:?}", draft.deployment.metadata.name.as_deref().unwrap_or_default()),
    };
    if is_complete(draft, Some(new)) {
        let message = format!("{subject} has successfully progressed.");
        set_condition(new, condition("Progressing", "True", "NewReplicaSetAvailable", &message, now));
    } else if has_moved(draft.deployment.status.as_ref(), new) {
        let message = format!("{subject} is progressing.");
        let mut moving = condition("Progressing", "True", "ReplicaSetUpdated", &message, now);
        // Every sign of progress starts the deadline anew, though neither status nor reason may change.
        if let Some(held) = held.filter(|held| held.status == "True") {
            moving.last_transition_time = held.last_transition_time;
        }
        remove_condition(new, "Progressing");
        set_condition(new, moving);
    } else if is_late(draft, new, now) {
        let message = format!("{subject} has timed out progressing.");
        set_condition(new, condition("Progressing", "False", "ProgressDeadlineExceeded", &message, now));
    }
}

fn has_moved(old: Option<&DeploymentStatus>, new: &DeploymentStatus) -> bool {
    let default = DeploymentStatus::default();
    let old = old.unwrap_or(&default);
    let number = |count: Option<i32>| count.unwrap_or(0);
    let outdated = |status: &DeploymentStatus| number(status.replicas) - number(status.updated_replicas);
    number(new.updated_replicas) > number(old.updated_replicas)
        || outdated(new) < outdated(old)
        || number(new.ready_replicas) > number(old.ready_replicas)
        || number(new.available_replicas) > number(old.available_replicas)
}

/// When the deadline passes that runs for the Progressing condition.
fn due(draft: &Draft<'_>, condition: &DeploymentCondition) -> Option<Timestamp> {
    let seconds = draft.spec.progress_deadline_seconds?;
    let from = condition.last_update_time.as_ref()?.0;
    from.saturating_add(SignedDuration::from_secs(seconds.into())).ok()
}

fn is_late(draft: &Draft<'_>, new: &DeploymentStatus, now: Timestamp) -> bool {
    let Some(held) = find(new, "Progressing") else { return false };
    match held.reason.as_deref() {
        Some("NewReplicaSetAvailable") => false,
        Some("ProgressDeadlineExceeded") => true,
        _ => due(draft, held).is_some_and(|due| due < now),
    }
}

/// When to look whether the roll-out is late: a second after its deadline, because times are kept in seconds.
fn deadline(draft: &Draft<'_>, new: &DeploymentStatus) -> Option<Timestamp> {
    if !has_deadline(draft.spec) || is_complete(draft, Some(new)) {
        return None;
    }
    let held = find(new, "Progressing")?;
    let settled = matches!(held.reason.as_deref(), Some("ProgressDeadlineExceeded" | "NewReplicaSetAvailable"));
    let due = due(draft, held).filter(|_| !settled)?;
    due.saturating_add(SignedDuration::from_secs(1)).ok()
}

/// The failure of a set as the Deployment's own, the new set's first.
fn failure(draft: &Draft<'_>) -> Option<DeploymentCondition> {
    let sets = draft.new.iter().chain(&draft.old);
    let mut failures = sets.flat_map(|set| set.status.conditions.iter().flatten());
    let failure = failures.find(|condition| condition.type_ == "ReplicaFailure")?;
    Some(DeploymentCondition {
        type_: failure.type_.clone(),
        status: failure.status.clone(),
        reason: failure.reason.clone(),
        message: failure.message.clone(),
        last_update_time: failure.last_transition_time.clone(),
        last_transition_time: failure.last_transition_time.clone(),
    })
}
