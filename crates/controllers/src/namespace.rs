//! A namespace on its way out takes its content with it: pods first, then everything else, then itself.
//!
//! Keys are namespaces. That it is empty is believed only after every kind was listed from the store. Source:
//! upstream's `pkg/controller/namespace/deletion`.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::Scope;
use api::kind::Held;
use control::{Act, Ask, Controller, Heard, Plan, Resource, Target, View, Watch, Write};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Namespace, NamespaceCondition, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use machinery::key::Key;
use machinery::request::Propagation;
use serde_json::{Value, json};

use crate::partial::{Partial, kinds};

const FINALIZER: &str = "kubernetes";
/// Up to this many objects every change of their number is told.
const TOLD_MAX: usize = 10;
/// What is not watched (events) is looked at again after this long, if it does not go at once.
const AGAIN: SignedDuration = SignedDuration::from_secs(1);
/// Type, reason and message of the conditions when all is well.
const CONDITIONS: [(&str, &str, &str); 5] = [
    ("NamespaceDeletionDiscoveryFailure", "ResourcesDiscovered", "All resources successfully discovered"),
    ("NamespaceDeletionGroupVersionParsingFailure", "ParsedGroupVersions", "All legacy kube types successfully parsed"),
    (
        "NamespaceDeletionContentFailure",
        "ContentDeleted",
        "All content successfully deleted, may be waiting on finalization",
    ),
    ("NamespaceContentRemaining", "ContentRemoved", "All content successfully removed"),
    ("NamespaceFinalizersRemaining", "ContentHasNoFinalizers", "All content-preserving finalizers finished"),
];

pub struct Namespaces;

/// Whether things can be made in it.
pub fn is_active(namespace: &Namespace) -> bool {
    let phase = namespace.status.as_ref().and_then(|status| status.phase.as_deref());
    namespace.metadata.deletion_timestamp.is_none() && phase != Some("Terminating")
}

impl Controller for Namespaces {
    fn name(&self) -> &'static str {
        "namespace"
    }

    fn account(&self) -> &'static str {
        "namespace-controller"
    }

    fn watches(&self) -> Vec<Watch> {
        let mut watches = vec![Watch::of::<Namespace>().own::<Namespace>()];
        watches.extend(namespaced().map(|kind| {
            Watch::form::<Partial>(kind)
                .keys(of_terminating)
                .when::<Partial>(|old, new| old.zip(new).is_none_or(|(old, new)| old.differs(new)))
        }));
        watches
    }

    fn reconcile(&self, key: &Key, view: &View<'_>, heard: &Heard, now: Timestamp) -> Plan {
        let Some(namespace) = view.get::<Namespace>("", &key.name) else { return Plan::idle() };
        let finalizers = namespace.spec.as_ref().and_then(|spec| spec.finalizers.clone()).unwrap_or_default();
        let waits = finalizers.iter().any(|finalizer| finalizer == FINALIZER);
        if namespace.metadata.deletion_timestamp.is_none() || !waits {
            return Plan::idle();
        }
        let content: BTreeMap<Resource, Vec<Arc<Partial>>> = namespaced()
            .map(|kind| (kind, view.forms_in_namespace(kind, &key.name)))
            .filter(|(_, objects): &(_, Vec<_>)| !objects.is_empty())
            .collect();
        if !content.is_empty() {
            return empty(&namespace, &content, now);
        }
        let asks: Vec<Ask> = deletable().map(|kind| Ask::list(kind, &key.name)).collect();
        if asks.iter().any(|ask| heard.answer(ask).is_none()) {
            return Plan::ask(asks);
        }
        sweep(&namespace, &finalizers, &asks, heard, now)
    }
}

fn of_terminating(partial: &Partial, view: &View<'_>) -> Vec<Key> {
    let namespace = view.get::<Namespace>("", &partial.metadata.namespace);
    let terminating = namespace.is_some_and(|namespace| namespace.metadata.deletion_timestamp.is_some());
    terminating.then(|| Key::new("", &partial.metadata.namespace)).into_iter().collect()
}

fn namespaced() -> impl Iterator<Item = Resource> {
    kinds().filter(|kind| kind.scope == Scope::Namespaced).map(Resource::of_kind)
}

/// All that can be listed and deleted, watched or not.
fn deletable() -> impl Iterator<Item = Resource> {
    let lives = |kind: &&&'static api::Kind| {
        kind.held == Held::Stored && kind.scope == Scope::Namespaced && kind.verbs.contains(&"delete")
    };
    api::KINDS.iter().filter(lives).map(|kind| Resource::of_kind(kind))
}

