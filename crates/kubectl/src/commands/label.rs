//! `kubectl label`: a merge patch per object.

use clap::{ArgMatches, Command};
use client::{Options, Patch};
use serde_json::{Value, json};

use super::Entry;
use crate::failure::{Failure, Result, error};
use crate::flags::{self, DryRun};
use crate::select::{self, Found};
use crate::session::Session;

pub const ENTRY: Entry = Entry { build, run: |matches| Box::pin(run(matches)) };

fn build() -> Command {
    Command::new("label")
        .about("Update the labels on a resource.")
        .arg(flags::resources())
        .arg(flags::filenames())
        .arg(flags::recursive())
        .arg(flags::selector())
        .arg(flags::all_namespaces())
        .arg(flags::dry_run())
        .arg(flags::field_manager())
        .arg(flags::switch("all", "Select all resources, in the namespace of the specified resource types"))
        .arg(flags::switch("overwrite", "If true, allow labels to be overwritten."))
        .arg(flags::switch("list", "If true, display the labels for a given resource."))
}

async fn run(matches: &ArgMatches) -> Result {
    let session = Session::open(matches).await?;
    let words = flags::all(matches, "resources");
    let (names, changes) = split(&words);
    let is_list = flags::is_set(matches, "list");
    if changes.is_empty() && !is_list {
        return error("at least one label update is required");
    }
    let found = select::chosen(&session, matches, &names).await?;
    for found in found {
        if is_list {
            print_labels(&found);
        }
        change(&session, matches, &found, &changes).await?;
    }
    Ok(())
}

/// What names objects, and what changes labels (`key=value`, `key-`).
fn split<'a>(words: &[&'a str]) -> (Vec<&'a str>, Vec<&'a str>) {
    let is_change = |word: &&&str| word.contains('=') || word.ends_with('-');
    let at = words.iter().position(|word| is_change(&word)).unwrap_or(words.len());
    (words[..at].to_vec(), words[at..].to_vec())
}

async fn change(session: &Session, matches: &ArgMatches, found: &Found, changes: &[&str]) -> Result {
    let tree = found.object.tree();
    let mut labels = serde_json::Map::new();
    for change in changes {
        match change.split_once('=') {
            Some((key, value)) => {
                let old = machinery::meta::label(&tree, key);
                if old.is_some_and(|old| old != value) && !flags::is_set(matches, "overwrite") {
                    return error(format!(
                        "'{key}' already has a value ({}), and --overwrite is false",
                        old.unwrap_or_default()
                    ));
                }
                labels.insert(key.into(), value.into());
            }
            None => {
                let key = change.trim_end_matches('-');
                if machinery::meta::label(&tree, key).is_none() {
                    println!("label \"{key}\" not found.");
                }
                labels.insert(key.into(), Value::Null);
            }
        }
    }
    let said = verdict(&tree, &labels);
    let dry_run = flags::dry_run_of(matches)?;
    if said != "not labeled" && dry_run != DryRun::Client {
        let options = Options {
            dry_run: dry_run == DryRun::Server,
            field_manager: manager(matches).into(),
            ..Options::default()
        };
        let patch = Patch::Merge(json!({"metadata": {"labels": labels}}));
        let resource = session.client.dynamic(found.served.resource());
        resource.patch(&found.namespace(), &found.name(), "", patch, options).await.map_err(Failure::from)?;
    }
    let suffix = match dry_run {
        DryRun::None => "",
        DryRun::Client => " (dry run)",
        DryRun::Server => " (server dry run)",
    };
    println!("{} {said}{suffix}", found.reference());
    Ok(())
}

fn manager(matches: &ArgMatches) -> &str {
    match flags::of(matches, "field-manager") {
        "" => "kubectl-label",
        given => given,
    }
}

/// What is said of the change: added or changed, only removed, or nothing.
fn verdict(tree: &Value, labels: &serde_json::Map<String, Value>) -> &'static str {
    let differs = |(key, value): &(&String, &Value)| machinery::meta::label(tree, key) != value.as_str();
    let changed: Vec<_> = labels.iter().filter(differs).collect();
    match changed.as_slice() {
        [] => "not labeled",
        all if all.iter().all(|(_, value)| value.is_null()) => "unlabeled",
        _ => "labeled",
    }
}

fn print_labels(found: &Found) {
    let tree = found.object.tree();
    for (key, value) in machinery::meta::labels(&tree).as_object().into_iter().flatten() {
        println!("{key}={}", value.as_str().unwrap_or_default());
    }
}
