//! Owner references: who controls an object, and how a controller takes and lets go of it.
//!
//! Taking is irreversible for the object's other suitors, so it is planned only after the owner was asked for
//! live: a cache may not know yet that it is being deleted.

use std::sync::Arc;

use control::{Ask, Heard, Live, Target, Typed, Write};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use machinery::selector::LabelSelector;
use serde_json::{Value, json};

/// The reference to the managing controller.
pub fn controller_of(meta: &ObjectMeta) -> Option<&OwnerReference> {
    meta.owner_references.iter().flatten().find(|owner| owner.controller == Some(true))
}

/// Whether `owner` is the managing controller.
pub fn is_controlled_by(meta: &ObjectMeta, owner: &ObjectMeta) -> bool {
    controller_of(meta).is_some_and(|reference| Some(&reference.uid) == owner.uid.as_ref())
}

/// The reference of a managing controller to be put into what it makes.
pub fn controller_reference<T: Typed>(owner: &T) -> Value {
    let meta = owner.metadata();
    json!({
        "apiVersion": T::API_VERSION, "kind": T::KIND, "name": meta.name, "uid": meta.uid,
        "controller": true, "blockOwnerDeletion": true,
    })
}

/// A selector of a typed object; one that does not parse selects nothing.
pub fn selector(selector: &k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector) -> LabelSelector {
    let tree = serde_json::to_value(selector).unwrap_or_default();
    LabelSelector::from_tree(&tree).unwrap_or_else(|_| LabelSelector::nothing())
}

/// Whether a selector matches an object's labels.
pub fn selects(selector: &LabelSelector, meta: &ObjectMeta) -> bool {
    let labels = meta.labels.as_ref();
    selector.matches_with(|key| labels.and_then(|labels| labels.get(key)).map(String::as_str))
}

/// What an owner has after taking and letting go.
pub struct Claim<T> {
    pub claimed: Vec<Arc<T>>,
    /// Patches that take and let go.
    pub writes: Vec<Write>,
}

/// Takes matching orphans and lets go of what no longer matches. An owner on its way out does neither.
///
/// # Errors
/// What has to be asked before anything can be taken.
pub fn claim<O: Typed, T: Typed>(
    owner: &O,
    selector: &LabelSelector,
    owned: Vec<Arc<T>>,
    orphans: Vec<Arc<T>>,
    heard: &Heard,
) -> Result<Claim<T>, Ask> {
    let meta = owner.metadata();
    let deleting = meta.deletion_timestamp.is_some();
    let (claimed, strays): (Vec<_>, Vec<_>) = owned.into_iter().partition(|o| selects(selector, o.metadata()));
    let mut claim = Claim { claimed, writes: Vec::new() };
    if deleting {
        return Ok(claim);
    }
    claim.writes.extend(strays.iter().map(|stray| release(&**stray, meta)));
    let wanted = |orphan: &Arc<T>| {
        let meta = orphan.metadata();
        meta.deletion_timestamp.is_none() && selects(selector, meta)
    };
    let wanted: Vec<_> = orphans.into_iter().filter(wanted).collect();
    if wanted.is_empty() || !may_adopt(owner, heard)? {
        return Ok(claim);
    }
    claim.writes.extend(wanted.iter().map(|orphan| adopt(&**orphan, owner)));
    claim.claimed.extend(wanted);
    Ok(claim)
}

/// Whether the owner as the store has it now is still this one and is not being deleted.
fn may_adopt<O: Typed>(owner: &O, heard: &Heard) -> Result<bool, Ask> {
    let meta = owner.metadata();
    let (namespace, name) = (meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default());
    match heard.live::<O>(namespace, name) {
        Live::Unasked => Err(Ask::get::<O>(namespace, name)),
        Live::Absent => Ok(false),
        Live::Present(live) => {
            let live = live.metadata();
            Ok(live.uid == meta.uid && live.deletion_timestamp.is_none())
        }
    }
}

fn adopt<O: Typed, T: Typed>(orphan: &T, owner: &O) -> Write {
    let mut references = references(orphan.metadata(), |_| true);
    references.push(controller_reference(owner));
    Write::patch(Target::exactly(orphan), json!({ "metadata": { "ownerReferences": references } }))
}

fn release<T: Typed>(stray: &T, owner: &ObjectMeta) -> Write {
    let references = references(stray.metadata(), |reference| Some(&reference.uid) != owner.uid.as_ref());
    let references = if references.is_empty() { Value::Null } else { Value::Array(references) };
    Write::patch(Target::exactly(stray), json!({ "metadata": { "ownerReferences": references } }))
}

fn references(meta: &ObjectMeta, keep: impl Fn(&OwnerReference) -> bool) -> Vec<Value> {
    let kept = meta.owner_references.iter().flatten().filter(|reference| keep(reference));
    kept.map(|reference| serde_json::to_value(reference).unwrap_or_default()).collect()
}
