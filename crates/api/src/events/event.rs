//! Event in its new form: the same stored objects as `core/event.rs`, with clearer names.
//!
//! Source: <https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/>.

use machinery::field::Problems;
use machinery::tree;
use serde_json::Value;

use crate::core::event;
use crate::cursor::Field;
use crate::kind::{Kind, StoredAs};
use crate::rule;

/// `(new name, stored name)`; what is not here has one name.
const NAMES: [(&str, &str); 7] = [
    ("regarding", "involvedObject"),
    ("note", "message"),
    ("reportingController", "reportingComponent"),
    ("deprecatedSource", "source"),
    ("deprecatedFirstTimestamp", "firstTimestamp"),
    ("deprecatedLastTimestamp", "lastTimestamp"),
    ("deprecatedCount", "count"),
];

pub static KIND: Kind = Kind {
    group: "events.k8s.io",
    kind: "Event",
    plural: "events",
    singular: "event",
    short_names: &["ev"],
    definition: "io.k8s.api.events.v1.Event",
    create_on_update: true,
    stored_as: Some(StoredAs { group: "", version: "v1", from_stored, to_stored }),
    validate: |object, problems| event::validate(&to_stored(object.clone()), "reportingController", problems),
    validate_create,
    validate_update,
    selectable: &[
        ("regarding.kind", |o| text(o, "regarding.kind")),
        ("regarding.namespace", |o| text(o, "regarding.namespace")),
        ("regarding.name", |o| text(o, "regarding.name")),
        ("regarding.uid", |o| text(o, "regarding.uid")),
        ("regarding.apiVersion", |o| text(o, "regarding.apiVersion")),
        ("regarding.resourceVersion", |o| text(o, "regarding.resourceVersion")),
        ("regarding.fieldPath", |o| text(o, "regarding.fieldPath")),
        ("reason", |o| text(o, "reason")),
        ("reportingController", |o| text(o, "reportingController")),
        ("type", |o| text(o, "type")),
    ],
    columns: event::COLUMNS,
    cells: |object, now| event::cells(&to_stored(object.clone()), now),
    ..Kind::BASE
};

fn text(object: &Value, dotted: &str) -> String {
    tree::str(object, dotted).to_owned()
}

fn from_stored(mut object: Value) -> Value {
    rename(&mut object, NAMES.iter().map(|(new, stored)| (*stored, *new)));
    object["apiVersion"] = "events.k8s.io/v1".into();
    object
}

fn to_stored(mut object: Value) -> Value {
    rename(&mut object, NAMES.iter().copied());
    object["apiVersion"] = "v1".into();
    object
}

fn rename<'a>(object: &mut Value, names: impl Iterator<Item = (&'a str, &'a str)>) {
    let Some(map) = object.as_object_mut() else { return };
    for (from, to) in names {
        if let Some(value) = map.remove(from) {
            map.insert(to.to_owned(), value);
        }
    }
}

/// What is asked of new events in this form only. Paths are those of the stored form, as upstream's are.
fn validate_create(object: &Value, problems: &mut Problems) {
    let stored = to_stored(object.clone());
    let root = Field::root(&stored);
    series(&root, problems);
    if !root.get("eventTime").is_set() {
        root.get("eventTime").required(problems, "");
    }
    let kind = root.get("type");
    if !matches!(kind.str(), "Normal" | "Warning") {
        kind.invalid_as(problems, "", format!("has invalid value: {}", kind.str()));
    }
    let unset = |field: &str, set: bool, problems: &mut Problems| {
        if set {
            root.get(field).invalid_as(problems, "", "needs to be unset");
        }
    };
    unset("firstTimestamp", root.get("firstTimestamp").is_set(), problems);
    unset("lastTimestamp", root.get("lastTimestamp").is_set(), problems);
    unset("count", root.get("count").num() != 0, problems);
    unset("source", !root.get("source").is_empty(), problems);
}

fn series(root: &Field, problems: &mut Problems) {
    if !root.get("series").is_set() {
        return;
    }
    if root.get("series.count").num() < 2 {
        root.get("series.count").invalid_as(problems, "", "should be at least 2");
    }
    if !root.get("series.lastObservedTime").is_set() {
        root.get("series.lastObservedTime").required(problems, "");
    }
}

/// Only the series goes on.
fn validate_update(new: &Value, old: &Value, problems: &mut Problems) {
    let (new, old) = (to_stored(new.clone()), to_stored(old.clone()));
    if new["series"] != old["series"] {
        series(&Field::root(&new), problems);
    }
    const FIXED: [&str; 12] = [
        "involvedObject",
        "reason",
        "message",
        "source",
        "firstTimestamp",
        "lastTimestamp",
        "count",
        "type",
        "eventTime",
        "action",
        "related",
        "reportingInstance",
    ];
    for field in FIXED {
        rule::immutable(field, &new, &old, problems);
    }
    if new["reportingComponent"] != old["reportingComponent"] {
        let at = Field::standing(&new["reportingComponent"], "reportingController");
        at.invalid(problems, rule::IMMUTABLE);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_forms_are_one_object() {
        let stored = json!({
            "apiVersion": "v1", "kind": "Event", "metadata": {"name": "a"}, "involvedObject": {"kind": "Pod"},
            "message": "m", "count": 2, "source": {"component": "c"}, "reportingComponent": "", "type": "Normal"});
        let new = from_stored(stored.clone());
        assert_eq!(new["regarding"]["kind"], "Pod");
        assert_eq!(new["note"], "m");
        assert_eq!(to_stored(new), stored);
    }
}
