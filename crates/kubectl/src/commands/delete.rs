//! `kubectl delete`: what is named or selected, waiting until it is gone.

use std::time::Duration;

use clap::{ArgMatches, Command};
use client::Options;
use futures::StreamExt;
use machinery::request::{Change, Propagation};
use machinery::status::Status;

use super::Entry;
use super::apply::when;
use crate::failure::{Failure, Result, error};
use crate::flags::{self, DryRun};
use crate::select::{self, Found, Named};
use crate::session::Session;

pub const ENTRY: Entry = Entry { build, run: |matches| Box::pin(run(matches)) };

const FORCED: &str = "Warning: Immediate deletion does not wait for confirmation that the running resource has been terminated. The resource may continue to run on the cluster indefinitely.";

fn build() -> Command {
    Command::new("delete")
        .about("Delete resources by file names, stdin, resources and names, or by resources and label selector.")
        .arg(flags::resources())
        .arg(flags::filenames())
        .arg(flags::recursive())
        .arg(flags::selector())
        .arg(flags::field_selector())
        .arg(flags::all_namespaces())
        .arg(flags::dry_run())
        .arg(flags::output("Output mode. Use \"-o name\" for shorter output (resource/name)."))
        .arg(flags::switch("all", "Delete all resources, in the namespace of the specified resource types."))
        .arg(flags::switch("force", "If true, immediately remove resources from API and bypass graceful deletion."))
        .arg(flags::switch("now", "If true, resources are signaled for immediate shutdown (same as --grace-period=1)."))
        .arg(flags::switch("ignore-not-found", "Treat \"resource not found\" as a successful delete."))
        .arg(flags::switch("wait", "If true, wait for resources to be gone before returning.").default_value("true"))
        .arg(flags::text("cascade", "Must be \"background\", \"orphan\", or \"foreground\".").num_args(0..=1).require_equals(true).default_value("background").default_missing_value("background"))
        .arg(flags::text("grace-period", "Period of time in seconds given to the resource to terminate gracefully.").allow_hyphen_values(true))
        .arg(flags::text("timeout", "The length of time to wait before giving up on a delete, zero means determine a timeout from the size of the object"))
}

async fn run(matches: &ArgMatches) -> Result {
    let session = Session::open(matches).await?;
    let plan = Plan::of(matches)?;
    if plan.is_forced {
        eprintln!("{FORCED}");
    }
    let (found, mut failures) = targets(&session, matches).await?;
    let is_named = !flags::all(matches, "filename").is_empty() || flags::is_set(matches, "ignore-not-found");
    if found.is_empty() && failures.is_empty() && !is_named {
        println!("No resources found");
    }
    let mut pending = Vec::new();
    for found in found {
        match delete(&session, &found, &plan).await {
            Ok(()) => pending.push(found),
            Err(Failure::Server(s)) if s.is_not_found() && flags::is_set(matches, "ignore-not-found") => {}
            Err(failure) => failures.push(failure),
        }
    }
    if flags::is_set(matches, "wait") && plan.dry_run == DryRun::None {
        for found in &pending {
            gone(&session, found, plan.timeout).await?;
        }
    }
    Failure::all(failures)
}

/// How to delete, the same for all.
pub struct Plan {
    options: Options,
    dry_run: DryRun,
    is_forced: bool,
    only_names: bool,
    pub timeout: Option<Duration>,
}

impl Plan {
    /// The options of the deletions.
    pub fn options(&self) -> Options {
        self.options.clone()
    }

    /// # Errors
    /// Flags that do not go together, or that cannot be read.
    pub fn of(matches: &ArgMatches) -> Result<Self> {
        // To `replace` and `apply` the flag means to make objects anew, with the grace that they have.
        let is_forced = flags::is_set(matches, "force") && matches.try_contains_id("now").is_ok();
        let mut grace: Option<i64> = match flags::of(matches, "grace-period") {
            "" | "-1" => None,
            text => Some(
                text.parse()
                    .map_err(|_| Failure::Here(format!("invalid argument \"{text}\" for \"--grace-period\" flag")))?,
            ),
        };
        if flags::try_is_set(matches, "now") {
            if grace.is_some() {
                return error("--now and --grace-period cannot be specified together");
            }
            grace = Some(1);
        }
        match grace {
            Some(0) if !is_forced => grace = Some(1),
            Some(seconds) if seconds > 0 && is_forced => {
                return error("--force and --grace-period greater than 0 cannot be specified together");
            }
            None if is_forced => grace = Some(0),
            _ => {}
        }
        let propagation = match flags::of(matches, "cascade") {
            "background" | "true" => Propagation::Background,
            "orphan" | "false" => Propagation::Orphan,
            "foreground" => Propagation::Foreground,
            other => {
                return error(format!(
                    "Invalid cascade value ({other}). Must be \"background\", \"foreground\", or \"orphan\"."
                ));
            }
        };
        let dry_run = flags::dry_run_of(matches)?;
        let timeout = match flags::of(matches, "timeout") {
            "" | "0" | "0s" => None,
            text => Some(flags::duration(text)?),
        };
        let only_names = match flags::of(matches, "output") {
            "" => false,
            "name" => true,
            // `replace --force` prints what it made, in any format.
            _ if matches.try_contains_id("now").is_err() => false,
            other => return error(format!("unexpected -o output mode: {other}. We only support '-o name'.")),
        };
        let options = Options {
            grace_period_seconds: grace,
            propagation: Some(propagation),
            dry_run: dry_run == DryRun::Server,
            ..Options::default()
        };
        Ok(Self { options, dry_run, is_forced, only_names, timeout })
    }
}

