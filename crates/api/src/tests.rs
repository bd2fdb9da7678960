//! What holds for every kind of the table.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use machinery::field::Problems;
use serde_json::{Value, json};

use crate::kind::{Held, Scope};
use crate::{EXCHANGED, KINDS, Kind, by_kind};

/// The facts of the published API: group/version, resource, kind, scope, actions.
const RESOURCES: &str = include_str!("../facts/resources.facts");

struct Fact {
    kind: String,
    namespaced: bool,
    actions: BTreeSet<&'static str>,
}

fn facts() -> BTreeMap<(&'static str, &'static str), Fact> {
    let lines = RESOURCES.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| {
            let columns: Vec<_> = line.split('\t').collect();
            let [version, resource, kind, scope, actions, ..] = columns[..] else { return None };
            let actions = actions.split(',').collect();
            Some(((version, resource), Fact { kind: kind.into(), namespaced: scope == "namespaced", actions }))
        })
        .collect()
}

/// Discovery's verb for an action of the published API.
fn verb(action: &str) -> &str {
    match action {
        "post" => "create",
        "put" => "update",
        other => other,
    }
}

fn api_version(kind: &Kind) -> &'static str {
    kind.api_version().leak()
}

#[test]
fn names_and_verbs_are_those_of_the_published_api() {
    let facts = facts();
    for kind in KINDS {
        let fact = &facts[&(api_version(kind), kind.plural)];
        assert_eq!(fact.kind, kind.kind);
        assert_eq!(fact.namespaced, kind.scope == Scope::Namespaced, "{}", kind.plural);
        let wanted: BTreeSet<_> = fact.actions.iter().map(|a| verb(a)).collect();
        let served: BTreeSet<_> = kind.verbs.iter().copied().filter(|v| *v != "watch").collect();
        assert_eq!(served, wanted, "{}", kind.plural);
        assert_eq!(kind.singular, kind.kind.to_lowercase());
        assert!(kind.verbs.is_sorted());
        assert_eq!(kind.held == Held::Stored, kind.verbs.contains(&"watch"), "{}", kind.plural);
    }
}

#[test]
fn subresources_are_those_of_the_published_api() {
    let facts = facts();
    for kind in KINDS {
        let prefix = format!("{}/", kind.plural);
        let wanted: BTreeSet<_> = facts
            .iter()
            .filter(|((version, resource), _)| *version == api_version(kind) && resource.starts_with(&prefix))
            .map(|((_, resource), fact)| (&resource[prefix.len()..], fact.kind.as_str()))
            .collect();
        let served: BTreeSet<_> = kind.subresources.iter().map(|s| (s.name, s.kind)).collect();
        assert_eq!(served, wanted, "{}", kind.plural);
        assert!(kind.subresources.is_sorted_by_key(|s| s.name), "{}", kind.plural);
        assert_eq!(kind.scale.is_some(), kind.subresource("scale").is_some(), "{}", kind.plural);
    }
}

#[test]
fn no_two_kinds_share_a_name() {
    let mut seen = BTreeSet::new();
    for kind in KINDS.iter().chain(EXCHANGED) {
        assert!(seen.insert((kind.group, kind.version, kind.kind)), "{}", kind.kind);
        let found = by_kind(kind.group, kind.version, kind.kind).unwrap();
        assert_eq!(found.definition, kind.definition);
        assert!(kind.definition.ends_with(&format!(".{}.{}", kind.version, kind.kind)), "{}", kind.definition);
    }
}

/// An object that has nothing but its name: hooks take what comes.
fn bare(kind: &Kind) -> Value {
    json!({"apiVersion": kind.api_version(), "kind": kind.kind, "metadata": {"name": "a", "namespace": "default"}})
}

#[test]
fn defaults_do_nothing_the_second_time() {
    for kind in KINDS.iter().chain(EXCHANGED) {
        let mut once = bare(kind);
        (kind.set_defaults)(&mut once);
        let mut twice = once.clone();
        (kind.set_defaults)(&mut twice);
        assert_eq!(once, twice, "{}", kind.kind);
    }
}

#[test]
fn there_is_a_cell_for_each_column() {
    for kind in KINDS.iter().chain(EXCHANGED) {
        let mut object = bare(kind);
        (kind.set_defaults)(&mut object);
        let cells = (kind.cells)(&object, Timestamp::UNIX_EPOCH);
        assert_eq!(cells.len(), kind.columns.len(), "{}", kind.kind);
        if kind.held == Held::Stored {
            assert!(!kind.columns.is_empty(), "{}", kind.kind);
        }
    }
}

