//! Event: what a component says about an object, for people to read.
//!
//! Source: <https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/>. This is the old form,
//! which is the stored one; the new form is in `events/event.rs`.

use machinery::field::Problems;
use machinery::tree;
use serde_json::Value;

use crate::column::{self, since, text_or};
use crate::cursor::Field;
use crate::kind::{Column, Kind, NameRule};
use crate::rule;

/// What events say is short.
const INSTANCE_BYTES_MAX: usize = 128;
const ACTION_BYTES_MAX: usize = 128;
const REASON_BYTES_MAX: usize = 128;
const NOTE_BYTES_MAX: usize = 1024;

pub static KIND: Kind = Kind {
    kind: "Event",
    plural: "events",
    singular: "event",
    short_names: &["ev"],
    name_rule: NameRule::PathSegment,
    definition: "io.k8s.api.core.v1.Event",
    create_on_update: true,
    validate: |object, problems| validate(object, "reportingComponent", problems),
    selectable: &[
        ("involvedObject.kind", |o| text(o, "involvedObject.kind")),
        ("involvedObject.namespace", |o| text(o, "involvedObject.namespace")),
        ("involvedObject.name", |o| text(o, "involvedObject.name")),
        ("involvedObject.uid", |o| text(o, "involvedObject.uid")),
        ("involvedObject.apiVersion", |o| text(o, "involvedObject.apiVersion")),
        ("involvedObject.resourceVersion", |o| text(o, "involvedObject.resourceVersion")),
        ("involvedObject.fieldPath", |o| text(o, "involvedObject.fieldPath")),
        ("reason", |o| text(o, "reason")),
        ("reportingComponent", |o| text(o, "reportingComponent")),
        ("source", |o| text_or(o, "source.component", tree::str(o, "reportingComponent")).to_owned()),
        ("type", |o| text(o, "type")),
    ],
    columns: COLUMNS,
    cells,
    ..Kind::BASE
};

pub(crate) const COLUMNS: &[Column] = &[
    column::text("Last Seen", "The time at which the most recent occurrence of this event was recorded."),
    column::text("Type", "Type of this event (Normal, Warning), new types could be added in the future"),
    column::text(
        "Reason",
        "This should be a short, machine understandable string that gives the reason for the transition into the object's current status.",
    ),
    column::text("Object", "The object that this event is about."),
    column::wide("Subobject", "The part of the object that this event is about."),
    column::wide("Source", "The component reporting this event."),
    column::text("Message", "A human-readable description of the status of this operation."),
    column::wide("First Seen", "The time at which the event was first recorded."),
    column::wide("Count", "The number of times this event has occurred."),
    Column { priority: 1, ..column::NAME },
];

fn text(object: &Value, dotted: &str) -> String {
    tree::str(object, dotted).to_owned()
}

/// The rules of both forms, on the stored one. `controller` is what the version in use calls `reportingComponent`.
pub(crate) fn validate(object: &Value, controller: &str, problems: &mut Problems) {
    let root = Field::root(object);
    let namespace = root.get("metadata.namespace").str();
    let involved = root.get("involvedObject.namespace");
    const DIFFERS: &str = "does not match event.namespace";
    if !root.get("eventTime").is_set() {
        let about_cluster = involved.is_empty() && matches!(namespace, "" | "default");
        if !about_cluster && involved.str() != namespace {
            involved.invalid_as(problems, involved.str(), DIFFERS);
        }
        return;
    }
    if involved.is_empty() && !matches!(namespace, "default" | "kube-system") {
        involved.invalid_as(problems, "", DIFFERS);
    }
    let component = root.get(controller);
    let component = component.with(&object["reportingComponent"]);
    if component.is_empty() {
        component.required(problems, "");
    }
    rule::qualified_name(&component, problems);
    let limits =
        [("reportingInstance", INSTANCE_BYTES_MAX), ("action", ACTION_BYTES_MAX), ("reason", REASON_BYTES_MAX)];
    for (field, max) in limits {
        let at = root.get(field);
        rule::required(&at, problems);
        at_most(&at, max, problems);
    }
    at_most(&root.get("message"), NOTE_BYTES_MAX, problems);
}

fn at_most(at: &Field, max: usize, problems: &mut Problems) {
    if at.len() > max {
        at.invalid_as(problems, "", format!("can have at most {max} characters"));
    }
}

/// The cells of the stored form; the other form is printed from it.
pub(crate) fn cells(event: &Value, now: jiff::Timestamp) -> Vec<Value> {
    let first_at = if event["firstTimestamp"].is_null() { &event["eventTime"] } else { &event["firstTimestamp"] };
    let first = since(first_at, now);
    let mut last = if event["lastTimestamp"].is_null() { first.clone() } else { since(&event["lastTimestamp"], now) };
    let mut count = column::int(event, "count").max(1);
    if !event["series"].is_null() {
        last = since(&event["series"]["lastObservedTime"], now);
        count = column::int(event, "series.count");
    }
    let kind = tree::str(event, "involvedObject.kind").to_lowercase();
    let object = match tree::str(event, "involvedObject.name") {
        "" => kind,
        name => format!("{kind}/{name}"),
    };
    let source = text_or(event, "source.component", tree::str(event, "reportingComponent"));
    let source = match text_or(event, "source.host", tree::str(event, "reportingInstance")) {
        "" => source.to_owned(),
        instance => format!("{source}, {instance}"),
    };
    vec![
        last.into(),
        tree::str(event, "type").into(),
        tree::str(event, "reason").into(),
        object.into(),
        tree::str(event, "involvedObject.fieldPath").into(),
        source.into(),
        tree::str(event, "message").trim().into(),
        first.into(),
        count.into(),
        column::name(event),
    ]
}
