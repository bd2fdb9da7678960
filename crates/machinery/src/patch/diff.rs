//! Making strategic patches: what changed between two trees, and kubectl apply's comparison of three.

use serde_json::{Map, Value, json};

use super::lists::{are_maps, as_map, in_order, no_merge_key};
use super::strategic::{Mode, merge_maps};
use super::{DELETE_FROM, DIRECTIVE, ELEMENT_ORDER, RETAIN_KEYS, Refused, below};
use crate::schema::{Node, Schema, printed};
use crate::status::Status;

type Object = Map<String, Value>;

/// The strategic patch that turns `from` into `to`; an empty map when nothing changes.
///
/// # Errors
/// Items of merged lists without merge key, and fields that do not exist but differ.
pub fn two_way(schema: &Schema, from: &Value, to: &Value) -> Result<Value, Status> {
    let scope = Scope { changes: true, deletions: true, retain_keys: false };
    let patch = diff_maps(&as_map(from.clone())?, &as_map(to.clone())?, schema.node(), scope)?;
    Ok(Value::Object(patch))
}

/// The strategic patch of kubectl apply: what was in `original` (the last applied configuration, null when there
/// is none) and is not in `modified` is deleted; what differs between `current` and `modified` is set.
///
/// # Errors
/// Items of merged lists without merge key, and fields that do not exist but differ.
pub fn three_way(schema: &Schema, original: &Value, modified: &Value, current: &Value) -> Result<Value, Status> {
    let map = |tree: &Value| if tree.is_null() { Ok(Object::new()) } else { as_map(tree.clone()) };
    let (original, modified, current) = (map(original)?, map(modified)?, map(current)?);
    let delta = Scope { changes: true, deletions: false, retain_keys: false };
    let deletions = Scope { changes: false, deletions: true, retain_keys: false };
    let changed = diff_maps(&current, &modified, schema.node(), delta)?;
    let deleted = diff_maps(&original, &modified, schema.node(), deletions)?;
    Ok(Value::Object(merge_maps(deleted, changed, schema.node(), Mode::Combine)?))
}

/// What a comparison looks for.
#[derive(Clone, Copy)]
struct Scope {
    changes: bool,
    deletions: bool,
    /// The map that is compared says which of its keys stay.
    retain_keys: bool,
}

fn diff_maps(from: &Object, to: &Object, node: Node<'_>, scope: Scope) -> Result<Object, Refused> {
    let mut patch = Object::new();
    for (key, new) in to {
        let Some(old) = from.get(key) else {
            if scope.changes {
                patch.insert(key.clone(), new.clone());
            }
            continue;
        };
        match (old, new) {
            _ if key == DIRECTIVE => {
                if old != new {
                    patch.insert(key.clone(), new.clone());
                }
            }
            (Value::Object(old), Value::Object(new)) => diff_map(key, old, new, &mut patch, node, scope)?,
            (Value::Array(old), Value::Array(new)) => diff_list(key, old, new, &mut patch, node, scope)?,
            _ => replace(key, old, new, &mut patch, scope),
        }
    }
    for key in from.keys().filter(|k| scope.deletions && !to.contains_key(*k)) {
        patch.insert(key.clone(), Value::Null);
    }
    let more = from.iter().any(|(k, v)| !v.is_null() && !to.contains_key(k));
    let kept: Vec<_> = to.iter().filter(|(_, v)| !v.is_null()).map(|(k, _)| Value::from(k.as_str())).collect();
    if scope.retain_keys && !kept.is_empty() && (!patch.is_empty() || more) {
        patch.insert(RETAIN_KEYS.to_owned(), Value::Array(kept));
    }
    Ok(patch)
}

fn replace(key: &str, old: &Value, new: &Value, patch: &mut Object, scope: Scope) {
    if scope.changes && old != new {
        patch.insert(key.to_owned(), new.clone());
    }
}

fn diff_map(
    key: &str,
    old: &Object,
    new: &Object,
    patch: &mut Object,
    node: Node<'_>,
    scope: Scope,
) -> Result<(), Refused> {
    let place = match below(node, key) {
        Ok(place) => place,
        // An unknown field is no harm while it does not change.
        Err(_) if old == new => return Ok(()),
        Err(refused) => return Err(refused),
    };
    if place.merge.patch_replace {
        if scope.changes {
            patch.insert(key.to_owned(), Value::Object(new.clone()));
        }
        return Ok(());
    }
    let inner = diff_maps(old, new, place, Scope { retain_keys: place.merge.retain_keys, ..scope })?;
    if !inner.is_empty() {
        patch.insert(key.to_owned(), Value::Object(inner));
    }
    Ok(())
}

