//! `kubectl label`, and what it shares with `annotate`: a merge patch per object.

use clap::{ArgMatches, Command};
use client::Patch;
use serde_json::{Map, Value, json};

use super::Entry;
use super::rollout::CAUSE;
use crate::failure::{Result, error};
use crate::flags::{self, DryRun};
use crate::local;
use crate::report::Report;
use crate::select::{self, Found};
use crate::session::Session;

pub const ENTRY: Entry = Entry { build, run: |matches| Box::pin(change_all(matches, &LABELS)) };

/// The map that is changed, and what is said of it.
pub struct Words {
    /// The field of `metadata`.
    field: &'static str,
    one: &'static str,
    manager: &'static str,
    changed: &'static str,
    only_removed: &'static str,
    unchanged: &'static str,
    /// What comes before the keys that have values already.
    declared: &'static str,
}

const LABELS: Words = Words {
    field: "labels",
    one: "label",
    manager: "kubectl-label",
    changed: "labeled",
    only_removed: "unlabeled",
    unchanged: "not labeled",
    declared: "",
};
pub const ANNOTATIONS: Words = Words {
    field: "annotations",
    one: "annotation",
    manager: "kubectl-annotate",
    changed: "annotated",
    only_removed: "annotated",
    unchanged: "annotated",
    declared: "--overwrite is false but found the following declared annotation(s): ",
};

fn build() -> Command {
    shared(Command::new("label").about("Update the labels on a resource."))
        .arg(flags::switch("overwrite", "If true, allow labels to be overwritten."))
}

/// The flags of both commands.
pub fn shared(command: Command) -> Command {
    command
        .arg(flags::resources())
        .arg(flags::filenames())
        .arg(flags::recursive())
        .arg(flags::selector())
        .arg(flags::field_selector())
        .arg(flags::all_namespaces())
        .arg(flags::dry_run())
        .arg(flags::output("Output format. One of: (json, yaml, name, jsonpath, …)."))
        .arg(flags::field_manager())
        .arg(flags::switch("all", "Select all resources, in the namespace of the specified resource types"))
        .arg(flags::switch("list", "If true, display the labels or annotations for a given resource."))
}

/// Changes labels or annotations of all that is named.
pub async fn change_all(matches: &ArgMatches, words: &Words) -> Result {
    let session = Session::open(matches).await?;
    let all = flags::all(matches, "resources");
    let (names, changes) = split(&all);
    let is_list = flags::is_set(matches, "list");
    if changes.is_empty() && !is_list {
        return error(format!("at least one {} update is required", words.one));
    }
    for flag in ["selector", "field-selector"] {
        if flags::is_set(matches, "all") && !flags::of(matches, flag).is_empty() {
            return error(format!("cannot set --all and --{flag} at the same time"));
        }
    }
    let changes = parse(&changes)?;
    if words.field == "labels" {
        valid(&changes)?;
    }
    let is_selected = select::is_selected(matches);
    select::agree(&names, is_selected)?;
    let is_named = names.len() != 1 || names.iter().any(|name| name.contains('/'));
    if !is_named && !is_selected && !flags::is_set(matches, "all") && flags::all(matches, "filename").is_empty() {
        return error(select::NO_NAME);
    }
    for found in select::chosen(&session, matches, &names).await? {
        if is_list {
            print_all(&found, words);
        }
        change(&session, matches, &found, &changes, words).await?;
    }
    Ok(())
}

/// What names objects, and what changes the map (`key=value`, `key-`).
fn split<'a>(words: &[&'a str]) -> (Vec<&'a str>, Vec<&'a str>) {
    let is_change = |word: &&str| word.contains('=') || word.ends_with('-');
    let at = words.iter().position(is_change).unwrap_or(words.len());
    (words[..at].to_vec(), words[at..].to_vec())
}

/// The merge patch of the map: null removes.
fn parse(changes: &[&str]) -> Result<Map<String, Value>> {
    let mut map = Map::new();
    for change in changes {
        match (change.split_once('='), change.strip_suffix('-')) {
            (Some((key, value)), _) if !key.is_empty() => map.insert(key.into(), value.into()),
            (None, Some(key)) => map.insert(key.into(), Value::Null),
            _ => return error(format!("invalid change {change:?}: key=value or key- is expected")),
        };
    }
    Ok(map)
}

/// Annotations may hold anything, labels not: upstream looks at their values before it asks the server.
fn valid(changes: &Map<String, Value>) -> Result {
    for (key, value) in changes.iter().filter_map(|(key, value)| Some((key, value.as_str()?))) {
        let problems = machinery::validation::label_value(value);
        if !problems.is_empty() {
            return error(format!("invalid label value: {:?}: {}", format!("{key}={value}"), problems.join(";")));
        }
    }
    Ok(())
}

