//! `kubectl label`, and what it shares with `annotate`: a merge patch per object.

use clap::{ArgMatches, Command};
use client::Patch;
use serde_json::{Map, Value, json};

use super::Entry;
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
    let changes = parse(&changes)?;
    if words.field == "labels" {
        valid(&changes)?;
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
    for (key, value) in changes {
        match (held[key].as_str(), value.as_str()) {
            (Some(old), Some(new)) if old != new && !flags::is_set(matches, "overwrite") => {
                let declared = words.declared;
                let end = if declared.is_empty() { ", and --overwrite is false" } else { "" };
                return error(format!("{declared}'{key}' already has a value ({old}){end}"));
            }
            (None, None) if words.declared.is_empty() => println!("{} \"{key}\" not found.", words.one),
            _ => {}
        }
    }
    let differing: Vec<&Value> = changes.iter().filter(|(key, value)| held[*key] != **value).map(|(_, v)| v).collect();
    let said = match differing.as_slice() {
        [] => words.unchanged,
        all if all.iter().all(|value| value.is_null()) => words.only_removed,
        _ => words.changed,
    };
    let report = Report::of(matches, words.manager)?;
    if differing.is_empty() {
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

fn print_all(found: &Found, words: &Words) {
    let tree = found.object.tree();
    for (key, value) in tree["metadata"][words.field].as_object().into_iter().flatten() {
        println!("{key}={}", value.as_str().unwrap_or_default());
    }
}