fn diff_list(
    key: &str,
    old: &[Value],
    new: &[Value],
    patch: &mut Object,
    node: Node<'_>,
    scope: Scope,
) -> Result<(), Refused> {
    let place = match below(node, key) {
        Ok(place) => place,
        Err(_) if old == new => return Ok(()),
        Err(refused) => return Err(refused),
    };
    if !place.merge.patch_merge {
        if scope.changes && old != new {
            patch.insert(key.to_owned(), Value::Array(new.to_vec()));
        }
        return Ok(());
    }
    let scope = Scope { retain_keys: place.merge.retain_keys, ..scope };
    let diff = diff_merged_lists(old, new, place, scope)?;
    if !diff.items.is_empty() {
        patch.insert(key.to_owned(), Value::Array(diff.items));
    }
    if !diff.deleted.is_empty() {
        patch.insert(format!("{DELETE_FROM}/{key}"), Value::Array(diff.deleted));
    }
    if !diff.order.is_empty() {
        patch.insert(format!("{ELEMENT_ORDER}/{key}"), Value::Array(diff.order));
    }
    Ok(())
}

/// What a patch says of a list that merges.
#[derive(Default)]
struct ListDiff {
    items: Vec<Value>,
    /// Scalars for `$deleteFromPrimitiveList`.
    deleted: Vec<Value>,
    order: Vec<Value>,
}

fn diff_merged_lists(old: &[Value], new: &[Value], place: Node<'_>, scope: Scope) -> Result<ListDiff, Refused> {
    if old.is_empty() {
        let items = if scope.changes { new.to_vec() } else { Vec::new() };
        return Ok(ListDiff { items, ..ListDiff::default() });
    }
    match are_maps(&[old, new])? {
        Some(true) => diff_lists_of_maps(old, new, place, scope),
        _ => Ok(diff_lists_of_scalars(old, new, scope)),
    }
}

fn diff_lists_of_scalars(old: &[Value], new: &[Value], scope: Scope) -> ListDiff {
    let mut diff = ListDiff::default();
    if scope.changes {
        let added = new.iter().filter(|item| !old.contains(item)).cloned();
        diff.items = in_order(added.collect(), new, "");
    }
    if scope.deletions {
        diff.deleted = old.iter().filter(|item| !new.contains(item)).cloned().collect();
        diff.deleted.sort_by_key(printed);
        diff.deleted.dedup();
    }
    if scope.deletions && !diff.deleted.is_empty() || scope.changes && old != new {
        diff.order = new.to_vec();
    }
    diff
}

fn diff_lists_of_maps(old: &[Value], new: &[Value], place: Node<'_>, scope: Scope) -> Result<ListDiff, Refused> {
    let key = place.merge.merge_key.as_ref();
    if let Some(item) = old.iter().chain(new).find(|i| i.get(key).is_none()) {
        return Err(no_merge_key(item, key));
    }
    let element = place.element().unwrap_or(place);
    let mut items = Vec::new();
    for item in new {
        match (old.iter().find(|o| o[key] == item[key]), item) {
            (Some(Value::Object(before)), Value::Object(after)) => {
                let mut change = diff_maps(before, after, element, scope)?;
                if !change.is_empty() {
                    change.insert(key.to_owned(), item[key].clone());
                    items.push(Value::Object(change));
                }
            }
            _ if scope.changes => items.push(item.clone()),
            _ => {}
        }
    }
    if scope.deletions {
        let mut gone: Vec<_> = old.iter().filter(|o| !new.iter().any(|n| n[key] == o[key])).collect();
        gone.sort_by_key(|item| printed(&item[key]));
        items.extend(gone.into_iter().map(|item| json!({key: item[key], DIRECTIVE: "delete"})));
    }
    let same_order = old.len() == new.len() && old.iter().zip(new).all(|(o, n)| o[key] == n[key]);
    let order = scope.changes && (!items.is_empty() || !same_order) || scope.deletions && !items.is_empty();
    let order = if order { new.iter().map(|item| json!({key: item[key]})).collect() } else { Vec::new() };
    Ok(ListDiff { items, order, deleted: Vec::new() })
}
