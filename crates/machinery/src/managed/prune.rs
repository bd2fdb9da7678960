//! Merging a configuration by the schema, and taking out what its applier no longer asks for.

use serde_json::{Map, Value};

use super::compare::{fields_of, path_element};
use super::entries::Entries;
use super::sets::{self, Fields, field};
use crate::schema::{Node, Type};

/// The live tree with the configuration's fields set: maps and keyed lists merge, the rest is replaced.
pub fn merge(node: Node<'_>, live: &Value, config: &Value) -> Value {
    if node.is_atomic() {
        return config.clone();
    }
    match (live, config) {
        (Value::Object(live), Value::Object(config)) => {
            let mut out = live.clone();
            for (name, wanted) in config {
                let merged = match (live.get(name), node.child(name)) {
                    (Some(have), Some(child)) => merge(child, have, wanted),
                    _ => wanted.clone(),
                };
                out.insert(name.clone(), merged);
            }
            Value::Object(out)
        }
        (Value::Array(live), Value::Array(config)) if matches!(node.ty, Type::List(_)) => {
            merge_items(node, live, config)
        }
        // Null is an empty map or list, and adds nothing.
        (live, Value::Null) if has_content(live) => live.clone(),
        _ => config.clone(),
    }
}

/// Items that both sides have come in the configuration's order, and live ones that it does not name stay before
/// what they stood before.
fn merge_items(node: Node<'_>, live: &[Value], config: &[Value]) -> Value {
    let Some(element) = node.element() else { return Value::Array(config.to_vec()) };
    let path = |item: &Value| path_element(node, element, item);
    let (have, wanted): (Vec<_>, Vec<_>) = (live.iter().map(path).collect(), config.iter().map(path).collect());
    let mut shared = wanted.iter().filter(|path| have.contains(path)).peekable();
    let mut out = Vec::with_capacity(live.len() + config.len());
    let (mut l, mut r) = (0, 0);
    while l < live.len() || r < config.len() {
        if l < live.len() && !wanted.contains(&have[l]) {
            out.push(live[l].clone());
            l += 1;
        } else if r == config.len() || l < live.len() && have[l] != wanted[r] && shared.peek() != Some(&&have[l]) {
            // Its turn comes, or came, in the configuration's order.
            l += 1;
        } else {
            let at = have.iter().position(|path| *path == wanted[r]);
            out.push(at.map_or_else(|| config[r].clone(), |at| merge(element, &live[at], &config[r])));
            if l < live.len() && have[l] == wanted[r] {
                l += 1;
            }
            shared.next_if(|path| **path == wanted[r]);
            r += 1;
        }
    }
    Value::Array(out)
}

/// Takes out what this applier owned (`last`), does not ask for now, and nobody else owns.
pub fn prune(node: Node<'_>, merged: Value, last: &Fields, entries: &Entries) -> Value {
    if last.is_empty() {
        return merged;
    }
    let mut owned = Fields::new();
    for entry in &entries.0 {
        sets::unite(&mut owned, entry.fields.clone());
    }
    let mut gone = sets::difference(last, &owned);
    // Only what is there can go, and a place goes with all below only when nobody owns anything there.
    gone = sets::intersection(&gone, &with_parents(&fields_of(node, &merged)));
    remove(node, merged, &gone, &owned).unwrap_or(Value::Null)
}

/// The same set with every place on the way to a member as a member.
fn with_parents(set: &Fields) -> Fields {
    let mut out = Fields::new();
    for (element, value) in set.iter().filter(|(element, _)| *element != ".") {
        let (_, below) = sets::parts(value.clone());
        out.extend(sets::place(true, with_parents(&below)).map(|p| (element.clone(), p)));
    }
    out
}

/// The value without the places in `gone`; `None` when nothing that anyone wants is left of a map or list.
fn remove(node: Node<'_>, value: Value, gone: &Fields, owned: &Fields) -> Option<Value> {
    if gone.is_empty() {
        return Some(value);
    }
    match value {
        Value::Object(map) => {
            let kept: Map<_, _> = map
                .into_iter()
                .filter_map(|(name, value)| {
                    let element = field(&name);
                    let child = node.child(&name)?;
                    Some((name, keep(child, value, &element, gone, owned)?))
                })
                .collect();
            Some(Value::Object(kept))
        }
        Value::Array(items) => {
            let element = node.element()?;
            let kept: Vec<_> = items
                .into_iter()
                .filter_map(|item| match path_element(node, element, &item) {
                    Some(path) => keep(element, item, &path, gone, owned),
                    None => Some(item),
                })
                .collect();
            (!kept.is_empty()).then_some(Value::Array(kept))
        }
        scalar => Some(scalar),
    }
}

fn keep(node: Node<'_>, value: Value, element: &str, gone: &Fields, owned: &Fields) -> Option<Value> {
    let (below_gone, below_owned) = (sets::below(gone, element), sets::below(owned, element));
    if sets::has(gone, element) && !owned.contains_key(element) {
        return None;
    }
    let (was, left) = (has_content(&value), remove(node, value, below_gone, below_owned));
    // A map that lost its last field to this goes too, unless somebody asks for it.
    left.filter(|left| !was || has_content(left) || owned.contains_key(element))
}

fn has_content(value: &Value) -> bool {
    match value {
        Value::Object(map) => !map.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => true,
    }
}
