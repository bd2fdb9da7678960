//! JSON merge patch, RFC 7386: nulls delete, maps merge, everything else replaces.

use serde_json::{Map, Value};

/// The tree with the patch merged in.
pub fn merge(tree: &Value, patch: &Value) -> Value {
    let mut out = tree.clone();
    merge_into(&mut out, patch);
    out
}

fn merge_into(tree: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *tree = patch.clone();
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
}
