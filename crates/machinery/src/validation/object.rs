//! Rules over trees that every kind shares: metadata, labels, selectors, conditions.

use serde_json::Value;

use super::names::{NameRule, dns1123_label, label_value, qualified_name};
use super::regex_message;
use super::texts::percent;
use crate::field::{Path, Problems, Wrong};
use crate::meta;
use crate::tree::At;

pub const NEGATIVE: &str = "must be greater than or equal to 0";
pub const IMMUTABLE: &str = "field is immutable";

const ANNOTATIONS_BYTES_MAX: usize = 256 * 1024;
const MANAGER_BYTES_MAX: usize = 128;
const SUBRESOURCE_BYTES_MAX: usize = 256;
const REASON_BYTES_MAX: usize = 1024;
const MESSAGE_BYTES_MAX: usize = 32 * 1024;

/// Adds one problem per message about the text at a cursor: `each(&at, dns1123_label(at.str()), problems)`.
pub fn each(at: &At<'_>, messages: Vec<String>, problems: &mut Problems) {
    for message in messages {
        problems.invalid(&at.path, at.value.clone(), message);
    }
}

/// A number that is absent or not negative.
pub fn nonnegative(at: &At<'_>, problems: &mut Problems) {
    if at.int().is_some_and(|n| n < 0) {
        problems.invalid(&at.path, at.value.clone(), NEGATIVE);
    }
}

/// Absent and null are the same here.
pub fn immutable(new: &At<'_>, old: &At<'_>, problems: &mut Problems) {
    if new.value != old.value {
        problems.invalid(&new.path, new.value.clone(), IMMUTABLE);
    }
}

/// A number not below zero, or a percentage.
pub fn int_or_percent(at: &At<'_>, problems: &mut Problems) {
    match at.value {
        Value::String(text) => each(at, percent(text), problems),
        _ => nonnegative(at, problems),
    }
}

pub fn label_name(at: &At<'_>, problems: &mut Problems) {
    each(at, qualified_name(at.str()), problems);
}

/// A map of labels; upstream blames the map, not the entry.
pub fn labels(at: &At<'_>, problems: &mut Problems) {
    for (key, value) in at.entries() {
        for message in qualified_name(key) {
            problems.invalid(&at.path, key, message);
        }
        for message in label_value(value.str()) {
            problems.invalid(&at.path, value.str(), message);
        }
    }
}

pub fn annotations(at: &At<'_>, problems: &mut Problems) {
    let mut bytes = 0;
    for (key, value) in at.entries() {
        bytes += key.len() + value.len();
        for message in qualified_name(&key.to_lowercase()) {
            problems.invalid(&at.path, key, message);
        }
    }
    if bytes > ANNOTATIONS_BYTES_MAX {
        problems.add(&at.path, Wrong::TooLong { max: ANNOTATIONS_BYTES_MAX }, "");
    }
}

pub fn finalizers(at: &At<'_>, problems: &mut Problems) {
    for item in at.items() {
        for message in qualified_name(item.str()) {
            problems.invalid(&at.path, item.str(), message);
        }
    }
    let has = |name: &str| at.items().any(|f| f.str() == name);
    if has("orphan") && has("foregroundDeletion") {
        let detail = "finalizer orphan and foregroundDeletion cannot be both set";
        problems.invalid(&at.path, at.value.clone(), detail);
    }
}

pub fn owner_references(at: &At<'_>, problems: &mut Problems) {
    let mut controller: Option<String> = None;
    for item in at.items() {
        let version = item.get("apiVersion").str();
        let (_, version) = version.rsplit_once('/').unwrap_or(("", version));
        let wanted = [("apiVersion", version, "version"), ("kind", item.get("kind").str(), "kind")];
        let wanted = wanted.into_iter().chain(["name", "uid"].map(|f| (f, item.get(f).str(), f)));
        for (field, text, what) in wanted {
            if text.is_empty() {
                problems.invalid(&at.path.child(field), item.get(field).str(), format!("{what} must not be empty"));
            }
        }
        if item.get("apiVersion").str() == "v1" && item.get("kind").str() == "Event" {
            problems.invalid(&at.path, item.value.clone(), "/v1, Kind=Event is disallowed from being an owner");
        }
        if item.get("controller").bool() {
            let name = format!("{}/{}", item.get("kind").str(), item.get("name").str());
            if let Some(first) = &controller {
                let detail = format!(
                    "Only one reference can have Controller set to true. Found \"true\" in references for {first} and {name}"
                );
                problems.invalid(&at.path, at.value.clone(), detail);
            } else {
                controller = Some(name);
            }
        }
    }
}

