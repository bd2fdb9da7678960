//! `kubectl taint`: what keeps pods off nodes.

use clap::{ArgMatches, Command};
use client::Patch;
use serde_json::{Value, json};

use super::Entry;
use super::describe::taint_text;
use crate::failure::{Result, error};
use crate::flags::{self, DryRun};
use crate::report::Report;
use crate::select::{self, Found};
use crate::session::Session;

pub const ENTRY: Entry = Entry { build, run: |matches| Box::pin(run(matches)) };

const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

fn build() -> Command {
    Command::new("taint")
        .about("Update the taints on one or more nodes.")
        .arg(flags::resources())
        .arg(flags::selector())
        .arg(flags::dry_run())
        .arg(flags::output("Output format. One of: (json, yaml, name, jsonpath, …)."))
        .arg(flags::field_manager())
        .arg(flags::switch("all", "Select all nodes in the cluster"))
        .arg(flags::switch("overwrite", "If true, allow taints to be overwritten."))
}

/// A taint to set, or to remove: then without an effect all of its key.
struct Change {
    key: String,
    value: String,
    effect: String,
    removes: bool,
}

async fn run(matches: &ArgMatches) -> Result {
    let session = Session::open(matches).await?;
    let report = Report::of(matches, "kubectl-taint")?;
    let all = flags::all(matches, "resources");
    let is_change = |word: &&str| word.contains('=') || word.contains(':') || word.ends_with('-');
    let at = all.iter().position(is_change).unwrap_or(all.len());
    let (nodes, changes) = all.split_at(at);
    if nodes.is_empty() {
        return error("one or more resources must be specified as <resource> <name>");
    }
    if changes.is_empty() {
        return error("at least one taint update is required");
    }
    if let Some(word) = changes.iter().find(|word| !is_change(word)) {
        return error(format!("all resources must be specified before taint changes: {word}"));
    }
    let (is_all, is_selected) = (flags::is_set(matches, "all"), !flags::of(matches, "selector").is_empty());
    if is_all && is_selected {
        return error("setting 'all' parameter with a non empty selector is prohibited");
    }
    let is_named = nodes.len() > 1 || nodes.iter().any(|node| node.contains('/'));
    if !is_named && !is_all && !is_selected {
        return error("at least one resource name must be specified since 'all' parameter is not set");
    }
    let changes = changes.iter().map(|word| parse(word)).collect::<Result<Vec<Change>>>()?;
    for node in select::chosen(&session, matches, nodes).await? {
        if node.served.plural != "nodes" {
            return error(format!("invalid resource type {}, only node types are supported", node.served.plural));
        }
        taint(&session, matches, &report, &node, &changes).await?;
    }
    Ok(())
}

/// `key=value:Effect`, `key:Effect`, `key:Effect-`, `key-`.
fn parse(word: &str) -> Result<Change> {
    let (spec, removes) = word.strip_suffix('-').map_or((word, false), |spec| (spec, true));
    let (pair, effect) = spec.split_once(':').unwrap_or((spec, ""));
    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
    if key.is_empty() || (effect.is_empty() && !removes) {
        return error(format!("invalid taint spec: {word}\nSee 'kubectl taint -h' for help and examples"));
    }
    if !effect.is_empty() && !EFFECTS.contains(&effect) {
        return error(format!("invalid taint effect: {effect}, unsupported taint effect"));
    }
    Ok(Change { key: key.into(), value: value.into(), effect: effect.into(), removes })
}

async fn taint(session: &Session, matches: &ArgMatches, report: &Report, node: &Found, changes: &[Change]) -> Result {
    let tree = node.object.tree();
    let mut taints: Vec<Value> = tree["spec"]["taints"].as_array().cloned().unwrap_or_default();
    let (mut is_added, mut is_removed) = (false, false);
    for change in changes {
        let fits = |taint: &Value| {
            taint["key"] == *change.key && (change.effect.is_empty() || taint["effect"] == *change.effect)
        };
        let held = taints.iter().any(fits);
        if change.removes {
            if !held {
                let effect = if change.effect.is_empty() { String::new() } else { format!(":{}", change.effect) };
                return error(format!("taint \"{}{effect}\" not found", change.key));
            }
            is_removed = true;
            taints.retain(|taint| !fits(taint));
            continue;
        }
        let mut new = json!({"key": change.key, "effect": change.effect});
        if !change.value.is_empty() {
            new["value"] = change.value.as_str().into();
        }
        if held && !flags::is_set(matches, "overwrite") {
            let name = node.name();
            let shown = taint_text(&new);
            return error(format!(
                "node {name} already has [{shown}] taint(s) with same effect(s) and --overwrite is false"
            ));
        }
        taints.retain(|taint| !fits(taint));
        taints.push(new);
        is_added = true;
    }
    let said = match (is_added, is_removed) {
        (true, true) => "modified",
        (false, _) => "untainted",
        (true, false) => "tainted",
    };
    if report.dry_run == DryRun::Client {
        return report.say(&node.served, &tree, said);
    }
    // The whole list is written: only over the version that it was made from.
    let revision = machinery::meta::resource_version(&tree);
    let taints = if taints.is_empty() { Value::Null } else { taints.into() };
    let patch = Patch::Merge(json!({"metadata": {"resourceVersion": revision}, "spec": {"taints": taints}}));
    let nodes = session.client.dynamic(node.served.resource());
    let after = nodes.patch("", &node.name(), "", patch, report.options()).await?;
    report.say(&node.served, &after.tree(), said)
}