/// Deletes what is seen: pods, and when they are gone everything else.
fn empty(namespace: &Namespace, content: &BTreeMap<Resource, Vec<Arc<Partial>>>, now: Timestamp) -> Plan {
    let mut plan = Plan::idle();
    let pods = Resource::of::<Pod>();
    let first = content.contains_key(&pods);
    let doomed = content.iter().filter(|(kind, _)| !first || **kind == pods);
    let objects = doomed.flat_map(|(kind, objects)| objects.iter().map(move |object| (*kind, object)));
    plan.burst(
        objects.filter(|(_, object)| !object.is_deleting()).map(|(kind, object)| delete(object.target(kind))).collect(),
    );
    if let Some(write) = tell(namespace, content, now) {
        plan.write(write);
    }
    plan
}

fn delete(at: Target) -> Write {
    let act = Act::Delete { at, propagation: Some(Propagation::Background), grace_seconds: None };
    Write { act, done: None, refused: None }
}

/// Deletes what the store still has; when it has nothing, lets the namespace go.
fn sweep(namespace: &Namespace, finalizers: &[String], asks: &[Ask], heard: &Heard, now: Timestamp) -> Plan {
    let mut plan = Plan::idle();
    let mut left = false;
    let mut doomed = Vec::new();
    for ask in asks {
        let Ask::List { resource, .. } = ask else { continue };
        for tree in heard.listed(ask).unwrap_or_default() {
            left = true;
            if let Ok(object) = serde_json::from_value::<Partial>((*tree).clone())
                && !object.is_deleting()
            {
                doomed.push(delete(object.target(*resource)));
            }
        }
    }
    if left {
        plan.wake_at(if doomed.is_empty() { now.saturating_add(AGAIN).unwrap_or(now) } else { now });
        plan.burst(doomed);
        return plan;
    }
    let mut tree = serde_json::to_value(namespace).unwrap_or_default();
    let kept: Vec<&String> = finalizers.iter().filter(|finalizer| *finalizer != FINALIZER).collect();
    tree["spec"] = if kept.is_empty() { json!({}) } else { json!({ "finalizers": kept }) };
    plan.write(Write::put(Target::exactly(namespace).subresource("finalize"), tree));
    plan
}

/// The conditions that tell what remains.
fn tell(namespace: &Namespace, content: &BTreeMap<Resource, Vec<Arc<Partial>>>, now: Timestamp) -> Option<Write> {
    let old = namespace.status.as_ref().and_then(|status| status.conditions.clone()).unwrap_or_default();
    let remaining = content
        .iter()
        .map(|(kind, objects)| format!("{}.{} has {} resource instances", kind.plural, kind.group, objects.len()));
    let mut remaining: Vec<String> = remaining.collect();
    remaining.sort();
    let mut held: BTreeMap<&str, usize> = BTreeMap::new();
    for finalizer in content.values().flatten().flat_map(|object| &object.metadata.finalizers) {
        *held.entry(finalizer).or_default() += 1;
    }
    let held: Vec<String> = held.iter().map(|(name, count)| format!("{name} in {count} resource instances")).collect();
    let mut new = old.clone();
    for (kind, reason, message) in CONDITIONS {
        let (status, reason, message) = match kind {
            "NamespaceContentRemaining" if !remaining.is_empty() => {
                ("True", "SomeResourcesRemain", format!("Some resources are remaining: {}", remaining.join(", ")))
            }
            "NamespaceFinalizersRemaining" if !held.is_empty() => (
                "True",
                "SomeFinalizersRemain",
                format!("Some content in the namespace has finalizers remaining: {}", held.join(", ")),
            ),
            _ => ("False", reason, message.to_owned()),
        };
        set(&mut new, kind, status, reason, message, now);
    }
    let few = content.values().map(Vec::len).sum::<usize>() <= TOLD_MAX;
    let differs = if few { new != old } else { outline(&new) != outline(&old) };
    differs.then(|| {
        let tree: Value = json!({ "status": { "conditions": new } });
        Write::patch(Target::exactly(namespace).subresource("status"), tree)
    })
}

/// The conditions without their numbers, so that not every pod that goes is told.
fn outline(conditions: &[NamespaceCondition]) -> Vec<(String, String, String)> {
    let plain = |text: &Option<String>| text.iter().flat_map(|t| t.chars()).filter(|c| !c.is_ascii_digit()).collect();
    conditions.iter().map(|c| (c.type_.clone(), c.status.clone(), plain(&c.message))).collect()
}

fn set(all: &mut Vec<NamespaceCondition>, kind: &str, status: &str, reason: &str, message: String, now: Timestamp) {
    let (reason, message) = (Some(reason.to_owned()), Some(message));
    match all.iter_mut().find(|condition| condition.type_ == kind) {
        Some(held) => {
            if held.status != status {
                held.last_transition_time = Some(Time(now));
            }
            (held.status, held.reason, held.message) = (status.to_owned(), reason, message);
        }
        None => all.push(NamespaceCondition {
            type_: kind.to_owned(),
            status: status.to_owned(),
            reason,
            message,
            last_transition_time: Some(Time(now)),
        }),
    }
}