#[test]
fn hooks_take_objects_with_nothing_and_with_anything_in_them() {
    let odd = [json!(null), json!("x"), json!([]), json!([1]), json!({"a": 1}), json!(true), json!(-1)];
    for kind in KINDS.iter().chain(EXCHANGED) {
        for value in &odd {
            let mut object = bare(kind);
            for part in ["spec", "status", "data", "rules", "subsets", "endpoints", "ports", "template"] {
                object[part] = value.clone();
            }
            run_all(kind, &mut object);
        }
        run_all(kind, &mut bare(kind));
    }
}

fn run_all(kind: &Kind, object: &mut Value) {
    let old = object.clone();
    let mut problems = Problems::default();
    (kind.set_defaults)(object);
    (kind.prepare_create)(object);
    (kind.prepare_update)(object, &old);
    (kind.validate)(object, &mut problems);
    (kind.validate_create)(object, &mut problems);
    (kind.validate_update)(object, &old, &mut problems);
    (kind.validate_status)(object, &old, &mut problems);
    (kind.warnings)(object, &Value::Null);
    (kind.cells)(object, Timestamp::UNIX_EPOCH);
    (kind.grace)(object, None);
    for (_, read) in kind.selectable {
        read(object);
    }
    for update in kind.subresources.iter().filter_map(|s| s.update.as_ref()) {
        (update.prepare)(object, &old);
        (update.validate)(object, &old, &mut problems);
    }
    assert!(!problems.message().contains('\u{0}'));
}

/// Manifests as people write them: decoded, filled in, prepared and judged as the registry does.
const MANIFESTS: &[&str] = &[
    r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {
        "containers": [{"name": "a", "image": "busybox", "ports": [{"containerPort": 80}],
            "readinessProbe": {"exec": {"command": ["cat", "/tmp/x"]}, "initialDelaySeconds": 5},
            "livenessProbe": {"grpc": {"port": 80}}, "resources": {"limits": {"cpu": "1", "memory": "1Gi"}},
            "env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
            "volumeMounts": [{"name": "v", "mountPath": "/v"}, {"name": "w", "mountPath": "/w"}]}],
        "volumes": [{"name": "v"}, {"name": "w", "projected": {"sources": [{"configMap": {"name": "c"}}]}}]}}"#,
    r#"{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}, "spec": {
        "selector": {"matchLabels": {"app": "a"}}, "template": {"metadata": {"labels": {"app": "a"}}, "spec": {
            "containers": [{"name": "a", "image": "nginx:1"}], "volumes": [{"name": "h", "hostPath": {"path": "/"}}]}}}}"#,
    r#"{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {
        "type": "NodePort", "ports": [{"port": 80, "targetPort": "http"}], "selector": {"app": "a"}}}"#,
    r#"{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "stringData": {"a": "b"}}"#,
    r#"{"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "a"}, "spec": {
        "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/data"}}}"#,
    r#"{"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "a"}, "spec": {
        "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}"#,
    r#"{"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "a"}, "spec": {"schedule": "* * * * *",
        "jobTemplate": {"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "b"}]}}}}}}"#,
    r#"{"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "a"}, "spec": {"rules": [{"host": "a.example",
        "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "a", "port": {"number": 80}}}}]}}]}}"#,
    r#"{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "a"},
        "roleRef": {"kind": "ClusterRole", "name": "view"}, "subjects": [{"kind": "User", "name": "jane"}]}"#,
];

#[test]
fn manifests_are_right_and_stay_canonical_when_filled_in() {
    for text in MANIFESTS {
        let read: Value = serde_json::from_str(text).unwrap();
        let (group, version) = match read["apiVersion"].as_str().unwrap().split_once('/') {
            Some((group, version)) => (group.to_owned(), version.to_owned()),
            None => (String::new(), "v1".to_owned()),
        };
        let kind = by_kind(&group, &version, read["kind"].as_str().unwrap()).unwrap();
        let schema = crate::schemas().get(kind.definition).unwrap();
        let (mut object, unknown) = machinery::schema::decode(schema, text.as_bytes()).unwrap();
        assert!(unknown.is_empty(), "{unknown:?}");
        (kind.set_defaults)(&mut object);
        (kind.prepare_create)(&mut object);
        assert_eq!(crate::testing::problems(kind, &object), "");
        let mut canonical = object.clone();
        machinery::schema::canonicalize(schema, &mut canonical);
        assert_eq!(object, canonical, "{}", kind.kind);
    }
}
