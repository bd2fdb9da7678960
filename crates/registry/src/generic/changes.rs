//! What an update changed: whether anything, and whether it counts as a new generation.

use api::Kind;
use machinery::meta;
use machinery::tree;
use serde_json::Value;

/// Fields of metadata that an update cannot remove or change.
pub fn keep_system_fields(new: &mut Value, old: &Value) {
    let before = &old["metadata"];
    let metadata = tree::map_mut(new, "metadata");
    if metadata.get("uid").and_then(Value::as_str).unwrap_or_default().is_empty() {
        put(metadata, "uid", &before["uid"]);
    }
    put(metadata, "generation", &before["generation"]);
    put(metadata, "creationTimestamp", &before["creationTimestamp"]);
    // What is not there yet cannot be set either: that is for validation to say.
    if !before["deletionTimestamp"].is_null() {
        put(metadata, "deletionTimestamp", &before["deletionTimestamp"]);
    }
    if metadata.get("deletionGracePeriodSeconds").is_none() {
        put(metadata, "deletionGracePeriodSeconds", &before["deletionGracePeriodSeconds"]);
    }
    metadata.remove("selfLink");
}

fn put(metadata: &mut serde_json::Map<String, Value>, field: &str, value: &Value) {
    match value {
        Value::Null => metadata.remove(field),
        value => metadata.insert(field.to_owned(), value.clone()),
    };
}

/// Puts everything back but metadata and status: an update of `status` changes nothing else.
pub fn only_status(new: &mut Value, old: &Value) {
    let Some(map) = new.as_object_mut() else { return };
    map.retain(|field, _| matches!(field.as_str(), "kind" | "apiVersion" | "metadata" | "status"));
    for (field, value) in old.as_object().into_iter().flatten() {
        if !matches!(field.as_str(), "metadata" | "status") {
            map.insert(field.clone(), value.clone());
        }
    }
    put(tree::map_mut(new, "metadata"), "ownerReferences", &old["metadata"]["ownerReferences"]);
}

/// Counts the generation up when anything but metadata and status changed.
pub fn count_generation(kind: &Kind, new: &mut Value, old: &Value) {
    let counted = kind.generation_metadata.iter();
    let kept = counted.copied().all(|field| new["metadata"][field] == old["metadata"][field]);
    if kept && same_but(new, old, &["metadata", "status"]) {
        return;
    }
    tree::set(new, "metadata.generation", meta::generation(old) + 1);
}

/// Equal, but for the times in managedFields: then nothing was changed, and the old times stay.
pub fn unchanged(new: &mut Value, old: &Value) -> bool {
    let same = same_but(new, old, &["metadata"])
        && same_but(&new["metadata"], &old["metadata"], &["managedFields"])
        && same_managers(&new["metadata"]["managedFields"], &old["metadata"]["managedFields"]);
    if same {
        put(tree::map_mut(new, "metadata"), "managedFields", &old["metadata"]["managedFields"]);
    }
    same
}

fn same_managers(new: &Value, old: &Value) -> bool {
    let list = |value: &Value| value.as_array().map_or(0, Vec::len);
    let pairs = new.as_array().into_iter().flatten().zip(old.as_array().into_iter().flatten());
    list(new) == list(old) && pairs.into_iter().all(|(a, b)| same_but(a, b, &["time"]))
}

/// Whether two maps are equal in all fields but these.
fn same_but(a: &Value, b: &Value, fields: &[&str]) -> bool {
    let (Some(a), Some(b)) = (a.as_object(), b.as_object()) else { return a == b };
    let counts = |(name, value): &(&String, &Value)| !fields.contains(&name.as_str()) && !value.is_null();
    a.iter().filter(counts).eq(b.iter().filter(counts))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_generation_counts_the_spec_only() {
        let old = json!({"metadata": {"generation": 3}, "spec": {"a": 1}, "status": {}});
        let mut new =
            json!({"metadata": {"generation": 3, "labels": {"x": "y"}}, "spec": {"a": 1}, "status": {"b": 1}});
        count_generation(&Kind::BASE, &mut new, &old);
        assert_eq!(meta::generation(&new), 3);
        new["spec"]["a"] = 2.into();
        count_generation(&Kind::BASE, &mut new, &old);
        assert_eq!(meta::generation(&new), 4);
    }

    #[test]
    fn some_kinds_count_metadata_too() {
        let old = json!({"metadata": {"generation": 3}, "endpoints": []});
        let labelled = json!({"metadata": {"generation": 3, "labels": {"x": "y"}}, "endpoints": []});
        let generation = |of: &Kind| {
            let mut new = labelled.clone();
            count_generation(of, &mut new, &old);
            meta::generation(&new)
        };
        assert_eq!(generation(&Kind::BASE), 3);
        assert_eq!(generation(&Kind { generation_metadata: &["labels"], ..Kind::BASE }), 4);
        assert_eq!(generation(&Kind { generation_metadata: &["annotations"], ..Kind::BASE }), 3);
    }

    #[test]
    fn times_of_managers_alone_are_no_change() {
        let at = |time: &str, manager: &str| json!([{"manager": manager, "time": time}]);
        let old = json!({"metadata": {"name": "a", "managedFields": at("1", "m")}, "spec": {}});
        let mut new = json!({"metadata": {"name": "a", "managedFields": at("2", "m")}, "spec": {}});
        assert!(unchanged(&mut new, &old));
        assert_eq!(new, old);
        let mut other = json!({"metadata": {"name": "a", "managedFields": at("2", "n")}, "spec": {}});
        assert!(!unchanged(&mut other, &old));
    }

    #[test]
    fn an_update_of_status_puts_the_rest_back() {
        let old = json!({"kind": "A", "metadata": {"ownerReferences": [1]}, "spec": {"a": 1}, "status": {"s": 1}});
        let mut new = json!({"kind": "A", "metadata": {"annotations": {}}, "data": {}, "status": {"s": 2}});
        only_status(&mut new, &old);
        let metadata = json!({"annotations": {}, "ownerReferences": [1]});
        assert_eq!(new, json!({"kind": "A", "metadata": metadata, "spec": {"a": 1}, "status": {"s": 2}}));
    }
}
