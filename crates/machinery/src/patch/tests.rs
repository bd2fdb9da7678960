use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::schema::{Absent, Arena, Field, Merge, Schema, Struct, Zero};

fn field(name: &'static str, ty: Type, merge: u16) -> Field {
    let (absent, zero) = (Absent::Leave, Zero::Drop);
    Field { name: name.into(), ty, absent, zero, required: false, key_default: "".into(), go: "".into(), merge }
}

/// Items with `name`, `value` and `tags`; a root with lists of every sort, a strategy that retains keys, labels.
fn schema() -> Schema {
    let merged = |key: &'static str, retain_keys| Merge {
        patch_merge: true,
        retain_keys,
        merge_key: key.into(),
        ..Merge::default()
    };
    let merges = vec![
        Merge::default(),
        merged("name", false),
        merged("", false),
        Merge { retain_keys: true, ..Merge::default() },
        merged("name", true),
        Merge { patch_replace: true, ..Merge::default() },
    ];
    let item = vec![field("name", Type::String, 0), field("tags", Type::List(1), 2), field("value", Type::String, 0)];
    let root = vec![
        field("atomic", Type::List(0), 0),
        field("items", Type::List(0), 1),
        field("labels", Type::Map(1), 0),
        field("set", Type::List(1), 2),
        field("strategy", Type::Struct(0), 3),
        field("volumes", Type::List(0), 4),
        field("whole", Type::Struct(0), 5),
    ];
    let structs = vec![
        Struct { definition: "x.v1.Item".into(), fields: item, ..Struct::default() },
        Struct { definition: "x.v1.Root".into(), fields: root, ..Struct::default() },
    ];
    Schema::new(Arc::new(Arena { structs, elements: vec![Type::Struct(0), Type::String], merges }), 1)
}

fn patched(tree: Value, patch: Value) -> Value {
    strategic(&schema(), &tree, &patch).unwrap()
}

#[test]
fn lists_merge_by_key_and_keep_the_servers_order() {
    let tree = json!({"items": [{"name": "a", "value": "1"}, {"name": "b"}, {"name": "c"}]});
    assert_eq!(
        patched(tree.clone(), json!({"items": [{"name": "d"}, {"name": "b", "value": "2"}]})),
        json!({"items": [{"name": "d"}, {"name": "a", "value": "1"}, {"name": "b", "value": "2"}, {"name": "c"}]})
    );
    assert_eq!(
        patched(tree.clone(), json!({"items": [{"name": "b", "$patch": "delete"}]})),
        json!({"items": [{"name": "a", "value": "1"}, {"name": "c"}]})
    );
    assert_eq!(
        patched(tree.clone(), json!({"items": [{"$patch": "replace"}, {"name": "z"}]})),
        json!({"items": [{"name": "z"}]})
    );
    assert_eq!(
        patched(
            tree,
            json!({"$setElementOrder/items": [{"name": "c"}, {"name": "a"}], "items": [{"name": "a", "value": null}]})
        ),
        json!({"items": [{"name": "b"}, {"name": "c"}, {"name": "a"}]})
    );
}

#[test]
fn directives_do_what_they_say() {
    let tree = json!({"set": ["a", "b"], "labels": {"x": "1", "y": "2"}, "strategy": {"name": "A", "value": "v"}, "atomic": [1]});
    assert_eq!(patched(tree.clone(), json!({"set": ["c", "a"]}))["set"], json!(["c", "a", "b"]));
    assert_eq!(patched(tree.clone(), json!({"$deleteFromPrimitiveList/set": ["a"]}))["set"], json!(["b"]));
    assert_eq!(patched(tree.clone(), json!({"labels": {"$patch": "replace", "z": "3"}}))["labels"], json!({"z": "3"}));
    assert_eq!(patched(tree.clone(), json!({"labels": {"$patch": "delete"}}))["labels"], json!({}));
    assert_eq!(
        patched(tree.clone(), json!({"labels": {"x": null, "n": {"k": null}}}))["labels"],
        json!({"n": {}, "y": "2"})
    );
    assert_eq!(
        patched(tree.clone(), json!({"strategy": {"$retainKeys": ["name"], "name": "B"}}))["strategy"],
        json!({"name": "B"})
    );
    assert_eq!(patched(tree, json!({"atomic": [2]}))["atomic"], json!([2]));
}

