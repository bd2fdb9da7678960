//! Strategic merge patch: maps merge, lists merge by the schema's merge keys, directives do the rest.
//!
//! Directives: `$patch: replace|delete|merge`, `$retainKeys`, `$deleteFromPrimitiveList/FIELD`,
//! `$setElementOrder/FIELD`. Source: <https://kubernetes.io/docs/tasks/manage-kubernetes-objects/update-api-object-kubectl-patch/>
//! and the notes on strategic merge patch in kubernetes/community.

use serde_json::{Map, Value};

use super::lists::{are_maps, as_list, as_map, index, no_merge_key, normalize};
use super::{
    BAD_DELETE_FROM, BAD_ELEMENT_ORDER, BAD_RETAIN_KEYS, DELETE_FROM, DIRECTIVE, ELEMENT_ORDER, RETAIN_KEYS, Refused,
    below, discard_nulls,
};
use crate::schema::{Node, Schema, printed};
use crate::status::Status;

/// The tree with a strategic patch merged in; the result is not canonical yet.
///
/// # Errors
/// 400 for malformed directives, 422 for fields that do not exist and items without merge key.
pub fn strategic(schema: &Schema, tree: &Value, patch: &Value) -> Result<Value, Status> {
    let Value::Object(patch) = patch.clone() else { return Err(Status::bad_request("invalid JSON document")) };
    let tree = as_map(tree.clone())?;
    let merged = merge_maps(tree, patch, schema.node(), Mode::Apply)?;
    Ok(Value::Object(merged))
}

/// Directives are carried out, or kept because two patches are made one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Apply,
    Combine,
}

type Object = Map<String, Value>;

pub(super) fn merge_maps(mut into: Object, mut patch: Object, node: Node<'_>, mode: Mode) -> Result<Object, Refused> {
    match patch.remove(DIRECTIVE) {
        None => {}
        Some(directive) if directive == "replace" => return Ok(patch),
        Some(directive) if directive == "delete" => return Ok(Object::new()),
        Some(directive) => {
            let map = Value::Object(patch);
            return Err(unknown_directive(&directive, &map));
        }
    }
    retain_keys(&mut into, &mut patch, mode)?;
    set_element_orders(&mut into, &mut patch, node, mode)?;
    for (key, change) in patch {
        if let Some(name) = key.strip_prefix(DELETE_FROM) {
            if mode == Mode::Combine {
                into.insert(key, change);
                continue;
            }
            let name = name.strip_prefix('/').ok_or(BAD_DELETE_FROM)?;
            delete_from(&mut into, name, change)?;
            continue;
        }
        merge_field(&mut into, key, change, node, mode)?;
    }
    Ok(into)
}

fn unknown_directive(directive: &Value, map: &Value) -> Refused {
    Refused::Other(format!("unknown patch type: {} in map: {}", printed(directive), printed(map)))
}

/// What upstream's merging leaves of a patch, which it prints when the outcome is no object: directives are taken
/// out where they are carried out, and ordered lists with them.
pub fn left_of(patch: &Value) -> Value {
    match patch {
        Value::Array(items) => Value::Array(items.iter().map(left_of).collect()),
        Value::Object(map) => {
            let ordered = |key: &str| map.contains_key(&format!("{ELEMENT_ORDER}/{key}"));
            let gone = |key: &str| key == RETAIN_KEYS || key.starts_with(ELEMENT_ORDER) || ordered(key);
            let left = map.iter().filter(|(key, _)| !gone(key));
            Value::Object(left.map(|(key, value)| (key.clone(), left_of(value))).collect())
        }
        scalar => scalar.clone(),
    }
}

fn merge_field(into: &mut Object, key: String, change: Value, node: Node<'_>, mode: Mode) -> Result<(), Refused> {
    if change.is_null() {
        into.remove(&key);
        if mode == Mode::Apply {
            return Ok(());
        }
    }
    let merged = match (into.remove(&key), change) {
        (Some(Value::Object(old)), Value::Object(new)) => {
            let below = below(node, &key)?;
            if below.merge.patch_replace {
                Some(Value::Object(new))
            } else {
                Some(merge_maps(old, new, below, mode)?.into())
            }
        }
        (Some(Value::Array(old)), Value::Array(new)) => {
            let below = below(node, &key)?;
            if below.merge.patch_merge {
                Some(merge_lists(old, new, below, mode)?.into())
            } else {
                Some(Value::Array(new))
            }
        }
        (Some(old), change) if same_sort(&old, &change) => added(change, mode),
        (_, mut change) => {
            if mode == Mode::Apply {
                discard_nulls(&mut change);
            }
            added(change, mode)
        }
    };
    if let Some(merged) = merged {
        into.insert(key, merged);
    }
    Ok(())
}

