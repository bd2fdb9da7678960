//! `kubectl set`: one thing of objects that are there: images, environment, resources, selectors, who runs it.

mod env;
mod image;
mod resources;
mod selector;
mod serviceaccount;
mod subject;

use clap::{ArgMatches, Command};
use client::Patch;
use machinery::patch::merge_diff;
use serde_json::Value;

use super::Entry;
use crate::failure::{Failure, Result, error};
use crate::flags::{self, DryRun};
use crate::report::Report;
use crate::select::Found;
use crate::session::Session;

pub const ENTRY: Entry = Entry { build, run: |matches| Box::pin(run(matches)) };

const MANAGER: &str = "kubectl-set";

fn build() -> Command {
    Command::new("set")
        .about("Configure application resources.")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(env::build())
        .subcommand(image::build())
        .subcommand(resources::build())
        .subcommand(selector::build())
        .subcommand(serviceaccount::build())
        .subcommand(subject::build())
}

async fn run(matches: &ArgMatches) -> Result {
    match matches.subcommand() {
        Some(("env", own)) => env::run(own).await,
        Some(("image", own)) => image::run(own).await,
        Some(("resources", own)) => resources::run(own).await,
        Some(("selector", own)) => selector::run(own).await,
        Some(("serviceaccount", own)) => serviceaccount::run(own).await,
        Some(("subject", own)) => subject::run(own).await,
        _ => Ok(()),
    }
}

/// The flags of all of them.
fn shared(command: Command) -> Command {
    command
        .arg(flags::resources())
        .arg(flags::filenames())
        .arg(flags::recursive())
        .arg(flags::selector())
        .arg(flags::dry_run())
        .arg(flags::output("Output format. One of: (json, yaml, name, jsonpath, …)."))
        .arg(flags::field_manager())
        .arg(flags::switch("all", "Select all resources, in the namespace of the specified resource types"))
}

/// The words that name objects, and those that say what changes, which come last.
fn split<'a>(words: &[&'a str], is_change: impl Fn(&str) -> bool) -> Result<(Vec<&'a str>, Vec<&'a str>)> {
    let at = words.iter().position(|word| is_change(word)).unwrap_or(words.len());
    let (names, changes) = words.split_at(at);
    match changes.iter().find(|word| !is_change(word)) {
        Some(_) => error(format!("all resources must be specified before changes: {}", words.join(" "))),
        None => Ok((names.to_vec(), changes.to_vec())),
    }
}

/// The pod specification in an object.
fn pod_spec<'a>(found: &Found, tree: &'a mut Value) -> Option<&'a mut Value> {
    let path = match found.served.plural.as_str() {
        "pods" => "/spec",
        "cronjobs" => "/spec/jobTemplate/spec/template/spec",
        _ => "/spec/template/spec",
    };
    tree.pointer_mut(path).filter(|spec| spec["containers"].is_array())
}

/// The containers of a pod specification whose names fit a pattern with `*`.
fn fitting<'a>(spec: &'a mut Value, pattern: &str) -> Vec<&'a mut Value> {
    let mut all = Vec::new();
    if let Some(spec) = spec.as_object_mut() {
        for (field, list) in spec.iter_mut() {
            if field == "containers" || field == "initContainers" {
                all.extend(list.as_array_mut().into_iter().flatten());
            }
        }
    }
    all.retain(|container| fits(container["name"].as_str().unwrap_or_default(), pattern));
    all
}

fn fits(name: &str, pattern: &str) -> bool {
    match pattern.split_once('*') {
        None => name == pattern,
        Some((head, rest)) => name.strip_prefix(head).is_some_and(|tail| {
            rest.is_empty()
                || (0..=tail.len()).filter(|at| tail.is_char_boundary(*at)).any(|at| fits(&tail[at..], rest))
        }),
    }
}

/// Writes what differs, and says so; an object that stays as it is is passed over.
async fn write(
    session: &Session,
    matches: &ArgMatches,
    found: &Found,
    after: &Value,
    said: &str,
    failed: &str,
) -> Result {
    let before = found.object.tree();
    let difference = merge_diff(&before, after);
    if difference.as_object().is_none_or(serde_json::Map::is_empty) {
        return Ok(());
    }
    let report = Report::of(matches, MANAGER)?;
    if report.dry_run == DryRun::Client {
        return report.say(&found.served, after, said);
    }
    // Lists are written whole: only over the version that was read.
    let mut difference = difference;
    difference["metadata"]["resourceVersion"] = machinery::meta::resource_version(&before).into();
    let resource = session.client.dynamic(found.served.resource());
    let patch = Patch::Merge(difference);
    let written = resource.patch(&found.namespace(), &found.name(), "", patch, report.options()).await;
    let written = written.map_err(|status| match status.reason.as_str() {
        "Invalid" => Failure::Server(status),
        _ => Failure::Here(format!("{failed} {}", status.message)),
    })?;
    report.say(&found.served, &written.tree(), said)
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn patterns_have_stars() {
        assert!(fits("web", "*") && fits("web", "w*b") && fits("web", "web") && fits("aXbXc", "a*b*c"));
        assert!(!fits("web", "we") && !fits("web", "x*") && !fits("web", "*x*"));
    }
}