#[test]
fn malformed_patches_are_refused_in_upstreams_words() {
    let refused = |tree: Value, patch: Value| strategic(&schema(), &tree, &patch).unwrap_err();
    let status = refused(json!({"strategy": {}}), json!({"strategy": {"$retainKeys": ["name"], "value": "x"}}));
    assert_eq!((status.code, status.message.as_str()), (400, "invalid patch format of retainKeys"));
    let status = refused(json!({"items": [{"name": "a"}]}), json!({"items": [{"value": "x"}]}));
    assert_eq!(
        (status.code, status.message.as_str()),
        (422, "map: map[value:x] does not contain declared merge key: name")
    );
    assert_eq!(
        refused(json!({"labels": {}}), json!({"labels": {"$patch": "x"}})).message,
        "unknown patch type: x in map: map[]"
    );
}

#[test]
fn a_diff_applied_gives_the_other_tree() {
    let trees = [
        json!({}),
        json!({"items": [{"name": "a", "value": "1", "tags": ["x", "y"]}, {"name": "b"}], "set": ["p", "q"]}),
        json!({"items": [{"name": "b", "value": "2"}, {"name": "a", "tags": ["y", "z"]}, {"name": "c"}], "set": ["q"]}),
        json!({"items": [{"name": "c"}], "labels": {"k": "v"}, "strategy": {"name": "R", "value": "1"}, "atomic": [1, 2]}),
        json!({"labels": {"l": "v"}, "strategy": {"name": "S"}, "atomic": [2], "volumes": [{"name": "v", "value": "1"}]}),
        json!({"volumes": [{"name": "v", "tags": ["t"]}], "whole": {"name": "w"}, "set": ["q", "p"]}),
    ];
    for from in &trees {
        for to in &trees {
            let patch = two_way(&schema(), from, to).unwrap();
            assert_eq!(&patched(from.clone(), patch.clone()), to, "{from} → {to} by {patch}");
        }
    }
}

#[test]
fn apply_leaves_what_others_added() {
    let original =
        json!({"items": [{"name": "a", "value": "1"}, {"name": "b"}], "labels": {"gone": "1"}, "set": ["x", "y"]});
    let modified = json!({"items": [{"name": "a", "value": "2"}], "labels": {"kept": "1"}, "set": ["y"]});
    let current = json!({
        "items": [{"name": "a", "value": "1", "tags": ["server"]}, {"name": "b"}, {"name": "other"}],
        "labels": {"gone": "1", "server": "1"}, "set": ["x", "y", "z"],
    });
    let patch = three_way(&schema(), &original, &modified, &current).unwrap();
    assert_eq!(
        patch,
        json!({
            "$setElementOrder/items": [{"name": "a"}], "$setElementOrder/set": ["y"], "$deleteFromPrimitiveList/set": ["x"],
            "items": [{"name": "a", "value": "2"}, {"name": "b", "$patch": "delete"}], "labels": {"gone": null, "kept": "1"},
        })
    );
    let live = patched(current, patch);
    assert_eq!(
        live,
        json!({
            "items": [{"name": "a", "value": "2", "tags": ["server"]}, {"name": "other"}],
            "labels": {"kept": "1", "server": "1"}, "set": ["y", "z"],
        })
    );
    assert_eq!(
        three_way(&schema(), &modified, &modified, &live).unwrap(),
        json!({"$setElementOrder/items": [{"name": "a"}], "$setElementOrder/set": ["y"]})
    );
}