fn same_sort(a: &Value, b: &Value) -> bool {
    std::mem::discriminant(a) == std::mem::discriminant(b)
}

/// What a patch adds must not carry maps with `$patch`, since there is nothing to delete or replace; and once it
/// is applied, none of the other directives, which speak of what was there.
fn added(value: Value, mode: Mode) -> Option<Value> {
    match value {
        Value::Object(map) if map.contains_key(DIRECTIVE) => None,
        Value::Object(map) => {
            let speaks = |key: &str| mode == Mode::Combine || !is_directive(key);
            let kept = map.into_iter().filter(|(key, _)| speaks(key));
            Some(Value::Object(kept.filter_map(|(key, value)| Some((key, added(value, mode)?))).collect()))
        }
        Value::Array(items) => Some(Value::Array(items.into_iter().filter_map(|item| added(item, mode)).collect())),
        scalar => Some(scalar),
    }
}

fn is_directive(key: &str) -> bool {
    key == RETAIN_KEYS || key.starts_with(DELETE_FROM) || key.starts_with(ELEMENT_ORDER)
}

/// `$retainKeys`: fields of the live map that are not named go.
fn retain_keys(into: &mut Object, patch: &mut Object, mode: Mode) -> Result<(), Refused> {
    let Some(wanted) = patch.remove(RETAIN_KEYS) else { return Ok(()) };
    if mode == Mode::Combine {
        if into.get(RETAIN_KEYS).is_some_and(|have| *have != wanted) {
            let what = "are not deep equal: this may happen when calculating the 3-way diff patch";
            return Err(Refused::Other(format!("{} and {} {what}", printed(&into[RETAIN_KEYS]), printed(&wanted))));
        }
        into.insert(RETAIN_KEYS.to_owned(), wanted);
        return Ok(());
    }
    let Value::Array(wanted) = wanted else { return Err(BAD_RETAIN_KEYS) };
    let named = |key: &str| wanted.iter().any(|w| w == key);
    if patch.iter().any(|(key, change)| !change.is_null() && !is_directive(key) && !named(key)) {
        return Err(BAD_RETAIN_KEYS);
    }
    into.retain(|key, _| named(key));
    Ok(())
}

/// `$deleteFromPrimitiveList/FIELD`: scalars to take out of a list.
fn delete_from(into: &mut Object, name: &str, unwanted: Value) -> Result<(), Refused> {
    let Some(Value::Array(items)) = into.get_mut(name) else { return Ok(()) };
    let unwanted = as_list(unwanted)?;
    items.retain(|item| !unwanted.contains(item));
    Ok(())
}

/// `$setElementOrder/FIELD`: merges the field now, in this order.
fn set_element_orders(into: &mut Object, patch: &mut Object, node: Node<'_>, mode: Mode) -> Result<(), Refused> {
    let keys: Vec<String> = patch.keys().filter(|k| k.starts_with(ELEMENT_ORDER)).cloned().collect();
    for key in keys {
        let order = patch.remove(&key).unwrap_or_default();
        if mode == Mode::Combine {
            if into.get(&key).is_some_and(|have| *have != order) {
                return Err(BAD_ELEMENT_ORDER);
            }
            into.insert(key.clone(), order.clone());
        }
        let order = as_list(order)?;
        let name = key.strip_prefix(ELEMENT_ORDER).and_then(|n| n.strip_prefix('/')).ok_or(BAD_ELEMENT_ORDER)?;
        set_element_order(into, patch, name, &order, node, mode)?;
    }
    Ok(())
}

