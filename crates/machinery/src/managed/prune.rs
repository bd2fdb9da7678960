//! Merging a configuration by the schema, and taking out what its applier no longer asks for.

use serde_json::Value;

use super::compare::path_element;
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
    // Everybody owns the name, though no entry says so: metadata never goes as a whole.
    let name = Fields::from_iter([(field("name"), sets::leaf())]);
    let mut owned = Fields::from_iter([(field("metadata"), Value::Object(name))]);
    for entry in &entries.0 {
        sets::unite(&mut owned, entry.fields.clone());
    }
    remove(node, merged, last, &owned)
}

/// What loses all that it had becomes null, which the canonical form takes for absent.
fn remove(node: Node<'_>, value: Value, last: &Fields, owned: &Fields) -> Value {
    if last.is_empty() || node.is_atomic() || !has_content(&value) {
        return value;
    }
    let left = match value {
        Value::Object(map) => {
            let named = node.as_struct().is_some();
            let kept = map.into_iter().filter_map(|(name, value)| {
                let element = field(&name);
                let stays = if named { stays_named(last, owned, &element) } else { stays(last, owned, &element) };
                Some((keep(node.child(&name)?, value, &element, stays, last, owned)?, name))
            });
            Value::Object(kept.map(|(value, name)| (name, value)).collect())
        }
        Value::Array(items) => {
            let Some(element) = node.element() else { return Value::Array(items) };
            let kept = items.into_iter().filter_map(|item| match path_element(node, element, &item) {
                Some(path) => keep(element, item, &path, stays(last, owned, &path), last, owned),
                None => Some(item),
            });
            Value::Array(kept.collect())
        }
        scalar => scalar,
    };
    if has_content(&left) { left } else { Value::Null }
}

fn keep(node: Node<'_>, value: Value, element: &str, stays: bool, last: &Fields, owned: &Fields) -> Option<Value> {
    stays.then(|| remove(node, value, sets::below(last, element), sets::below(owned, element)))
}

/// Items and keys of maps stay while somebody owns them as such.
fn stays(last: &Fields, owned: &Fields, element: &str) -> bool {
    !sets::has(last, element) || sets::has(owned, element)
}

/// Fields of structs stay while somebody owns anything in them.
fn stays_named(last: &Fields, owned: &Fields, element: &str) -> bool {
    !last.contains_key(element) || owned.contains_key(element)
}

fn has_content(value: &Value) -> bool {
    match value {
        Value::Object(map) => !map.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => true,
    }
}
