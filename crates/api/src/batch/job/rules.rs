//! The rules of a Job.

use machinery::field::{Problems, Wrong};
use machinery::tree;
use serde_json::Value;

use super::{NAME, OLD_NAME, OLD_UID, UID, policy};
use crate::core::pod_spec;
use crate::cursor::Field;
use crate::rule;
use crate::status::put_back;

const INDEXED_PARALLELISM_MAX: i64 = 100_000;
const FAILED_INDEXES_MAX: i64 = 100_000;
/// Over so many completions, the others are bounded lower.
const COMPLETIONS_SOFT_MAX: i64 = 100_000;
const MANY_PARALLELISM_MAX: i64 = 10_000;
const MANY_FAILED_INDEXES_MAX: i64 = 10_000;

pub fn validate(object: &Value, problems: &mut Problems) {
    let root = Field::root(object);
    let spec = root.get("spec");
    generated_selector(&root, problems);
    self::spec(&spec, problems);
    let (selector, labels) = (spec.get("selector"), spec.get("template.metadata.labels"));
    if selector.is_set() {
        rule::label_selector(&selector, problems);
    } else {
        selector.required(problems, "");
    }
    if selector.is_set() && rule::is_label_selector(&selector) && !rule::selector_matches(&selector, labels.value) {
        labels.invalid(problems, "`selector` does not match template `labels`");
    }
}

/// Pods of indexed jobs have the index in their host name.
pub fn validate_create(object: &Value, problems: &mut Problems) {
    let root = Field::root(object);
    let (name, completions) = (root.get("metadata.name"), root.get("spec.completions").num());
    if root.get("spec.completionMode").str() == "Indexed" && completions > 0 {
        let host = format!("{}-{}", name.str(), completions - 1);
        if !rule::dns_label_messages(&host).is_empty() {
            name.invalid(problems, format!("will not able to create pod with invalid DNS label: {host}"));
        }
    }
}

fn generated_selector(root: &Field, problems: &mut Problems) {
    let selector = root.get("spec.selector");
    if root.get("spec.manualSelector").bool() || !selector.is_set() {
        return;
    }
    let (name, uid) = (root.get("metadata.name").str(), root.get("metadata.uid").str());
    rule::required(&root.get("metadata.uid"), problems);
    let labels = root.get("spec.template.metadata.labels");
    for (label, wanted) in [(OLD_UID, uid), (OLD_NAME, name), (UID, uid), (NAME, name)] {
        let at = labels.key(label);
        if !at.is_set() {
            at.required(problems, &format!("must be '{wanted}'"));
        } else if at.str() != wanted {
            at.wrong(problems, Wrong::Invalid(labels.value.clone()), format!("must be '{wanted}'"));
        }
    }
    let expected = serde_json::json!({ UID: uid, NAME: name, OLD_UID: uid, OLD_NAME: name });
    if rule::is_label_selector(&selector) && !rule::selector_matches(&selector, &expected) {
        selector.invalid(problems, "`selector` not auto-generated");
    }
}

/// The spec of a Job, and of the jobs a CronJob makes.
pub fn spec(spec: &Field, problems: &mut Problems) {
    const COUNTS: [&str; 7] = [
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
    ];
    for count in COUNTS {
        rule::not_negative(&spec.get(count), problems);
    }
    let (per_index, failed) = (spec.get("backoffLimitPerIndex"), spec.get("maxFailedIndexes"));
    if failed.is_set() && !per_index.is_set() {
        per_index.required(problems, "when maxFailedIndexes is specified");
    }
    let mode = spec.get("completionMode");
    if mode.is_set() {
        rule::one_of(&mode, &["NonIndexed", "Indexed"], problems);
    }
    if mode.str() == "Indexed" {
        indexed(spec, problems);
    } else if matches!(mode.str(), "" | "NonIndexed") {
        for field in [&per_index, &failed].into_iter().filter(|f| f.is_set()) {
            field.invalid(problems, "requires indexed completion mode");
        }
    }
    let manager = spec.get("managedBy");
    if manager.is_set() {
        domain_path(&manager, problems);
    }
    policy::failure(spec, problems);
    policy::success(spec, problems);
    replacement(spec, problems);
    pod_spec::template(&spec.get("template"), problems);
    restart_policy(spec, problems);
}

fn indexed(spec: &Field, problems: &mut Problems) {
    let (completions, parallelism) = (spec.get("completions"), spec.get("parallelism"));
    let failed = spec.get("maxFailedIndexes");
    if !completions.is_set() {
        completions.required(problems, "when completion mode is Indexed");
    }
    let at_most = |field: &Field, max: i64, what: &str, problems: &mut Problems| {
        if field.num() > max {
            field.invalid(problems, format!("must be less than or equal to {max}{what}"));
        }
    };
    at_most(&parallelism, INDEXED_PARALLELISM_MAX, " when completion mode is Indexed", problems);
    if completions.is_set() && failed.num() > completions.num() {
        failed.invalid(problems, "must be less than or equal to completions");
    }
    at_most(&failed, FAILED_INDEXES_MAX, "", problems);
    if completions.num() > COMPLETIONS_SOFT_MAX && spec.get("backoffLimitPerIndex").is_set() {
        if !failed.is_set() {
            let detail = format!("must be specified when completions is above {COMPLETIONS_SOFT_MAX}");
            failed.required(problems, &detail);
        }
        let what = format!(" when completions are above {COMPLETIONS_SOFT_MAX} and used with backoff limit per index");
        at_most(&parallelism, MANY_PARALLELISM_MAX, &what, problems);
        at_most(&failed, MANY_FAILED_INDEXES_MAX, &what, problems);
    }
}

