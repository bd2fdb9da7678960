use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::schema::{Absent, Arena, Field, Items, Merge, Struct, Zero};

fn field(name: &'static str, ty: Type, absent: Absent, merge: u16) -> Field {
    let default = if name == "protocol" { "TCP" } else { "" };
    Field {
        name: name.into(),
        ty,
        absent,
        zero: Zero::Drop,
        required: false,
        key_default: default.into(),
        go: "".into(),
        merge,
    }
}

/// metadata (labels), spec (ports by port and protocol, a set, an atomic list, replicas), status.
fn schema() -> Schema {
    let of = |definition: &'static str, fields: Vec<Field>| {
        let always = crate::schema::pack::always(&fields);
        Struct { definition: definition.into(), fields, always, ..Struct::default() }
    };
    let plain = |name, ty| field(name, ty, Absent::Leave, 0);
    let structs = vec![
        of(
            "x.v1.Meta",
            vec![
                plain("annotations", Type::Map(0)),
                plain("creationTimestamp", Type::Time),
                plain("labels", Type::Map(0)),
                plain("managedFields", Type::List(2)),
                plain("name", Type::String),
                plain("uid", Type::String),
            ],
        ),
        of("x.v1.Port", vec![plain("name", Type::String), plain("port", Type::Int32), plain("protocol", Type::String)]),
        of(
            "x.v1.Spec",
            vec![
                plain("atomic", Type::List(0)),
                field("ports", Type::List(1), Absent::Leave, 1),
                plain("replicas", Type::Int32),
                field("set", Type::List(0), Absent::Leave, 2),
            ],
        ),
        of("x.v1.Status", vec![plain("phase", Type::String)]),
        of(
            "x.v1.Thing",
            vec![
                plain("apiVersion", Type::String),
                plain("kind", Type::String),
                field("metadata", Type::Struct(0), Absent::Zero, 0),
                field("spec", Type::Struct(2), Absent::Zero, 0),
                field("status", Type::Struct(3), Absent::Zero, 0),
            ],
        ),
    ];
    let merges = vec![
        Merge::default(),
        Merge { items: Items::Map(vec!["port".into(), "protocol".into()]), ..Merge::default() },
        Merge { items: Items::Set, ..Merge::default() },
    ];
    let elements = vec![Type::String, Type::Struct(1), Type::Any];
    Schema::new(Arc::new(Arena { structs, elements, merges }), 4)
}

const WRITER: Writer<'static> = Writer { manager: "a", api_version: "x/v1", subresource: "", now: "T1" };

fn tracked(old: &Value, mut new: Value, writer: Writer<'_>) -> Value {
    track(&schema(), old, &mut new, &writer);
    new
}

fn fields(object: &Value, manager: &str) -> Value {
    let entries = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    entries.into_iter().find(|e| e["manager"] == manager).map(|e| e["fieldsV1"].clone()).unwrap_or_default()
}

fn thing() -> Value {
    json!({
        "apiVersion": "x/v1", "kind": "Thing", "metadata": {"name": "n", "uid": "u", "labels": {"l": "1"}},
        "spec": {"replicas": 1, "ports": [{"port": 80}], "set": ["s"], "atomic": ["x"]}, "status": {},
    })
}

#[test]
fn a_create_owns_what_it_says() {
    let object = tracked(&Value::Null, thing(), WRITER);
    assert_eq!(
        object["metadata"]["managedFields"],
        json!([{
            "apiVersion": "x/v1", "fieldsType": "FieldsV1", "manager": "a", "operation": "Update", "time": "T1",
            "fieldsV1": {
                "f:metadata": {"f:labels": {".": {}, "f:l": {}}},
                "f:spec": {
                    "f:atomic": {}, "f:replicas": {}, "f:set": {".": {}, "v:\"s\"": {}},
                    "f:ports": {".": {}, "k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:port": {}}},
                },
            },
        }])
    );
}

