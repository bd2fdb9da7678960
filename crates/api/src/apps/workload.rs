//! What Deployment, ReplicaSet, StatefulSet and DaemonSet have in common: a selector over the template's labels,
//! counts in the status, cells.

use machinery::field::Problems;
use machinery::tree;
use serde_json::Value;

use crate::column;
use crate::core::pod_spec;
use crate::cursor::Field;
use crate::rule;

/// `selector` is there, valid and not empty, and matches `template`, which is valid. `noun` and `owner` are upstream's
/// names for the kind in messages.
pub fn selector_and_template(spec: &Field, noun: &str, owner: &str, problems: &mut Problems) {
    let selector = spec.get("selector");
    if !selector.is_set() {
        selector.required(problems, "");
    } else {
        rule::label_selector(&selector, problems);
        not_empty(&selector, noun, problems);
    }
    let template = spec.get("template");
    if rule::is_label_selector(&selector) {
        template_matches(&selector, &template, problems);
        pod_spec::template(&template, problems);
        only_always(&template, owner, problems);
    } else {
        selector.invalid(problems, "invalid label selector");
    }
}

pub fn not_empty(selector: &Field, noun: &str, problems: &mut Problems) {
    if selector.get("matchLabels").is_empty() && selector.get("matchExpressions").is_empty() {
        selector.invalid(problems, format!("empty selector is invalid for {noun}"));
    }
}

/// An empty or absent selector matches nothing that could be wrong here; it is reported elsewhere.
pub fn template_matches(selector: &Field, template: &Field, problems: &mut Problems) {
    let labels = template.get("metadata.labels");
    let empty = selector.get("matchLabels").is_empty() && selector.get("matchExpressions").is_empty();
    if !empty && !rule::selector_matches(selector, labels.value) {
        labels.invalid(problems, "`selector` does not match template `labels`");
    }
}

/// Pods of these owners are restarted for ever.
pub fn only_always(template: &Field, owner: &str, problems: &mut Problems) {
    let policy = template.get("spec.restartPolicy");
    if policy.str() != "Always" {
        policy.not_supported(problems, &["Always"]);
    }
    let deadline = template.get("spec.activeDeadlineSeconds");
    if deadline.is_set() {
        deadline.forbidden(problems, format!("activeDeadlineSeconds in {owner} is not Supported"));
    }
}

/// RollingUpdate unless something else is asked for, within these bounds unless others are.
pub fn default_strategy(object: &mut Value, at: &str, unavailable: Value, surge: Value) {
    let kind = format!("{at}.type");
    if tree::str(object, &kind).is_empty() {
        tree::set(object, &kind, "RollingUpdate");
    }
    if tree::str(object, &kind) == "RollingUpdate" {
        tree::default(object, &format!("{at}.rollingUpdate.maxUnavailable"), unavailable);
        tree::default(object, &format!("{at}.rollingUpdate.maxSurge"), surge);
    }
}

pub fn not_negative(status: &Field, counts: &[&str], problems: &mut Problems) {
    counts.iter().for_each(|count| rule::not_negative(&status.get(count), problems));
}

/// No count is over `status.replicas`, and what is available is ready.
pub fn counts_within_replicas(status: &Field, counts: &[&str], problems: &mut Problems) {
    let replicas = status.get("replicas").num();
    for count in counts {
        let count = status.get(count);
        if count.num() > replicas {
            count.invalid(problems, "cannot be greater than status.replicas");
        }
    }
    let available = status.get("availableReplicas");
    if available.num() > status.get("readyReplicas").num() {
        available.invalid(problems, "cannot be greater than readyReplicas");
    }
}

pub fn collisions_only_grow(status: &Field, old_status: &Value, problems: &mut Problems) {
    let count = status.get("collisionCount");
    if let Some(old) = old_status["collisionCount"].as_i64()
        && count.int().is_none_or(|new| new < old)
    {
        count.invalid_as(problems, count.num(), "cannot be decremented");
    }
}

pub fn selector_cell(object: &Value) -> Value {
    column::selector(&object["spec"]["selector"]).into()
}

/// Warnings about `spec.template`; on update only when it changed.
pub fn warnings(new: &Value, old: &Value) -> Vec<String> {
    let root = Field::root(new);
    if !old.is_null() && old["spec"]["template"] == new["spec"]["template"] {
        return Vec::new();
    }
    pod_spec::warnings(&root.get("spec.template"), &old["spec"]["template"])
}
