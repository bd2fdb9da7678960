//! What merging and comparing lists of a strategic patch share: finding by merge key, and order.

use serde_json::{Map, Value};

use super::{DIRECTIVE, Refused};
use crate::schema::printed;

/// The value that an item is found by: itself in lists of scalars (empty key).
pub fn identity<'a>(item: &'a Value, key: &str) -> Option<&'a Value> {
    if key.is_empty() { Some(item) } else { item.get(key) }
}

pub fn no_merge_key(item: &Value, key: &str) -> Refused {
    Refused::Other(format!("map: {} does not contain declared merge key: {key}", printed(item)))
}

pub fn bad_type(expected: &str, actual: &Value) -> Refused {
    let actual = match actual {
        Value::Null => "%!s(<nil>)",
        Value::Bool(_) => "bool",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    };
    Refused::Other(format!("expected a {expected}, but received a {actual}"))
}

pub fn as_map(item: Value) -> Result<Map<String, Value>, Refused> {
    match item {
        Value::Object(map) => Ok(map),
        other => Err(bad_type("map[string]interface {}", &other)),
    }
}

pub fn as_list(item: Value) -> Result<Vec<Value>, Refused> {
    match item {
        Value::Array(items) => Ok(items),
        other => Err(bad_type("[]interface {}", &other)),
    }
}

/// Where an item stands in a list, by merge key.
pub fn index(list: &[Value], item: &Value, key: &str) -> Option<usize> {
    let wanted = identity(item, key);
    list.iter().position(|other| identity(other, key) == wanted)
}

/// Items of one sort only: all maps, or all scalars. `None` for no items at all.
pub fn are_maps(lists: &[&[Value]]) -> Result<Option<bool>, Refused> {
    let mut sort = None;
    for item in lists.iter().copied().flatten() {
        let this = match item {
            Value::Object(_) => 0,
            Value::Array(_) => return Err(Refused::Content),
            Value::String(_) => 1,
            Value::Number(_) => 2,
            Value::Bool(_) => 3,
            Value::Null => 4,
        };
        if *sort.get_or_insert(this) != this {
            let all: Vec<_> = lists.iter().map(|l| printed(&Value::Array(l.to_vec()))).collect();
            return Err(Refused::Other(format!("list element types are not identical: [{}]", all.join(" "))));
        }
    }
    Ok(sort.map(|s| s == 0))
}

pub fn is_delete(item: &Value) -> bool {
    item[DIRECTIVE] == "delete"
}

/// Sorted by where items stand in `order`; deletions go last.
pub fn in_order(items: Vec<Value>, order: &[Value], key: &str) -> Vec<Value> {
    let (deletes, mut kept): (Vec<_>, Vec<_>) = items.into_iter().partition(|i| !key.is_empty() && is_delete(i));
    kept.sort_by_key(|item| index(order, item, key).unwrap_or(usize::MAX));
    kept.extend(deletes);
    kept
}

/// Brings a merged list into the order that the patch asks for (`wanted`), and weaves the items that only the
/// server knows in where the live list (`live`) has them.
pub fn normalize(merged: Vec<Value>, wanted: &[Value], live: &[Value], key: &str) -> Result<Vec<Value>, Refused> {
    if let Some(item) = merged.iter().find(|i| !key.is_empty() && i.get(key).is_none()) {
        return Err(no_merge_key(item, key));
    }
    let (patch, server): (Vec<_>, Vec<_>) = merged.into_iter().partition(|i| index(wanted, i, key).is_some());
    let patch = in_order(patch, wanted, key);
    let server = in_order(server, live, key);
    Ok(weave(server, patch, live, key))
}

/// Merges two lists that are in order: a server item goes first where the live list has it before the next one.
fn weave(server: Vec<Value>, patch: Vec<Value>, live: &[Value], key: &str) -> Vec<Value> {
    let mut woven = Vec::with_capacity(server.len() + patch.len());
    let (mut left, mut right) = (server.into_iter().peekable(), patch.into_iter().peekable());
    while let (Some(l), Some(r)) = (left.peek(), right.peek()) {
        let before = match (index(live, l, key), index(live, r, key)) {
            (Some(l), Some(r)) => l < r,
            _ => false,
        };
        woven.extend(if before { left.next() } else { right.next() });
    }
    woven.extend(left);
    woven.extend(right);
    woven
}