async fn targets(session: &Session, matches: &ArgMatches) -> Result<(Vec<Found>, Vec<Failure>)> {
    let words = flags::all(matches, "resources");
    let (is_selected, is_all) = (select::is_selected(matches), flags::is_set(matches, "all"));
    if is_selected && is_all {
        return error("setting 'all' parameter but found a non empty selector. ");
    }
    let filenames = flags::all(matches, "filename");
    if !filenames.is_empty() {
        return in_files(session, matches, &filenames).await;
    }
    if words.is_empty() {
        return error(select::NOTHING_NAMED);
    }
    select::agree(&words, is_selected || is_all)?;
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for named in select::words(session, &words).await? {
        if named.names.is_empty() && !is_selected && !is_all {
            return error(select::NO_NAME);
        }
        collect(session, matches, &named, &mut found, &mut failures).await?;
    }
    Ok((found, failures))
}

/// Those that are there; the others are failures, but do not keep them from being deleted.
async fn in_files(session: &Session, matches: &ArgMatches, names: &[&str]) -> Result<(Vec<Found>, Vec<Failure>)> {
    let (mut there, mut failures) = (Vec::new(), Vec::new());
    for (source, found) in select::in_files(session, names, flags::is_set(matches, "recursive")).await? {
        match found {
            Ok(found) => there.push(found),
            Err(status) if status.is_not_found() && flags::is_set(matches, "ignore-not-found") => {}
            Err(status) => failures.push(when("deleting", &source, status)),
        }
    }
    Ok((there, failures))
}

async fn collect(
    session: &Session,
    matches: &ArgMatches,
    named: &Named,
    found: &mut Vec<Found>,
    failures: &mut Vec<Failure>,
) -> Result {
    let namespace = select::namespace(session, &named.served, flags::is_set(matches, "all-namespaces"));
    if named.names.is_empty() {
        let options = Options {
            label_selector: flags::of(matches, "selector").into(),
            field_selector: flags::of(matches, "field-selector").into(),
            ..Options::default()
        };
        let list = select::list(session, &named.served, &namespace, options).await?;
        found.extend(list.items.into_iter().map(|object| Found { served: named.served.clone(), object }));
    }
    for name in &named.names {
        match session.client.dynamic(named.served.resource()).get(&namespace, name).await {
            Ok(object) => found.push(Found { served: named.served.clone(), object }),
            Err(s) if s.is_not_found() && flags::is_set(matches, "ignore-not-found") => {}
            Err(status) => failures.push(Failure::Server(status)),
        }
    }
    Ok(())
}

/// Deletes one object and says so; does not wait.
pub async fn delete(session: &Session, found: &Found, plan: &Plan) -> Result {
    if plan.dry_run != DryRun::Client {
        let resource = session.client.dynamic(found.served.resource());
        resource.delete(&found.namespace(), &found.name(), plan.options.clone()).await?;
    }
    if plan.only_names {
        println!("{}", found.reference());
        return Ok(());
    }
    let forced = if plan.is_forced { "force " } else { "" };
    let dry = match plan.dry_run {
        DryRun::None => "",
        DryRun::Client => " (dry run)",
        DryRun::Server => " (server dry run)",
    };
    let from = from_namespace(&found.namespace());
    println!("{} \"{}\" {forced}deleted{from}{dry}", found.served.singular_qualified(), found.name());
    Ok(())
}

/// What newer releases say after "deleted" (1.34 on, kubernetes/kubernetes#126619).
pub fn from_namespace(namespace: &str) -> String {
    if namespace.is_empty() { String::new() } else { format!(" from {namespace} namespace") }
}

/// Until the object is gone, or another one has its name.
pub async fn gone(session: &Session, found: &Found, timeout: Option<Duration>) -> Result {
    let waiting = watch_until_gone(session, found);
    match timeout {
        None => waiting.await,
        Some(patience) => match tokio::time::timeout(patience, waiting).await {
            Ok(ended) => ended,
            Err(_) => error(format!("timed out waiting for the condition on {}/{}", found.served.plural, found.name())),
        },
    }
}

async fn watch_until_gone(session: &Session, found: &Found) -> Result {
    let resource = session.client.dynamic(found.served.resource());
    let uid = machinery::meta::uid(&found.object.tree()).to_owned();
    loop {
        let selected = format!("metadata.name={}", found.name());
        let options = Options { field_selector: selected, ..Options::default() };
        let listed = resource.list(&found.namespace(), options.clone()).await?;
        if !listed.items.iter().any(|object| machinery::meta::uid(&object.tree()) == uid) {
            return Ok(());
        }
        let options = Options { resource_version: listed.revision.to_string(), ..options };
        let mut events = resource.watch(&found.namespace(), options).await?;
        while let Some(event) = events.next().await {
            match event {
                Ok(event) if event.change == Change::Deleted => return Ok(()),
                Ok(_) => {}
                Err(status) if Status::is_expired(&status) => break,
                Err(status) => return Err(status.into()),
            }
        }
    }
}
