//! As many active pods as wished for: what ReplicaSets and ReplicationControllers have in common. What they differ
//! in is a [`Keeper`], in the file of each.
//!
//! ```text
//!   claim (adopt, release) ─▶ too few: create in bursts │ too many: delete by rank ─▶ status
//! ```
//!
//! Source: <https://kubernetes.io/docs/concepts/workloads/controllers/replicaset/>.

mod rank;

use std::sync::Arc;

use control::{Act, Event, Heard, Index, Plan, Target, Typed, View, Watch, Write};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ReplicaSetCondition, ReplicaSetStatus};
use k8s_openapi::api::core::v1::{Pod, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use machinery::key::Key;
use machinery::selector::LabelSelector;
use serde_json::{Value, json};

use crate::indexes::{PODS_BY_OWNER, orphans};
use crate::owner::{self, claim, controller_of, controller_reference};
use crate::{pods, status};

/// Pods created or deleted in one plan.
const BURST_REPLICAS: usize = 500;
const FAILURE: &str = "ReplicaFailure";

/// A kind that keeps a number of pods.
pub trait Keeper: Typed + Clone {
    /// Whether its status tells how many pods are on their way out.
    const COUNTS_TERMINATING: bool;

    /// Its objects by the uid of their controller.
    fn by_owner() -> &'static Index<Self>;

    /// `None` without a spec.
    fn wish(&self) -> Option<Wish<'_>>;

    /// Its status in the shape of a ReplicaSet's: the fields of both have the same names.
    fn status(&self) -> ReplicaSetStatus;
}

/// What a keeper wants.
pub struct Wish<'a> {
    pub replicas: usize,
    pub min_ready_seconds: i32,
    pub selector: LabelSelector,
    pub template: Option<&'a PodTemplateSpec>,
}

impl<'a> Wish<'a> {
    pub fn new(
        replicas: Option<i32>,
        min_ready_seconds: Option<i32>,
        selector: LabelSelector,
        template: Option<&'a PodTemplateSpec>,
    ) -> Self {
        let replicas = usize::try_from(replicas.unwrap_or(1)).unwrap_or(0);
        Self { replicas, min_ready_seconds: min_ready_seconds.unwrap_or(0), selector, template }
    }
}

pub fn watches<K: Keeper>() -> Vec<Watch> {
    vec![
        Watch::of::<K>().index(K::by_owner()).own::<K>(),
        Watch::of::<Pod>().index(&PODS_BY_OWNER).keys(keys_of_pod::<K>),
    ]
}

pub fn reconcile<K: Keeper>(key: &Key, view: &View<'_>, heard: &Heard, now: Timestamp) -> Plan {
    let Some(keeper) = view.get::<K>(&key.namespace, &key.name) else { return Plan::idle() };
    let Some(wish) = keeper.wish() else { return Plan::idle() };
    let meta = keeper.metadata();
    let uid = meta.uid.as_deref().unwrap_or_default();
    let (active, inactive): (Vec<_>, Vec<_>) =
        view.by(&PODS_BY_OWNER, uid).into_iter().partition(|pod| pods::is_active(pod));
    let strays = view.by(&PODS_BY_OWNER, &orphans(&key.namespace));
    let strays = strays.into_iter().filter(|pod| pods::is_active(pod)).collect();
    let claim = match claim(&*keeper, &wish.selector, active, strays, heard) {
        Ok(claim) => claim,
        Err(ask) => return Plan::ask(vec![ask]),
    };
    let terminating = inactive.iter().filter(|pod| pods::is_terminating(pod)).count();
    let mut plan = Plan::idle();
    if heard.refused.is_none() {
        plan.burst(claim.writes);
        if meta.deletion_timestamp.is_none() {
            plan.burst(manage(&*keeper, &wish, &claim.claimed, view, now));
        }
    }
    let old = keeper.status();
    let new = ReplicaSetStatus {
        terminating_replicas: K::COUNTS_TERMINATING.then(|| number(terminating)),
        observed_generation: meta.generation,
        ..summarize(&wish, &old, &claim.claimed, heard, now)
    };
    if let Some(write) = status::patch(&*keeper, &old, &new) {
        plan.write(write);
    }
    plan.wake = next_available(&wish, &claim.claimed, now);
    plan
}

