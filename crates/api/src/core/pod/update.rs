//! What may change in a pod: images, a shorter deadline, more tolerations, fewer gates.

use machinery::field::Problems;
use machinery::tree;
use serde_json::Value;

use crate::core::pod_spec::{self, scheduling};
use crate::cursor::Field;
use crate::difference::difference;
use crate::status::put_back;

const OPEN: &str = "pod updates may not change fields other than `spec.containers[*].image`,\
    `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,\
    `spec.tolerations` (only additions to existing tolerations),\
    `spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

pub fn validate(new: &Value, old: &Value, problems: &mut Problems) {
    let (root, before) = (Field::root(new), Field::root(old));
    let (spec, old_spec) = (root.get("spec"), before.get("spec"));
    let annotations = root.get("metadata.annotations");
    pod_spec::annotations_unchanged(&annotations, &before.get("metadata.annotations"), problems);
    for list in ["containers", "initContainers"] {
        if spec.get(list).len() != old_spec.get(list).len() {
            return spec.get(list).forbidden(problems, "pod updates may not add or remove containers");
        }
    }
    if !deadline(&spec, &old_spec, problems) {
        return;
    }
    only_added_tolerations(&spec, &old_spec, problems);
    only_removed_gates(&spec, &old_spec, problems);
    if spec.value != old_spec.value {
        the_rest_stays(&spec, &old_spec, problems);
    }
}

/// From none to some, from some to less; false ends the judgement.
fn deadline(spec: &Field, old_spec: &Field, problems: &mut Problems) -> bool {
    let (now, before) = (spec.get("activeDeadlineSeconds"), old_spec.get("activeDeadlineSeconds").int());
    match (now.int(), before) {
        (Some(seconds), _) if !(0..=i64::from(i32::MAX)).contains(&seconds) => {
            now.invalid(problems, format!("must be between 0 and {}, inclusive", i32::MAX));
            return false;
        }
        (Some(seconds), Some(before)) if before < seconds => {
            now.invalid(problems, "must be less than or equal to previous value");
            return false;
        }
        (None, Some(_)) => now.invalid(problems, "must not update from a positive integer to nil value"),
        _ => {}
    }
    true
}

fn only_added_tolerations(spec: &Field, old_spec: &Field, problems: &mut Problems) {
    let (now, before) = (spec.get("tolerations"), old_spec.get("tolerations"));
    let but_seconds = |toleration: &Value| {
        let mut toleration = toleration.clone();
        tree::remove(&mut toleration, "tolerationSeconds");
        toleration
    };
    let kept = |old: Field| now.items().any(|new| but_seconds(new.value) == but_seconds(old.value));
    if now.value != before.value && !before.items().all(kept) {
        now.forbidden(problems, "existing toleration can not be modified except its tolerationSeconds");
    } else if now.value != before.value {
        scheduling::tolerations(&now, problems);
    }
}

fn only_removed_gates(spec: &Field, old_spec: &Field, problems: &mut Problems) {
    let before = old_spec.get("schedulingGates");
    for gate in spec.get("schedulingGates").items() {
        let name = gate.get("name");
        if !before.items().any(|old| old.get("name").str() == name.str()) {
            let detail = format!("only deletion is allowed, but found new scheduling gate '{}'", name.str());
            name.forbidden(problems, detail);
        }
    }
}

/// With all that is open put back, nothing has changed.
fn the_rest_stays(spec: &Field, old_spec: &Field, problems: &mut Problems) {
    let (mut munged, old) = (spec.value.clone(), old_spec.value);
    for list in ["containers", "initContainers"] {
        for (container, before) in tree::items_mut(&mut munged, list).iter_mut().zip(tree::items(old, list)) {
            put_back(container, before, "image");
        }
    }
    for open in ["activeDeadlineSeconds", "schedulingGates", "tolerations"] {
        put_back(&mut munged, old, open);
    }
    let grace = "terminationGracePeriodSeconds";
    if old[grace].as_i64().is_some_and(|seconds| seconds < 0) && munged[grace] == 1 {
        put_back(&mut munged, old, grace);
    }
    if !tree::items(old, "schedulingGates").is_empty() {
        narrowed_while_gated(spec, old_spec, problems);
        put_back(&mut munged, old, "nodeSelector");
        node_affinity_back(&mut munged, old);
    }
    if munged != *old {
        spec.forbidden(problems, format!("{OPEN}\n{}", difference("core.PodSpec", old, &munged)));
    }
}

fn node_affinity_back(munged: &mut Value, old: &Value) {
    put_back(munged, old, "affinity.nodeAffinity");
    if munged["affinity"].as_object().is_some_and(serde_json::Map::is_empty) && old["affinity"].is_null() {
        tree::remove(munged, "affinity");
    }
}

/// A pod that waits at a gate may still be bound to fewer nodes.
fn narrowed_while_gated(spec: &Field, old_spec: &Field, problems: &mut Problems) {
    let (selector, before) = (spec.get("nodeSelector"), old_spec.get("nodeSelector"));
    if before.entries().any(|(key, value)| selector.key(key).value != value.value) {
        let detail = "only additions to spec.nodeSelector are allowed (no mutations or deletions)";
        selector.invalid(problems, detail);
    }
    const TERMS: &str = "affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms";
    let (terms, before) = (spec.get(TERMS), old_spec.get(TERMS));
    if before.is_empty() {
        return;
    }
    if terms.len() != before.len() {
        let detail = "no additions/deletions to non-empty NodeSelectorTerms list are allowed";
        return terms.invalid(problems, detail);
    }
    for (term, old_term) in terms.items().zip(before.items()) {
        if !only_additions(term.value, old_term.value) {
            term.invalid(problems, "only additions are allowed (no mutations or deletions)");
        }
    }
}

fn only_additions(term: &Value, old: &Value) -> bool {
    let lists = ["matchExpressions", "matchFields"];
    let was_empty = lists.iter().all(|list| tree::items(old, list).is_empty());
    if was_empty {
        return lists.iter().all(|list| tree::items(term, list).is_empty());
    }
    lists.iter().all(|list| tree::items(term, list).starts_with(tree::items(old, list)))
}