fn set_element_order(
    into: &mut Object,
    patch: &mut Object,
    name: &str,
    order: &[Value],
    node: Node<'_>,
    mode: Mode,
) -> Result<(), Refused> {
    let place = below(node, name)?;
    let live = into.get(name).filter(|v| !v.is_null()).cloned().map(as_list).transpose()?;
    let change = patch.get(name).filter(|v| !v.is_null()).cloned().map(as_list).transpose()?;
    let key = place.merge.merge_key.as_ref();
    agrees_with_order(change.as_deref().unwrap_or(&[]), order, key)?;
    let merged = match (live.clone(), change) {
        (Some(live), None) => live,
        (None, Some(change)) => match added(Value::Array(change), mode) {
            Some(Value::Array(items)) => items,
            _ => return Ok(()),
        },
        (Some(live), Some(change)) if place.merge.patch_merge => merge_lists(live, change, place, mode)?,
        (Some(_), Some(change)) => change,
        (None, None) => return Ok(()),
    };
    let ordered = normalize(merged, order, &live.unwrap_or_default(), key)?;
    into.insert(name.to_owned(), Value::Array(ordered));
    patch.remove(name);
    Ok(())
}

/// Items of the patch must come in the order that the patch asks for.
fn agrees_with_order(change: &[Value], order: &[Value], key: &str) -> Result<(), Refused> {
    if order.is_empty() {
        return Ok(());
    }
    let mut rest = order.iter();
    for item in change.iter().filter(|i| i.get(DIRECTIVE).is_none()) {
        if !key.is_empty() && item.get(key).is_none() {
            return Err(no_merge_key(item, key));
        }
        if !rest.any(|wanted| super::lists::identity(wanted, key) == super::lists::identity(item, key)) {
            let (list, wanted) = (printed(&Value::Array(change.to_vec())), printed(&Value::Array(order.to_vec())));
            let message = format!("The order in patch list:\n{list}\n doesn't match {ELEMENT_ORDER} list:\n{wanted}\n");
            return Err(Refused::Other(message));
        }
    }
    Ok(())
}

fn merge_lists(live: Vec<Value>, patch: Vec<Value>, place: Node<'_>, mode: Mode) -> Result<Vec<Value>, Refused> {
    let Some(maps) = are_maps(&[&live, &patch])? else { return Ok(live) };
    let key = place.merge.merge_key.as_ref();
    if !maps {
        let mut merged: Vec<Value> = Vec::with_capacity(live.len() + patch.len());
        for item in live.iter().chain(&patch) {
            if !merged.contains(item) {
                merged.push(item.clone());
            }
        }
        return normalize(merged, &patch, &live, "");
    }
    if key.is_empty() {
        let of = place.element().and_then(|e| e.as_struct()).map_or("", |of| &of.definition);
        return Err(Refused::Other(format!("cannot merge lists without merge key for {of}")));
    }
    let (base, changes) = special_elements(live, patch, key)?;
    let element = place.element().unwrap_or(place);
    let mut merged = base.clone();
    for change in &changes {
        if change.get(key).is_none() {
            return Err(no_merge_key(change, key));
        }
        match index(&merged, change, key) {
            Some(at) => {
                let old = std::mem::take(&mut merged[at]);
                merged[at] = Value::Object(merge_maps(as_map(old)?, as_map(change.clone())?, element, mode)?);
            }
            None => merged.extend(added(change.clone(), mode)),
        }
    }
    normalize(merged, &changes, &base, key)
}

/// Items with `$patch` are orders, not items: deletions and replacement of the whole list.
fn special_elements(mut live: Vec<Value>, patch: Vec<Value>, key: &str) -> Result<(Vec<Value>, Vec<Value>), Refused> {
    let (mut changes, mut replace) = (Vec::new(), false);
    for item in patch {
        match item.get(DIRECTIVE) {
            None => changes.push(item),
            Some(directive) if directive == "delete" => {
                let wanted = item.get(key).ok_or_else(|| no_merge_key(&item, key))?;
                live.retain(|other| other.get(key) != Some(wanted));
            }
            Some(directive) if directive == "replace" => replace = true,
            Some(directive) if directive == "merge" => {
                return Err(Refused::Other("merging lists cannot yet be specified in the patch".into()));
            }
            Some(directive) => {
                return Err(unknown_directive(directive, &item));
            }
        }
    }
    if replace { Ok((changes, Vec::new())) } else { Ok((live, changes)) }
}