async fn change(
    session: &Session,
    matches: &ArgMatches,
    found: &Found,
    changes: &Map<String, Value>,
    words: &Words,
) -> Result {
    let tree = found.object.tree();
    let held = &tree["metadata"][words.field];
    let may_overwrite = flags::is_set(matches, "overwrite");
    let report = Report::of(matches, words.manager)?;
    for key in missing(held, changes).filter(|_| words.declared.is_empty() && report.dry_run != DryRun::Client) {
        println!("{} \"{key}\" not found.", words.one);
    }
    if !may_overwrite && let Some(why) = declared(held, changes, words) {
        return error(why);
    }
    let is_same = changes.iter().all(|(key, value)| held[key] == *value);
    let said = said(held, changes, words, may_overwrite);
    if is_same {
        return report.say(&found.served, &tree, said);
    }
    let mut metadata = json!({});
    metadata[words.field] = Value::Object(changes.clone());
    let patch = Patch::Merge(json!({"metadata": metadata}));
    if report.dry_run == DryRun::Client {
        return report.say(&found.served, &local::patched(&found.served, &tree, &patch)?, said);
    }
    let resource = session.client.dynamic(found.served.resource());
    let after = resource.patch(&found.namespace(), &found.name(), "", patch, report.options()).await?;
    report.say(&found.served, &after.tree(), said)
}

/// Says which keys have other values already. The change cause may always be written.
fn declared(held: &Value, changes: &Map<String, Value>, words: &Words) -> Option<String> {
    let is_label = words.declared.is_empty();
    let end = if is_label { ", and --overwrite is false" } else { "" };
    let taken: Vec<String> = changes
        .iter()
        .filter(|(key, _)| is_label || key.as_str() != CAUSE)
        .filter_map(|(key, new)| Some((key, held[key].as_str()?, new.as_str()?)))
        .filter(|(_, old, new)| old != new)
        .map(|(key, old, _)| format!("'{key}' already has a value ({old}){end}"))
        .collect();
    match taken.as_slice() {
        [] => None,
        several @ [_, _, ..] if is_label => Some(format!("[{}]", several.join(", "))),
        all => Some(format!("{}{}", words.declared, all.join("; "))),
    }
}

/// The keys that are to be removed and are not there.
fn missing<'a>(held: &'a Value, changes: &'a Map<String, Value>) -> impl Iterator<Item = &'a String> {
    changes.iter().filter(|(key, value)| value.is_null() && held[*key].is_null()).map(|(key, _)| key)
}

/// What is said of the change: upstream compares the object's text before and after, in which a map that was not
/// there appears empty, and takes a shorter text for a removal.
fn said(held: &Value, changes: &Map<String, Value>, words: &Words, may_overwrite: bool) -> &'static str {
    let mut after = held.as_object().cloned().unwrap_or_default();
    for (key, value) in changes {
        match value {
            Value::Null => drop(after.remove(key)),
            value => drop(after.insert(key.clone(), value.clone())),
        }
    }
    let after = Value::Object(after);
    if after == *held {
        return words.unchanged;
    }
    let is_shorter = !held.is_null() && after.to_string().len() < held.to_string().len();
    if is_shorter && !may_overwrite { words.only_removed } else { words.changed }
}

fn print_all(found: &Found, words: &Words) {
    let tree = found.object.tree();
    for (key, value) in tree["metadata"][words.field].as_object().into_iter().flatten() {
        println!("{key}={}", value.as_str().unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(words: &[&str]) -> Map<String, Value> {
        parse(words).unwrap()
    }

    #[test]
    fn a_change_cause_is_overwritten_unasked() {
        let held = json!({"kubernetes.io/change-cause": "one", "a": "1", "b": "2"});
        assert_eq!(declared(&held, &changes(&["kubernetes.io/change-cause=two"]), &ANNOTATIONS), None);
        assert_eq!(
            declared(&held, &changes(&["kubernetes.io/change-cause=two", "a=2", "b=3"]), &ANNOTATIONS).unwrap(),
            "--overwrite is false but found the following declared annotation(s): 'a' already has a value (1); 'b' already has a value (2)"
        );
        assert_eq!(
            declared(&held, &changes(&["a=2", "b=2", "c=1"]), &LABELS).unwrap(),
            "'a' already has a value (1), and --overwrite is false"
        );
    }

    #[test]
    fn a_change_of_labels_is_named_as_upstream_names_it() {
        let held = json!({"a": "1"});
        for (held, given, may_overwrite, expected) in [
            (&Value::Null, "zz-", false, "labeled"),
            (&held, "zz-", false, "not labeled"),
            (&held, "a=1", false, "not labeled"),
            (&held, "b=1", false, "labeled"),
            (&held, "a-", false, "unlabeled"),
            (&held, "a-", true, "labeled"),
        ] {
            assert_eq!(said(held, &changes(&[given]), &LABELS, may_overwrite), expected, "{held} {given}");
        }
        assert_eq!(said(&held, &changes(&["zz-"]), &ANNOTATIONS, false), "annotated");
        assert_eq!(missing(&held, &changes(&["a-", "b-"])).collect::<Vec<_>>(), ["b"]);
    }
}