fn domain_path(field: &Field, problems: &mut Problems) {
    const MANAGER_BYTES_MAX: usize = 63;
    match field.str().split_once('/') {
        Some((domain, path)) if !domain.is_empty() && !path.is_empty() => {
            for message in rule::dns_subdomain_messages(domain) {
                field.invalid_as(problems, domain, message);
            }
        }
        _ => field.invalid(problems, "must be a domain-prefixed path (such as \"acme.io/foo\")"),
    }
    if field.len() > MANAGER_BYTES_MAX {
        field.too_long(problems, MANAGER_BYTES_MAX);
    }
}

fn replacement(spec: &Field, problems: &mut Problems) {
    let policy = spec.get("podReplacementPolicy");
    let supported: &[&str] =
        if spec.get("podFailurePolicy").is_set() { &["Failed"] } else { &["Failed", "TerminatingOrFailed"] };
    if policy.is_set() {
        rule::one_of(&policy, supported, problems);
    }
}

/// A job's pods end: always again is no choice, and was only filled in.
fn restart_policy(spec: &Field, problems: &mut Problems) {
    let policy = spec.get("template.spec.restartPolicy");
    match policy.str() {
        "" | "Always" => policy.required(problems, "valid values: \"OnFailure\", \"Never\""),
        "Never" => {}
        "OnFailure" if spec.get("podFailurePolicy").is_set() => {
            policy.invalid(problems, "only \"Never\" is supported when podFailurePolicy is specified");
        }
        "OnFailure" => {}
        _ => policy.not_supported(problems, &["OnFailure", "Never"]),
    }
}

pub fn validate_update(new: &Value, old: &Value, problems: &mut Problems) {
    completions(new, old, problems);
    rule::immutable("spec.selector", new, old, problems);
    template(new, old, problems);
    for field in ["completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"] {
        rule::immutable(&format!("spec.{field}"), new, old, problems);
    }
}

/// Indexed jobs may grow and shrink, both numbers together.
fn completions(new: &Value, old: &Value, problems: &mut Problems) {
    let (spec, before) = (&new["spec"], &old["spec"]);
    if spec["completions"] == before["completions"] {
        return;
    }
    let root = Field::root(new);
    let at = root.get("spec.completions");
    if spec["completionMode"] != "Indexed" || spec["completions"].is_null() {
        at.invalid(problems, rule::IMMUTABLE);
    } else if spec["completions"] != spec["parallelism"] {
        at.invalid(problems, "can only be modified in tandem with parallelism");
    }
}

/// The template stays, but where pods may go while none was started.
fn template(new: &Value, old: &Value, problems: &mut Problems) {
    let (now, mut before) = (&new["spec"]["template"], old["spec"]["template"].clone());
    let waiting = old["spec"]["suspend"] == true && tree::get(old, "status.startTime").is_null();
    if waiting {
        const OPEN: [&str; 6] = [
            "spec.nodeSelector",
            "spec.tolerations",
            "spec.schedulingGates",
            "spec.affinity.nodeAffinity",
            "metadata.annotations",
            "metadata.labels",
        ];
        for field in OPEN {
            put_back(&mut before, now, field);
        }
        if now["spec"]["affinity"].is_null()
            && before["spec"]["affinity"].as_object().is_some_and(serde_json::Map::is_empty)
        {
            tree::remove(&mut before, "spec.affinity");
        }
    }
    if *now != before {
        Field::root(new).get("spec.template").invalid(problems, rule::IMMUTABLE);
    }
}

pub fn validate_status(new: &Value, _: &Value, problems: &mut Problems) {
    let root = Field::root(new);
    let status = root.get("status");
    for count in ["active", "succeeded", "failed", "ready", "terminating"] {
        rule::not_negative(&status.get(count), problems);
    }
    let mut seen: Vec<&str> = Vec::new();
    for list in ["uncountedTerminatedPods.succeeded", "uncountedTerminatedPods.failed"] {
        for uid in status.get(list).items() {
            if uid.is_empty() {
                uid.invalid(problems, "must not be empty");
            } else if seen.contains(&uid.str()) {
                uid.duplicate(problems);
            }
            seen.push(uid.str());
        }
    }
    let holds = |kind: &str| {
        status.get("conditions").items().any(|c| c.get("type").str() == kind && c.get("status").str() == "True")
    };
    if holds("Complete") && holds("Failed") {
        status.get("conditions").invalid(problems, "cannot set Complete=True and Failed=true conditions");
    }
}