pub fn managed_fields(at: &At<'_>, problems: &mut Problems) {
    for item in at.items() {
        let (operation, kind) = (item.get("operation"), item.get("fieldsType"));
        if !matches!(operation.str(), "Apply" | "Update") {
            problems.invalid(&operation.path, operation.str(), "must be `Apply` or `Update`");
        }
        if !matches!(kind.str(), "" | "FieldsV1") {
            problems.invalid(&kind.path, kind.str(), "must be `FieldsV1`");
        }
        for (name, max) in [("manager", MANAGER_BYTES_MAX), ("subresource", SUBRESOURCE_BYTES_MAX)] {
            let text = item.get(name);
            if text.len() > max {
                problems.add(&text.path, Wrong::TooLong { max }, "");
            }
        }
    }
}

/// `metadata` of a new object; `at` is the object's root.
pub fn object_meta(at: &At<'_>, namespaced: bool, rule: NameRule, problems: &mut Problems) {
    let meta = at.get("metadata");
    let (generate, name, namespace) = (meta.get("generateName"), meta.get("name"), meta.get("namespace"));
    if !generate.is_empty() {
        each(&generate, rule(generate.str(), true), problems);
    }
    if name.is_empty() {
        problems.required(&name.path, "name or generateName is required");
    } else {
        each(&name, rule(name.str(), false), problems);
    }
    match (namespaced, namespace.is_empty()) {
        (true, true) => problems.required(&namespace.path, ""),
        (true, false) => each(&namespace, dns1123_label(namespace.str()), problems),
        (false, false) => problems.forbidden(&namespace.path, "not allowed on this type"),
        (false, true) => {}
    }
    nonnegative(&meta.get("generation"), problems);
    shared_meta(&meta, problems);
    finalizers(&meta.get("finalizers"), problems);
}

fn shared_meta(meta: &At<'_>, problems: &mut Problems) {
    labels(&meta.get("labels"), problems);
    annotations(&meta.get("annotations"), problems);
    owner_references(&meta.get("ownerReferences"), problems);
    managed_fields(&meta.get("managedFields"), problems);
}

/// `metadata` of a changed object; both are the object's root.
pub fn object_meta_update(new: &At<'_>, old: &At<'_>, problems: &mut Problems) {
    let (meta, before) = (new.get("metadata"), old.get("metadata"));
    if meta::is_deleting(old.value) {
        no_new_finalizers(&meta.get("finalizers"), old.value, problems);
    }
    let (generation, revision) = (meta.get("generation"), meta.get("resourceVersion"));
    if revision.is_empty() {
        problems.invalid(&revision.path, "", "must be specified for an update");
    }
    if generation.int().unwrap_or(0) < before.get("generation").int().unwrap_or(0) {
        problems.invalid(&generation.path, generation.value.clone(), "must not be decremented");
    }
    let fixed = ["name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"];
    for field in fixed {
        immutable(&meta.get(field), &before.get(field), problems);
    }
    shared_meta(&meta, problems);
}

fn no_new_finalizers(at: &At<'_>, old: &Value, problems: &mut Problems) {
    let mut new: Vec<_> = at.items().map(|f| f.str()).filter(|f| !meta::has_finalizer(old, f)).collect();
    new.sort_unstable();
    if !new.is_empty() {
        let what = "no new finalizers can be added if the object is being deleted, found new finalizers";
        let quoted: Vec<_> = new.iter().map(|f| format!("{f:?}")).collect();
        problems.forbidden(&at.path, format!("{what} []string{{{}}}", quoted.join(", ")));
    }
}

