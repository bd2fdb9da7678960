//! ReplicaSets: as many active pods as wished for.
//!
//! ```text
//!   claim (adopt, release) ─▶ too few: create in bursts │ too many: delete by rank ─▶ status
//! ```
//!
//! Source: <https://kubernetes.io/docs/concepts/workloads/controllers/replicaset/>.

pub mod rank;

use std::sync::Arc;

use control::{Act, Controller, Event, Heard, Plan, Target, View, Watch, Write};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetCondition, ReplicaSetSpec, ReplicaSetStatus};
use k8s_openapi::api::core::v1::{Pod, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use machinery::key::Key;
use serde_json::{Value, json};

use crate::indexes::{PODS_BY_OWNER, SETS_BY_OWNER, orphans};
use crate::owner::{self, claim, controller_of, controller_reference};
use crate::{pods, status};

/// Pods created or deleted in one plan.
const BURST_REPLICAS: usize = 500;
const FAILURE: &str = "ReplicaFailure";

pub struct ReplicaSets;

impl Controller for ReplicaSets {
    fn name(&self) -> &'static str {
        "replicaset"
    }

    fn account(&self) -> &'static str {
        "replicaset-controller"
    }

    fn watches(&self) -> Vec<Watch> {
        vec![
            Watch::of::<ReplicaSet>().index(&SETS_BY_OWNER).own::<ReplicaSet>(),
            Watch::of::<Pod>().index(&PODS_BY_OWNER).keys(keys_of_pod),
        ]
    }

    fn reconcile(&self, key: &Key, view: &View<'_>, heard: &Heard, now: Timestamp) -> Plan {
        let Some(set) = view.get::<ReplicaSet>(&key.namespace, &key.name) else { return Plan::idle() };
        let Some(spec) = &set.spec else { return Plan::idle() };
        let uid = set.metadata.uid.as_deref().unwrap_or_default();
        let selector = owner::selector(&spec.selector);
        let (active, inactive): (Vec<_>, Vec<_>) =
            view.by(&PODS_BY_OWNER, uid).into_iter().partition(|pod| pods::is_active(pod));
        let strays = view.by(&PODS_BY_OWNER, &orphans(&key.namespace));
        let strays = strays.into_iter().filter(|pod| pods::is_active(pod)).collect();
        let claim = match claim(&*set, &selector, active, strays, heard) {
            Ok(claim) => claim,
            Err(ask) => return Plan::ask(vec![ask]),
        };
        let terminating = inactive.iter().filter(|pod| pods::is_terminating(pod)).count();
        let mut plan = Plan::idle();
        if heard.refused.is_none() {
            plan.burst(claim.writes);
            if set.metadata.deletion_timestamp.is_none() {
                plan.burst(manage(&set, spec, &claim.claimed, view, now));
            }
        }
        let old = set.status.clone().unwrap_or_default();
        let new = summarize(&set, spec, &old, &claim.claimed, terminating, heard, now);
        if let Some(write) = status::patch(&*set, &old, &new) {
            plan.write(write);
        }
        plan.wake = next_available(spec, &claim.claimed, now);
        plan
    }
}

/// The owner of a pod; for an orphan whoever may want it.
fn keys_of_pod(pod: &Pod, view: &View<'_>) -> Vec<Key> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    match controller_of(&pod.metadata) {
        Some(owner) if owner.kind == "ReplicaSet" => vec![Key::new(namespace, &owner.name)],
        Some(_) => Vec::new(),
        None => {
            let sets = view.in_namespace::<ReplicaSet>(namespace);
            let wants = |set: &Arc<ReplicaSet>| {
                let spec = set.spec.as_ref()?;
                let selected = owner::selects(&owner::selector(&spec.selector), &pod.metadata);
                selected.then(|| Key::new(namespace, set.metadata.name.as_deref().unwrap_or_default()))
            };
            sets.iter().filter_map(wants).collect()
        }
    }
}

fn wished(spec: &ReplicaSetSpec) -> usize {
    usize::try_from(spec.replicas.unwrap_or(1)).unwrap_or(0)
}

/// Creates what is missing or deletes what is too much.
fn manage(set: &ReplicaSet, spec: &ReplicaSetSpec, active: &[Arc<Pod>], view: &View<'_>, now: Timestamp) -> Vec<Write> {
    let wished = wished(spec);
    if active.len() < wished {
        let missing = (wished - active.len()).min(BURST_REPLICAS);
        let write = Write::create::<Pod>(pod_tree(set, spec.template.as_ref()))
            .tell(Event::normal(set, "SuccessfulCreate", "Created pod: ").with_name())
            .tell_refusal(Event::warning(set, "FailedCreate", "Error creating: ").with_error());
        return vec![write; missing];
    }
    let surplus = (active.len() - wished).min(BURST_REPLICAS);
    if surplus == 0 {
        return Vec::new();
    }
    let doomed = rank::first_to_go(active, &related(set, view), surplus, now);
    doomed.iter().map(|pod| delete(set, pod)).collect()
}