#[test]
fn changes_change_hands_and_nothing_moves_without_one() {
    let first = tracked(&Value::Null, thing(), WRITER);
    let mut second = first.clone();
    second["spec"]["replicas"] = json!(2);
    second["spec"]["set"] = json!([]);
    second["metadata"]["labels"] = json!({"l": "1", "m": "2"});
    let second = tracked(&first, second, Writer { manager: "b", now: "T2", ..WRITER });
    assert_eq!(fields(&second, "b"), json!({"f:metadata": {"f:labels": {"f:m": {}}}, "f:spec": {"f:replicas": {}}}));
    assert_eq!(fields(&second, "a")["f:spec"]["f:set"], json!({}));
    assert_eq!(fields(&second, "a")["f:spec"]["f:replicas"], Value::Null);
    let third = tracked(&second, second.clone(), Writer { manager: "c", now: "T3", ..WRITER });
    assert_eq!(third, second);
    let mut fourth = second.clone();
    fourth["spec"].as_object_mut().unwrap().remove("replicas");
    let fourth = tracked(&second, fourth, WRITER);
    assert_eq!(fields(&fourth, "b"), json!({"f:metadata": {"f:labels": {"f:m": {}}}}));
    assert_eq!(fourth["metadata"]["managedFields"][0]["time"], "T1");
}

#[test]
fn status_is_tracked_apart_and_a_reset_starts_anew() {
    let first = tracked(&Value::Null, thing(), WRITER);
    let mut second = first.clone();
    second["status"]["phase"] = json!("Running");
    second["spec"]["replicas"] = json!(7);
    let writer = Writer { manager: "k", subresource: "status", ..WRITER };
    let second = tracked(&first, second, writer);
    assert_eq!(fields(&second, "k"), json!({"f:status": {"f:phase": {}}}));
    assert_eq!(second["metadata"]["managedFields"][1]["subresource"], "status");
    let mut third = second.clone();
    third["metadata"]["managedFields"] = json!([{}]);
    let third = tracked(&second, third, WRITER);
    assert_eq!(third["metadata"]["managedFields"], Value::Null);
}

#[test]
fn many_updaters_become_one_bucket() {
    let mut object = tracked(&Value::Null, thing(), WRITER);
    for i in 0..12 {
        let mut next = object.clone();
        next["metadata"]["labels"][format!("k{i}")] = json!("v");
        let (manager, now) = (format!("m{i:02}"), format!("T{}", i + 10));
        object = tracked(&object, next, Writer { manager: &manager, now: &now, ..WRITER });
    }
    let list = object["metadata"]["managedFields"].as_array().unwrap();
    assert_eq!((list.len(), list[0]["manager"].as_str()), (10, Some("ancient-changes")));
}