/// A `metav1.LabelSelector`; null is right.
pub fn label_selector(at: &At<'_>, problems: &mut Problems) {
    labels(&at.get("matchLabels"), problems);
    for expression in at.get("matchExpressions").items() {
        let (operator, values) = (expression.get("operator"), expression.get("values"));
        match operator.str() {
            "In" | "NotIn" if values.is_empty() => {
                problems.required(&values.path, "must be specified when `operator` is 'In' or 'NotIn'");
            }
            "Exists" | "DoesNotExist" if !values.is_empty() => {
                problems.forbidden(&values.path, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => problems.invalid(&operator.path, other, "not a valid selector operator"),
        }
        let key = expression.get("key");
        each(&At::new(&Value::from(key.str()), key.path.clone()), qualified_name(key.str()), problems);
        for value in values.items() {
            each(&value, label_value(value.str()), problems);
        }
    }
}

/// A list of `metav1.Condition`.
pub fn conditions(at: &At<'_>, problems: &mut Problems) {
    let mut seen: Vec<&str> = Vec::new();
    for item in at.items() {
        let kind = item.get("type");
        if seen.contains(&kind.str()) {
            problems.duplicate(&kind.path, kind.str());
        }
        seen.push(kind.str());
        condition(&item, problems);
    }
}

fn condition(item: &At<'_>, problems: &mut Problems) {
    label_name(&item.get("type"), problems);
    let (status, reason, message) = (item.get("status"), item.get("reason"), item.get("message"));
    if !matches!(status.str(), "True" | "False" | "Unknown") {
        problems.not_supported(&status.path, status.str(), &["False", "True", "Unknown"]);
    }
    if item.get("observedGeneration").int().is_some_and(|n| n < 0) {
        let at = item.get("observedGeneration");
        problems.invalid(&at.path, at.value.clone(), "must be greater than or equal to zero");
    }
    if item.get("lastTransitionTime").is_empty() {
        problems.required(&item.get("lastTransitionTime").path, "must be set");
    }
    if reason.is_empty() {
        problems.required(&reason.path, "must be set");
    } else {
        condition_reason(&reason, problems);
    }
    too_long(&message.path, message.len(), MESSAGE_BYTES_MAX, problems);
}

fn condition_reason(at: &At<'_>, problems: &mut Problems) {
    let text = at.str().as_bytes();
    let inner = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b',' | b':');
    let ends = text.first().is_some_and(u8::is_ascii_alphabetic) && !matches!(text.last(), Some(b',' | b':'));
    if !ends || !text.iter().all(inner) {
        let what = "a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric characters or '_,:', and must end with an alphanumeric character or '_'";
        let examples = ["my_name", "MY_NAME", "MyName", "ReasonA,ReasonB", "ReasonA:ReasonB"];
        problems.invalid(&at.path, at.str(), regex_message(what, "[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?", &examples));
    }
    too_long(&at.path, at.len(), REASON_BYTES_MAX, problems);
}

fn too_long(path: &Path, bytes: usize, max: usize, problems: &mut Problems) {
    if bytes > max {
        problems.add(path, Wrong::TooLong { max }, "");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::names::name_is_subdomain;
    use super::*;

    #[test]
    fn metadata_is_judged_with_paths() {
        let tree = json!({"metadata": {"name": "Bad", "labels": {"-x": "ok"}, "finalizers": ["orphan", "foregroundDeletion"]}});
        let mut problems = Problems::default();
        object_meta(&At::root(&tree), true, name_is_subdomain, &mut problems);
        let paths: Vec<_> = problems.0.iter().map(|p| p.path.as_str()).collect();
        assert_eq!(paths, ["metadata.name", "metadata.namespace", "metadata.labels", "metadata.finalizers"]);
    }

    #[test]
    fn what_may_not_change() {
        let old = json!({"metadata": {"name": "a", "uid": "1", "resourceVersion": "5"}});
        let new = json!({"metadata": {"name": "a", "uid": "2", "resourceVersion": "5"}});
        let mut problems = Problems::default();
        object_meta_update(&At::root(&new), &At::root(&old), &mut problems);
        assert_eq!(problems.message(), "metadata.uid: Invalid value: \"2\": field is immutable");
    }
}
