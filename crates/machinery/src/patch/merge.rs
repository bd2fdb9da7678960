//! JSON merge patch, RFC 7386: nulls delete, maps merge, everything else replaces.

use serde_json::{Map, Value};

use super::discard_nulls;

/// The tree with the patch merged in.
pub fn merge(tree: &Value, patch: &Value) -> Value {
    let mut out = tree.clone();
    merge_into(&mut out, patch);
    out
}

fn merge_into(tree: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *tree = patch.clone();
        // Maps in a list are added whole, and their nulls mean nothing.
        discard_nulls(tree);
        return;
    };
    if !tree.is_object() {
        *tree = Value::Object(Map::new());
    }
    let Value::Object(map) = tree else { return };
    for (key, change) in patch {
        match (change, map.get_mut(key)) {
            (Value::Null, _) => drop(map.remove(key)),
            (_, Some(value)) => merge_into(value, change),
            (_, None) => merge_into(map.entry(key).or_insert(Value::Null), change),
        }
    }
}

/// The merge patch that turns `from` into `to`; an empty map when they are equal.
pub fn merge_diff(from: &Value, to: &Value) -> Value {
    let (Value::Object(from), Value::Object(to)) = (from, to) else { return to.clone() };
    let mut patch = Map::new();
    for key in from.keys().filter(|k| !to.contains_key(*k)) {
        patch.insert(key.clone(), Value::Null);
    }
    for (key, new) in to {
        match from.get(key) {
            Some(old) if old == new => {}
            Some(old) if old.is_object() && new.is_object() => {
                patch.insert(key.clone(), merge_diff(old, new));
            }
            _ => {
                patch.insert(key.clone(), new.clone());
            }
        }
    }
    Value::Object(patch)
}

/// kubectl apply for kinds without a built-in schema: what was in `original` (null when nothing was applied
/// before) and is not in `modified` is deleted; what differs between `current` and `modified` is set.
pub fn three_way_merge(original: &Value, modified: &Value, current: &Value) -> Value {
    let changes = keep(&merge_diff(current, modified), false).unwrap_or_else(|| Value::Object(Map::new()));
    let original = if original.is_null() { &Value::Object(Map::new()) } else { original };
    let deletions = keep(&merge_diff(original, modified), true);
    match deletions {
        Some(deletions) => combine(changes, deletions),
        None => changes,
    }
}

/// Only the deletions (nulls) of a patch, or only the rest; `None` when nothing is left of it.
fn keep(patch: &Value, nulls: bool) -> Option<Value> {
    match patch {
        Value::Object(map) => {
            let kept: Map<_, _> = map.iter().filter_map(|(k, v)| Some((k.clone(), keep(v, nulls)?))).collect();
            // An empty map that is itself the change stays.
            if kept.is_empty() && (nulls || !map.is_empty()) { None } else { Some(Value::Object(kept)) }
        }
        value => (value.is_null() == nulls).then(|| value.clone()),
    }
}

/// Two patches of which neither touches what the other does, as one.
fn combine(a: Value, b: Value) -> Value {
    match (a, b) {
        (Value::Object(mut a), Value::Object(b)) => {
            for (key, value) in b {
                let merged = match a.remove(&key) {
                    Some(have) => combine(have, value),
                    None => value,
                };
                a.insert(key, merged);
            }
            Value::Object(a)
        }
        (_, b) => b,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nulls_delete_and_maps_merge() {
        let tree = json!({"a": {"b": 1, "c": 2}, "d": [1, 2], "e": "x"});
        let patch = json!({"a": {"b": null, "n": {"m": null, "k": 1}}, "d": [3], "f": null});
        let merged = merge(&tree, &patch);
        assert_eq!(merged, json!({"a": {"c": 2, "n": {"k": 1}}, "d": [3], "e": "x"}));
        assert_eq!(merge(&tree, &merge_diff(&tree, &merged)), merged);
    }

    #[test]
    fn apply_deletes_only_what_was_applied() {
        let original = json!({"spec": {"a": 1, "b": 2, "list": [1]}});
        let modified = json!({"spec": {"a": 5, "list": [1, 2], "empty": {}}});
        let current = json!({"spec": {"a": 1, "b": 2, "server": true, "list": [1]}, "status": {}});
        let patch = three_way_merge(&original, &modified, &current);
        assert_eq!(patch, json!({"spec": {"a": 5, "b": null, "empty": {}, "list": [1, 2]}}));
        assert_eq!(three_way_merge(&modified, &modified, &merge(&current, &patch)), json!({}));
    }
}
