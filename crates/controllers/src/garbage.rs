//! The garbage collector: objects go when their owners are gone, wait for their dependents, or let them go.
//!
//! ```text
//!   dependent: owners absent? ask ─▶ none solid: delete it │ some solid: drop the references to the others
//!   owner on its way out: foreground ─▶ waits for blocking dependents │ orphan ─▶ frees its dependents
//! ```
//!
//! Keys are objects of any kind: the namespace, and `plural.group|name`. The graph is nothing but an index of all
//! objects by the uids of their owners. Absence is never believed from a cache: the store is asked. Source:
//! <https://kubernetes.io/docs/concepts/architecture/garbage-collection/>.

use std::sync::Arc;

use control::{Act, Ask, Controller, Heard, Plan, Resource, View, Watch, Write};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use machinery::key::Key;
use machinery::request::Propagation;
use serde_json::{Value, json};

use crate::partial::{PARTIALS_BY_OWNER, Partial, kinds, resource_of};

const FOREGROUND: &str = "foregroundDeletion";
const ORPHAN: &str = "orphan";

pub struct GarbageCollector;

impl Controller for GarbageCollector {
    fn name(&self) -> &'static str {
        "garbage-collector"
    }

    fn account(&self) -> &'static str {
        "generic-garbage-collector"
    }

    fn watches(&self) -> Vec<Watch> {
        let watch = |kind| {
            Watch::form::<Partial>(Resource::of_kind(kind))
                .index(&PARTIALS_BY_OWNER)
                .keys(concerned)
                .when::<Partial>(|old, new| old.zip(new).is_none_or(|(old, new)| old.differs(new)))
        };
        kinds().map(watch).collect()
    }

    fn reconcile(&self, key: &Key, view: &View<'_>, heard: &Heard, _: Timestamp) -> Plan {
        let Some((resource, name)) = read_key(key) else { return Plan::idle() };
        let Some(object) = view.form::<Partial>(resource, &name) else { return Plan::idle() };
        if object.is_deleting() {
            return release(&object, resource, view);
        }
        if object.metadata.owner_references.is_empty() {
            return Plan::idle();
        }
        collect(&object, resource, view, heard)
    }
}

fn key_of(resource: Resource, namespace: &str, name: &str) -> Key {
    Key::new(namespace, &format!("{}.{}|{name}", resource.plural, resource.group))
}

fn read_key(key: &Key) -> Option<(Resource, Key)> {
    let (kind, name) = key.name.split_once('|')?;
    let (plural, group) = kind.split_once('.')?;
    let kind = kinds().find(|kind| kind.plural == plural && kind.group == group)?;
    Some((Resource::of_kind(kind), Key::new(&key.namespace, name)))
}

/// The object itself where it has owners or is on its way out; its dependents where it goes or is gone; its owners,
/// which may wait for it.
fn concerned(object: &Partial, view: &View<'_>) -> Vec<Key> {
    let Some(resource) = object.resource() else { return Vec::new() };
    let meta = &object.metadata;
    let own = Key::new(&meta.namespace, &meta.name);
    let held = view.form::<Partial>(resource, &own);
    let is_gone = held.is_none_or(|held| held.metadata.uid != meta.uid);
    let mut keys = Vec::new();
    if !meta.owner_references.is_empty() || object.is_deleting() {
        keys.push(key_of(resource, &meta.namespace, &meta.name));
    }
    if is_gone || object.is_deleting() {
        let dependents = dependents(&meta.uid, view);
        keys.extend(dependents.iter().map(|(kind, d)| key_of(*kind, &d.metadata.namespace, &d.metadata.name)));
        keys.extend(meta.owner_references.iter().filter_map(|owner| {
            let (kind, place) = place_of(owner, &meta.namespace)?;
            Some(key_of(kind, place, &owner.name))
        }));
    }
    keys
}

fn dependents(uid: &str, view: &View<'_>) -> Vec<(Resource, Arc<Partial>)> {
    let of_kind = |kind| {
        let resource = Resource::of_kind(kind);
        view.forms_by(resource, &PARTIALS_BY_OWNER, uid).into_iter().map(move |object| (resource, object))
    };
    kinds().flat_map(of_kind).collect()
}

/// The owner's kind, and the namespace in which it must be; `None` for kinds that are not served.
fn place_of<'a>(owner: &OwnerReference, namespace: &'a str) -> Option<(Resource, &'a str)> {
    let resource = resource_of(&owner.api_version, &owner.kind)?;
    let kind = api::by_plural(resource.group, resource.version, resource.plural)?;
    Some((resource, if kind.scope == api::Scope::Cluster { "" } else { namespace }))
}

/// How an owner stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Solid,
    /// It waits for its dependents to go first.
    Waiting,
    Absent,
}

/// An object with owners: it goes when no solid one is left.
fn collect(object: &Partial, resource: Resource, view: &View<'_>, heard: &Heard) -> Plan {
    let mut asks = Vec::new();
    let mut standings = Vec::new();
    for owner in &object.metadata.owner_references {
        match standing(object, owner, view, heard) {
            Ok(standing) => standings.push((owner, standing)),
            Err(ask) => asks.push(ask),
        }
    }
    if !asks.is_empty() {
        return Plan::ask(asks);
    }
    let is = |wanted: Standing| standings.iter().any(|(_, standing)| *standing == wanted);
    if !is(Standing::Waiting) && !is(Standing::Absent) {
        return Plan::idle();
    }
    if is(Standing::Solid) {
        let solid = standings.iter().filter(|(_, standing)| *standing == Standing::Solid);
        let kept: Vec<&OwnerReference> = solid.map(|(owner, _)| *owner).collect();
        return one(patch_owners(object, resource, &kept));
    }
    // Before it is deleted the object itself is looked at: it may have got another owner.
    let meta = &object.metadata;
    let ask = Ask::Get { resource, namespace: meta.namespace.clone(), name: meta.name.clone() };
    let Some(live) = heard.answer(&ask) else { return Plan::ask(vec![ask]) };
    let control::Answer::Object(Some(live)) = live else { return Plan::idle() };
    match live.decode::<Partial>() {
        Ok(live) if !live.differs(object) => {}
        // The cache will show what is new, and that brings us back.
        _ => return Plan::idle(),
    }
    doom(object, resource, is(Standing::Waiting), view)
}