fn delete(set: &ReplicaSet, pod: &Pod) -> Write {
    Write::delete(Target::of(pod))
        .tell(Event::normal(set, "SuccessfulDelete", "Deleted pod: ").with_name())
        .tell_refusal(Event::warning(set, "FailedDelete", "Error deleting: ").with_error())
}

/// The pods of all sets with the same controller (of all revisions of a Deployment), this one's included.
fn related(set: &ReplicaSet, view: &View<'_>) -> Vec<Arc<Pod>> {
    let siblings = match controller_of(&set.metadata) {
        Some(owner) => view.by(&SETS_BY_OWNER, &owner.uid),
        None => vec![Arc::new(set.clone())],
    };
    let uids = siblings.iter().filter_map(|sibling| sibling.metadata.uid.as_deref());
    uids.flat_map(|uid| view.by(&PODS_BY_OWNER, uid)).collect()
}

/// A pod of the template, named by the server.
fn pod_tree(set: &ReplicaSet, template: Option<&PodTemplateSpec>) -> Value {
    let meta = template.and_then(|template| template.metadata.clone()).unwrap_or_default();
    json!({
        "metadata": {
            "generateName": format!("{}-", set.metadata.name.as_deref().unwrap_or_default()),
            "namespace": set.metadata.namespace,
            "labels": meta.labels,
            "annotations": meta.annotations,
            "finalizers": meta.finalizers,
            "ownerReferences": [controller_reference(set)],
        },
        "spec": template.map(|template| &template.spec),
    })
}

fn summarize(
    set: &ReplicaSet,
    spec: &ReplicaSetSpec,
    old: &ReplicaSetStatus,
    active: &[Arc<Pod>],
    terminating: usize,
    heard: &Heard,
    now: Timestamp,
) -> ReplicaSetStatus {
    let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    let min_ready = spec.min_ready_seconds.unwrap_or(0);
    let template = spec.template.as_ref().and_then(|template| template.metadata.as_ref());
    let labeled = active.iter().filter(|pod| has_labels(&pod.metadata, template)).count();
    let ready = active.iter().filter(|pod| pods::is_ready(pod)).count();
    let available = |pod: &&Arc<Pod>| pods::available_at(pod, min_ready).is_some_and(|at| at <= now);
    let available = active.iter().filter(available).count();
    ReplicaSetStatus {
        replicas: number(active.len()),
        fully_labeled_replicas: status::count(number(labeled)),
        ready_replicas: status::count(number(ready)),
        available_replicas: status::count(number(available)),
        terminating_replicas: Some(number(terminating)),
        observed_generation: set.metadata.generation,
        conditions: conditions(old, active.len(), wished(spec), heard, now),
    }
}

fn has_labels(meta: &ObjectMeta, template: Option<&ObjectMeta>) -> bool {
    let wanted = template.and_then(|template| template.labels.as_ref());
    wanted.into_iter().flatten().all(|(key, value)| meta.labels.as_ref().and_then(|l| l.get(key)) == Some(value))
}

/// `ReplicaFailure` comes with a refused create or delete of a pod and goes with a turn without one.
fn conditions(
    old: &ReplicaSetStatus,
    active: usize,
    wished: usize,
    heard: &Heard,
    now: Timestamp,
) -> Option<Vec<ReplicaSetCondition>> {
    let mut conditions = old.conditions.clone().unwrap_or_default();
    let failing = conditions.iter().any(|condition| condition.type_ == FAILURE);
    let refused = heard.refused.as_ref().filter(|(write, _)| !matches!(write.act, Act::Patch { .. }));
    match refused {
        Some((_, refusal)) if !failing => conditions.push(ReplicaSetCondition {
            type_: FAILURE.into(),
            status: "True".into(),
            reason: Some(if active < wished { "FailedCreate" } else { "FailedDelete" }.into()),
            message: Some(refusal.message.clone()),
            last_transition_time: Some(Time(now)),
        }),
        None if heard.refused.is_none() => conditions.retain(|condition| condition.type_ != FAILURE),
        _ => {}
    }
    Some(conditions).filter(|conditions| !conditions.is_empty())
}

/// When the next ready pod becomes available.
fn next_available(spec: &ReplicaSetSpec, active: &[Arc<Pod>], now: Timestamp) -> Option<Timestamp> {
    let min_ready = spec.min_ready_seconds.unwrap_or(0);
    active.iter().filter_map(|pod| pods::available_at(pod, min_ready)).filter(|at| *at > now).min()
}