/// The owner of a pod; for an orphan whoever may want it.
fn keys_of_pod<K: Keeper>(pod: &Pod, view: &View<'_>) -> Vec<Key> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    match controller_of(&pod.metadata) {
        Some(owner) if owner.kind == K::KIND => vec![Key::new(namespace, &owner.name)],
        Some(_) => Vec::new(),
        None => {
            let wants = |keeper: &Arc<K>| {
                let selected = owner::selects(&keeper.wish()?.selector, &pod.metadata);
                selected.then(|| Key::new(namespace, keeper.metadata().name.as_deref().unwrap_or_default()))
            };
            view.in_namespace::<K>(namespace).iter().filter_map(wants).collect()
        }
    }
}

/// Creates what is missing or deletes what is too much.
fn manage<K: Keeper>(keeper: &K, wish: &Wish<'_>, active: &[Arc<Pod>], view: &View<'_>, now: Timestamp) -> Vec<Write> {
    if active.len() < wish.replicas {
        let missing = (wish.replicas - active.len()).min(BURST_REPLICAS);
        let write = Write::create::<Pod>(pod_tree(keeper, wish.template))
            .tell(Event::normal(keeper, "SuccessfulCreate", "Created pod: ").with_name())
            .tell_refusal(Event::warning(keeper, "FailedCreate", "Error creating: ").with_error());
        return vec![write; missing];
    }
    let surplus = (active.len() - wish.replicas).min(BURST_REPLICAS);
    if surplus == 0 {
        return Vec::new();
    }
    let doomed = rank::first_to_go(active, &related(keeper, view), surplus, now);
    doomed.iter().map(|pod| delete(keeper, pod)).collect()
}

fn delete<K: Keeper>(keeper: &K, pod: &Pod) -> Write {
    Write::delete(Target::of(pod))
        .tell(Event::normal(keeper, "SuccessfulDelete", "Deleted pod: ").with_name())
        .tell_refusal(Event::warning(keeper, "FailedDelete", "Error deleting: ").with_error())
}

/// The pods of all keepers with the same controller (of all revisions of a Deployment), this one's included.
fn related<K: Keeper>(keeper: &K, view: &View<'_>) -> Vec<Arc<Pod>> {
    let siblings = match controller_of(keeper.metadata()) {
        Some(owner) => view.by(K::by_owner(), &owner.uid),
        None => vec![Arc::new(keeper.clone())],
    };
    let uids = siblings.iter().filter_map(|sibling| sibling.metadata().uid.as_deref());
    uids.flat_map(|uid| view.by(&PODS_BY_OWNER, uid)).collect()
}

/// A pod of the template, named by the server.
fn pod_tree<K: Keeper>(keeper: &K, template: Option<&PodTemplateSpec>) -> Value {
    let meta = template.and_then(|template| template.metadata.clone()).unwrap_or_default();
    json!({
        "metadata": {
            "generateName": format!("{}-", keeper.metadata().name.as_deref().unwrap_or_default()),
            "namespace": keeper.metadata().namespace,
            "labels": meta.labels,
            "annotations": meta.annotations,
            "finalizers": meta.finalizers,
            "ownerReferences": [controller_reference(keeper)],
        },
        "spec": template.map(|template| &template.spec),
    })
}

/// What the active pods say.
fn summarize(
    wish: &Wish<'_>,
    old: &ReplicaSetStatus,
    active: &[Arc<Pod>],
    heard: &Heard,
    now: Timestamp,
) -> ReplicaSetStatus {
    let template = wish.template.and_then(|template| template.metadata.as_ref());
    let labeled = active.iter().filter(|pod| has_labels(&pod.metadata, template)).count();
    let ready = active.iter().filter(|pod| pods::is_ready(pod)).count();
    let available = |pod: &&Arc<Pod>| pods::available_at(pod, wish.min_ready_seconds).is_some_and(|at| at <= now);
    let available = active.iter().filter(available).count();
    ReplicaSetStatus {
        replicas: number(active.len()),
        fully_labeled_replicas: status::count(number(labeled)),
        ready_replicas: status::count(number(ready)),
        available_replicas: status::count(number(available)),
        conditions: conditions(old, active.len(), wish.replicas, heard, now),
        ..ReplicaSetStatus::default()
    }
}

fn number(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
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
fn next_available(wish: &Wish<'_>, active: &[Arc<Pod>], now: Timestamp) -> Option<Timestamp> {
    active.iter().filter_map(|pod| pods::available_at(pod, wish.min_ready_seconds)).filter(|at| *at > now).min()
}