fn one(write: Write) -> Plan {
    let mut plan = Plan::idle();
    plan.write(write);
    plan
}

/// Deletes it: in the foreground where an owner waits and it has dependents of its own.
fn doom(object: &Partial, resource: Resource, awaited: bool, view: &View<'_>) -> Plan {
    let mut plan = Plan::idle();
    let dependents = dependents(&object.metadata.uid, view);
    let propagation = if awaited && !dependents.is_empty() {
        // A circle of objects that wait for each other is opened here.
        if dependents.iter().any(|(_, dependent)| is_waiting(dependent)) {
            plan.write(unblock(object, resource));
        }
        Propagation::Foreground
    } else if object.has_finalizer(ORPHAN) {
        Propagation::Orphan
    } else if object.has_finalizer(FOREGROUND) {
        Propagation::Foreground
    } else {
        Propagation::Background
    };
    let at = object.target(resource);
    let act = Act::Delete { at, propagation: Some(propagation), grace_seconds: None };
    plan.write(Write { act, done: None, refused: None });
    plan
}

fn is_waiting(object: &Partial) -> bool {
    object.is_deleting() && object.has_finalizer(FOREGROUND)
}

/// # Errors
/// What has to be asked first.
fn standing(object: &Partial, owner: &OwnerReference, view: &View<'_>, heard: &Heard) -> Result<Standing, Ask> {
    // Whether an owner of an unknown kind exists cannot be known: nothing is deleted for it.
    let Some((resource, namespace)) = place_of(owner, &object.metadata.namespace) else { return Ok(Standing::Solid) };
    let of = |found: &Partial| match (found.metadata.uid == owner.uid, is_waiting(found)) {
        (false, _) => Standing::Absent,
        (true, true) => Standing::Waiting,
        (true, false) => Standing::Solid,
    };
    let held = view.form::<Partial>(resource, &Key::new(namespace, &owner.name));
    if let Some(standing) = held.map(|held| of(&held)).filter(|standing| *standing != Standing::Absent) {
        return Ok(standing);
    }
    // A reference to a namespaced owner in a cluster-scoped object names no place to look.
    if namespace.is_empty() && is_namespaced(resource) {
        return Ok(Standing::Solid);
    }
    let ask = Ask::Get { resource, namespace: namespace.into(), name: owner.name.clone() };
    match heard.answer(&ask) {
        None => Err(ask),
        Some(control::Answer::Object(Some(live))) => {
            Ok(live.decode::<Partial>().map_or(Standing::Solid, |live| of(&live)))
        }
        Some(_) => Ok(Standing::Absent),
    }
}

fn is_namespaced(resource: Resource) -> bool {
    let kind = api::by_plural(resource.group, resource.version, resource.plural);
    kind.is_some_and(|kind| kind.scope == api::Scope::Namespaced)
}

/// An object on its way out: its finalizers are ours to take when its dependents are gone, or free.
fn release(object: &Partial, resource: Resource, view: &View<'_>) -> Plan {
    let mut plan = Plan::idle();
    if object.has_finalizer(ORPHAN) {
        let freed = dependents(&object.metadata.uid, view);
        plan.burst(freed.iter().map(|(kind, dependent)| free(dependent, *kind, &object.metadata.uid)).collect());
        plan.write(take_finalizer(object, resource, ORPHAN));
    } else if object.has_finalizer(FOREGROUND) {
        let blocks = |(_, dependent): &(Resource, Arc<Partial>)| {
            let owners = &dependent.metadata.owner_references;
            owners.iter().any(|owner| owner.uid == object.metadata.uid && owner.block_owner_deletion == Some(true))
        };
        // The dependents have keys of their own, and delete themselves.
        if !dependents(&object.metadata.uid, view).iter().any(blocks) {
            plan.write(take_finalizer(object, resource, FOREGROUND));
        }
    }
    plan
}

fn free(dependent: &Partial, resource: Resource, owner: &str) -> Write {
    let kept: Vec<_> = dependent.metadata.owner_references.iter().filter(|held| held.uid != owner).collect();
    patch_owners(dependent, resource, &kept)
}

fn patch_owners(object: &Partial, resource: Resource, kept: &[&OwnerReference]) -> Write {
    let references = if kept.is_empty() { Value::Null } else { json!(kept) };
    Write::patch(object.target_exactly(resource), json!({ "metadata": { "ownerReferences": references } }))
}

fn unblock(object: &Partial, resource: Resource) -> Write {
    let owners = object.metadata.owner_references.iter().cloned();
    let open: Vec<_> = owners.map(|owner| OwnerReference { block_owner_deletion: Some(false), ..owner }).collect();
    Write::patch(object.target_exactly(resource), json!({ "metadata": { "ownerReferences": open } }))
}

fn take_finalizer(object: &Partial, resource: Resource, name: &str) -> Write {
    let kept: Vec<_> = object.metadata.finalizers.iter().filter(|held| *held != name).collect();
    let finalizers = if kept.is_empty() { Value::Null } else { json!(kept) };
    Write::patch(object.target_exactly(resource), json!({ "metadata": { "finalizers": finalizers } }))
}
