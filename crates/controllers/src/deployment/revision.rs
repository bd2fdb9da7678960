//! Revisions: which number a template's set has, the history of numbers it had, and how many old sets are kept.

use std::collections::BTreeMap;

use control::{Plan, Target, Write};
use jiff::Timestamp;
use serde_json::json;

use super::draft::{DESIRED, Draft, MAX, Set};
use super::{summary, template};
use crate::owner::controller_reference;

const REVISION: &str = "deployment.kubernetes.io/revision";
const HISTORY: &str = "deployment.kubernetes.io/revision-history";
/// About a hundred numbers.
const HISTORY_CHARS_MAX: usize = 2000;
/// Annotations of the Deployment that are no business of its sets.
const OWN: &[&str] = &[
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    HISTORY,
    DESIRED,
    MAX,
    "deprecated.deployment.rollback.to",
];

/// Brings the new set's annotations up to date, if there is one.
pub fn sync(draft: &mut Draft<'_>, now: Timestamp) {
    let number = next_number(&draft.old);
    let deadline = summary::has_deadline(draft.spec);
    let min_ready_seconds = draft.spec.min_ready_seconds.filter(|seconds| *seconds != 0);
    let Some(set) = &mut draft.new else { return };
    inherit(&mut set.annotations, draft.deployment.metadata.annotations.as_ref());
    renumber(&mut set.annotations, number);
    set.min_ready_seconds = min_ready_seconds;
    draft.revision = set.annotations.get(REVISION).cloned();
    if deadline && summary::find(&draft.status, "Progressing").is_none() {
        let message = format!("Found new replica set {:?}", set.name);
        draft.set_condition("Progressing", "True", "FoundNewReplicaSet", &message, now);
    }
}

/// Drafts the set of the Deployment's template, of no size yet.
pub fn create(draft: &mut Draft<'_>, now: Timestamp) {
    let (deployment, spec) = (draft.deployment, draft.spec);
    let hash = template::hash(spec, draft.status.collision_count);
    let name = format!("{}-{hash}", deployment.metadata.name.as_deref().unwrap_or_default());
    let mut pods = serde_json::to_value(&spec.template).unwrap_or_default();
    pods["metadata"]["labels"][template::HASH_LABEL] = hash.as_str().into();
    let mut selector = serde_json::to_value(&spec.selector).unwrap_or_default();
    selector["matchLabels"][template::HASH_LABEL] = hash.into();
    let mut annotations = BTreeMap::new();
    inherit(&mut annotations, deployment.metadata.annotations.as_ref());
    renumber(&mut annotations, next_number(&draft.old));
    draft.revision = annotations.get(REVISION).cloned();
    let fresh = json!({
        "metadata": {
            "name": name,
            "namespace": deployment.metadata.namespace,
            "labels": pods["metadata"]["labels"],
            "ownerReferences": [controller_reference(deployment)],
        },
        "spec": { "minReadySeconds": spec.min_ready_seconds, "selector": selector, "template": pods },
    });
    draft.new = Some(Set {
        seen: None,
        fresh,
        name: name.clone(),
        replicas: 0,
        annotations,
        min_ready_seconds: spec.min_ready_seconds,
        status: Default::default(),
    });
    draft.resize(&name, 0);
    if summary::has_deadline(spec) {
        let message = format!("Created new replica set {name:?}");
        draft.set_condition("Progressing", "True", "NewReplicaSetCreated", &message, now);
    }
}

/// Puts the new set's number into the Deployment.
pub fn annotate(plan: &mut Plan, draft: &Draft<'_>) {
    let held = draft.deployment.metadata.annotations.as_ref().and_then(|annotations| annotations.get(REVISION));
    if let Some(revision) = draft.revision.as_ref().filter(|revision| Some(*revision) != held) {
        let tree = json!({ "metadata": { "annotations": { REVISION: revision } } });
        // As a status, since an annotation written otherwise would count as a new generation.
        plan.write(Write::patch(Target::of(draft.deployment).subresource("status"), tree));
    }
}

/// Deletes the oldest of the old sets that are more than are to be kept and have nothing left.
pub fn clean_up(plan: &mut Plan, draft: &Draft<'_>) {
    let Some(limit) = draft.spec.revision_history_limit.filter(|limit| *limit != i32::MAX) else { return };
    let alive = |set: &&Set| set.seen.as_ref().is_some_and(|seen| seen.metadata.deletion_timestamp.is_none());
    let mut old: Vec<&Set> = draft.old.iter().filter(alive).collect();
    let surplus = old.len().saturating_sub(usize::try_from(limit).unwrap_or(0));
    // Stable: sets of one number stay in the order of their age.
    old.sort_by_key(|set| number_of(&set.annotations).unwrap_or(0));
    for set in old.into_iter().take(surplus) {
        let Some(seen) = &set.seen else { continue };
        let observed = set.status.observed_generation >= seen.metadata.generation;
        if set.replicas == 0 && set.status.replicas == 0 && observed {
            plan.write(Write::delete(Target::of(&**seen)));
        }
    }
}

fn number_of(annotations: &BTreeMap<String, String>) -> Option<i64> {
    annotations.get(REVISION)?.parse().ok()
}

fn next_number(old: &[Set]) -> i64 {
    old.iter().filter_map(|set| number_of(&set.annotations)).max().unwrap_or(0) + 1
}

/// Copies the Deployment's annotations but its own.
fn inherit(annotations: &mut BTreeMap<String, String>, from: Option<&BTreeMap<String, String>>) {
    for (key, value) in from.into_iter().flatten().filter(|(key, _)| !OWN.contains(&key.as_str())) {
        annotations.insert(key.clone(), value.clone());
    }
}

/// Gives the set the highest number, and remembers the one it had: this is a roll-back.
fn renumber(annotations: &mut BTreeMap<String, String>, number: i64) {
    let had = annotations.get(REVISION).cloned();
    let old = match &had {
        // Somebody else's annotation is left alone.
        Some(text) if !text.is_empty() => match text.parse::<i64>() {
            Ok(old) => old,
            Err(_) => return,
        },
        _ => 0,
    };
    if old >= number {
        return;
    }
    annotations.insert(REVISION.into(), number.to_string());
    if let Some(had) = had
        && let Some(history) = appended(annotations.get(HISTORY).map_or("", String::as_str), &had)
    {
        annotations.insert(HISTORY.into(), history);
    }
}

/// The history with a number more; its oldest numbers are dropped where it would get too long.
fn appended(history: &str, number: &str) -> Option<String> {
    if history.is_empty() {
        return Some(number.to_owned());
    }
    let mut rest = history;
    while rest.len() + 1 + number.len() > HISTORY_CHARS_MAX {
        rest = rest.split_once(',')?.1;
    }
    Some(format!("{rest},{number}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_roll_back_remembers_the_numbers_before() {
        let mut annotations = BTreeMap::from([(REVISION.to_owned(), "1".to_owned())]);
        renumber(&mut annotations, 3);
        renumber(&mut annotations, 5);
        assert_eq!(annotations[REVISION], "5");
        assert_eq!(annotations[HISTORY], "1,3");
        renumber(&mut annotations, 4);
        assert_eq!(annotations[REVISION], "5");
    }

    #[test]
    fn the_history_has_an_end() {
        let mut history = String::new();
        for number in 0..2000 {
            history = appended(&history, &number.to_string()).unwrap();
        }
        assert!(history.len() <= HISTORY_CHARS_MAX && history.ends_with(",1999"));
    }
}