#[test]
fn apply_owns_prunes_and_conflicts() {
    let config = json!({"apiVersion": "x/v1", "kind": "Thing", "metadata": {"name": "n", "labels": {"l": "1", "m": "2"}},
        "spec": {"replicas": 1, "ports": [{"port": 80, "protocol": "TCP", "name": "web"}]}});
    let created = apply(&schema(), &Value::Null, &config, &WRITER, false).unwrap().object;
    assert_eq!(created["metadata"]["managedFields"][0]["operation"], "Apply");
    assert_eq!(
        fields(&created, "a"),
        json!({
            "f:metadata": {"f:labels": {"f:l": {}, "f:m": {}}},
            "f:spec": {"f:replicas": {}, "f:ports": {
                "k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:name": {}, "f:port": {}, "f:protocol": {}}}},
        })
    );
    let same = apply(&schema(), &created, &config, &Writer { now: "T9", ..WRITER }, false).unwrap();
    assert!(same.same && same.object == created);

    // Another manager scales; applying the old number conflicts, not saying it lets go.
    let mut scaled = created.clone();
    scaled["spec"]["replicas"] = json!(3);
    let scaled = tracked(&created, scaled, Writer { manager: "hpa", ..WRITER });
    let refused = apply(&schema(), &scaled, &config, &WRITER, false).unwrap_err();
    assert_eq!(refused.message, "Apply failed with 1 conflict: conflict with \"hpa\" using x/v1: .spec.replicas");
    let other = json!({"apiVersion": "x/v1", "kind": "Thing", "metadata": {"name": "n", "labels": {"m": "3"}},
        "spec": {"replicas": 9, "ports": [{"port": 80, "protocol": "TCP", "name": "no"}]}});
    let refused = apply(&schema(), &scaled, &other, &Writer { manager: "z", ..WRITER }, false).unwrap_err();
    let expected = "Apply failed with 3 conflicts: conflicts with \"a\":\n- .metadata.labels.m\n- .spec.ports[port=80,protocol=\"TCP\"].name\nconflicts with \"hpa\" using x/v1:\n- .spec.replicas";
    assert_eq!(refused.message, expected);
    assert_eq!(refused.details.unwrap().causes[2].field, ".spec.replicas");
    let forced = apply(&schema(), &scaled, &config, &WRITER, true).unwrap().object;
    assert_eq!((&forced["spec"]["replicas"], fields(&forced, "hpa")), (&json!(1), Value::Null));

    let less =
        json!({"apiVersion": "x/v1", "kind": "Thing", "metadata": {"name": "n", "labels": {"l": "1"}}, "spec": {}});
    let pruned = apply(&schema(), &scaled, &less, &WRITER, false).unwrap().object;
    assert_eq!(pruned["metadata"]["labels"], json!({"l": "1"}));
    assert_eq!(pruned["spec"], json!({"replicas": 3}));
}

#[test]
fn kubectl_takes_over_what_it_applied_client_side() {
    let config = json!({"apiVersion": "x/v1", "kind": "Thing", "metadata": {"name": "n"}, "spec": {"replicas": 1}});
    let mut made = config.clone();
    let key = "kubectl.kubernetes.io/last-applied-configuration";
    made["metadata"]["annotations"] = json!({key: config.to_string()});
    let live = tracked(&Value::Null, made, Writer { manager: "kubectl-client-side-apply", ..WRITER });
    let mut config = config;
    config["spec"]["replicas"] = json!(2);
    assert!(apply(&schema(), &live, &config, &WRITER, false).is_err());
    let kubectl = Writer { manager: "kubectl", ..WRITER };
    let after = apply(&schema(), &live, &config, &kubectl, false).unwrap().object;
    assert_eq!(after["spec"]["replicas"], 2);
    let said: Value = serde_json::from_str(after["metadata"]["annotations"][key].as_str().unwrap()).unwrap();
    assert_eq!(said, config);
}

#[test]
fn a_status_that_is_applied_to_the_object_is_not_managed() {
    let config = json!({"apiVersion": "x/v1", "kind": "Thing", "metadata": {"name": "n"}, "spec": {"replicas": 1}, "status": {"phase": "x"}});
    let created = apply(&schema(), &Value::Null, &config, &WRITER, false).unwrap().object;
    assert_eq!(fields(&created, "a"), json!({"f:spec": {"f:replicas": {}}}));
}

#[test]
fn metadata_stays_when_the_last_label_goes() {
    let config =
        |labels: Value| json!({"apiVersion": "x/v1", "kind": "Thing", "metadata": {"name": "n", "labels": labels}});
    let created = apply(&schema(), &Value::Null, &config(json!({"l": "1"})), &WRITER, false).unwrap().object;
    let bare = json!({"apiVersion": "x/v1", "kind": "Thing", "metadata": {"name": "n"}});
    let after = apply(&schema(), &created, &bare, &WRITER, false).unwrap().object;
    assert_eq!((&after["metadata"]["name"], &after["metadata"]["labels"]), (&json!("n"), &Value::Null));
}
