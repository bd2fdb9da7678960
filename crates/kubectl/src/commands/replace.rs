//! `kubectl replace`: objects of files in place of those on the server.

use std::sync::Arc;

use clap::{ArgMatches, Command};
use client::Options;
use machinery::object::Object;
use serde_json::Value;

use super::Entry;
use super::apply::validation;
use super::delete::{self, Plan};
use crate::discovery::Served;
use crate::failure::{Failure, Result, error};
use crate::files;
use crate::flags::{self, DryRun};
use crate::report::Report;
use crate::select::{self, Found};
use crate::session::Session;

pub const ENTRY: Entry = Entry { build, run: |matches| Box::pin(run(matches)) };

fn build() -> Command {
    Command::new("replace")
        .about("Replace a resource by file name or stdin.")
        .arg(flags::filenames())
        .arg(flags::recursive())
        .arg(flags::dry_run())
        .arg(flags::output("Output format. One of: (json, yaml, name, jsonpath, …)."))
        .arg(flags::field_manager())
        .arg(flags::validate())
        .arg(flags::save_config())
        .arg(flags::switch("force", "If true, immediately remove resources from API and bypass graceful deletion."))
        .arg(flags::text("grace-period", "Period of time in seconds given to the resource to terminate gracefully.").allow_hyphen_values(true))
        .arg(flags::text("timeout", "The length of time to wait before giving up on a delete, zero means determine a timeout from the size of the object"))
        .arg(flags::text("cascade", "Must be \"background\", \"orphan\", or \"foreground\".").num_args(0..=1).require_equals(true).default_value("background").default_missing_value("background"))
        .arg(flags::text(
            "subresource",
            "If specified, replace will operate on the subresource of the requested object.",
        ))
}

async fn run(matches: &ArgMatches) -> Result {
    let names = flags::all(matches, "filename");
    if names.is_empty() {
        return error("must specify --filename to replace");
    }
    let subresource = flags::of(matches, "subresource");
    if !matches!(subresource, "" | "status" | "scale") {
        return error(format!("invalid subresource value: {subresource:?}. Must be one of [status scale]"));
    }
    if !flags::is_set(matches, "force") {
        without_force(matches)?;
    }
    let session = Session::open(matches).await?;
    let report = Report::of(matches, "kubectl-replace")?;
    let (mut failures, mut anew) = (Vec::new(), Vec::new());
    for given in files::read(&names, flags::is_set(matches, "recursive")).await? {
        let (version, kind) = (machinery::meta::api_version(&given.tree), machinery::meta::kind(&given.tree));
        let served = session.discovery().await?.of_kind(version, kind)?;
        let namespace = select::namespace_of(&session, served, &given.tree)?;
        let mut tree = given.tree.clone();
        if !namespace.is_empty() {
            tree["metadata"]["namespace"] = namespace.as_str().into();
        }
        if report.dry_run == DryRun::Client {
            report.say(served, &tree, "replaced")?;
            continue;
        }
        if flags::is_set(matches, "save-config") {
            tree = super::apply::with_annotation(&tree);
        }
        let mut options = report.options();
        options.field_validation = validation(flags::of(matches, "validate"))?;
        if flags::is_set(matches, "force") {
            anew.push((served.clone(), tree, options));
            continue;
        }
        match write(&session, options, served, tree, subresource).await {
            Ok(after) => report.say(served, &after.tree(), "replaced")?,
            Err(failure) => failures.push(failure),
        }
    }
    Failure::all(failures)?;
    force(&session, matches, &report, anew).await
}

/// Grace and patience belong to deletions.
fn without_force(matches: &ArgMatches) -> Result {
    match (flags::of(matches, "grace-period"), flags::of(matches, "timeout")) {
        ("" | "-1", "" | "0" | "0s") => Ok(()),
        ("" | "-1", _) => error("--timeout must have --force specified"),
        _ => error("--grace-period must have --force specified"),
    }
}

/// Deletes all of them, waits until they are gone, and makes them again.
async fn force(session: &Session, matches: &ArgMatches, report: &Report, all: Vec<(Served, Value, Options)>) -> Result {
    if all.is_empty() {
        return Ok(());
    }
    let plan = Plan::of(matches)?;
    let mut deleted = Vec::new();
    for (served, tree, _) in &all {
        let (namespace, name) = (machinery::meta::namespace(tree), machinery::meta::name(tree));
        match session.client.dynamic(served.resource()).get(namespace, name).await {
            Ok(object) => {
                let found = Found { served: served.clone(), object };
                delete::delete(session, &found, &plan).await?;
                deleted.push(found);
            }
            Err(status) if status.is_not_found() => {}
            Err(status) => return Err(status.into()),
        }
    }
    for found in &deleted {
        delete::gone(session, found, plan.timeout).await?;
    }
    for (served, mut tree, options) in all {
        machinery::tree::remove(&mut tree, "metadata.resourceVersion");
        machinery::tree::remove(&mut tree, "metadata.uid");
        let namespace = machinery::meta::namespace(&tree).to_owned();
        let created = session.client.dynamic(served.resource()).create(&namespace, tree, options).await?;
        report.say(&served, &created.tree(), "replaced")?;
    }
    Ok(())
}

/// A file without a resourceVersion replaces whatever is there now; some kinds take no update without one.
async fn write(
    session: &Session,
    options: Options,
    served: &Served,
    mut tree: Value,
    subresource: &str,
) -> Result<Arc<Object>> {
    let (namespace, name) = (machinery::meta::namespace(&tree).to_owned(), machinery::meta::name(&tree).to_owned());
    let resource = session.client.dynamic(served.resource());
    if machinery::meta::resource_version(&tree).is_empty() {
        let now = resource.get(&namespace, &name).await?;
        tree["metadata"]["resourceVersion"] = machinery::meta::resource_version(&now.tree()).into();
    }
    Ok(resource.update(&namespace, &name, subresource, tree, options).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replacing_by_force_deletes_with_the_grace_that_objects_have() {
        let plan = |words: &str| Plan::of(&build().try_get_matches_from(words.split(' ')).unwrap());
        assert_eq!(plan("replace --force").unwrap().options().grace_period_seconds, None);
        assert_eq!(plan("replace --force --grace-period=0").unwrap().options().grace_period_seconds, Some(1));
        assert_eq!(plan("replace --force --grace-period=2").unwrap().options().grace_period_seconds, Some(2));
    }

    #[test]
    fn grace_and_patience_need_force() {
        let said = |words: &str| without_force(&build().try_get_matches_from(words.split(' ')).unwrap());
        assert_eq!(
            said("replace --grace-period=2").unwrap_err().to_string(),
            "error: --grace-period must have --force specified"
        );
        assert_eq!(
            said("replace --timeout=2s").unwrap_err().to_string(),
            "error: --timeout must have --force specified"
        );
        assert!(said("replace --timeout=0s --grace-period=-1").is_ok());
    }
}
