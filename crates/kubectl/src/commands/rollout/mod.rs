//! `kubectl rollout`: status, history, undo, pause, resume, restart of Deployments, DaemonSets and StatefulSets.

mod history;
mod revisions;
mod status;

use clap::{ArgMatches, Command};
use client::Patch;
use serde_json::{Value, json};

use super::Entry;
use crate::failure::{Result, error};
use crate::flags;
use crate::report::Report;
use crate::select::{self, Found};
use crate::session::Session;
pub use revisions::CAUSE;

pub const ENTRY: Entry = Entry { build, run: |matches| Box::pin(run(matches)) };

const MANAGER: &str = "kubectl-rollout";

fn build() -> Command {
    let sub = |name: &'static str, about: &'static str| {
        Command::new(name)
            .about(about)
            .arg(flags::resources())
            .arg(flags::filenames())
            .arg(flags::recursive())
            .arg(flags::selector())
    };
    let writing = |name, about| sub(name, about).arg(flags::output("Output format.")).arg(flags::field_manager());
    let revision = |help| flags::text("revision", help).default_value("0");
    Command::new("rollout")
        .about("Manage the rollout of one or many resources.")
        .subcommand_required(true)
        .subcommand(
            sub("status", "Show the status of the rollout")
                .arg(
                    flags::switch("watch", "Watch the status of the rollout until it's done.")
                        .short('w')
                        .default_value("true"),
                )
                .arg(flags::text("timeout", "The length of time to wait before ending watch, zero means never."))
                .arg(revision("Pin to a specific revision for showing its status.")),
        )
        .subcommand(
            sub("history", "View rollout history")
                .arg(flags::output("Output format. One of: (json, yaml, name, jsonpath, …)."))
                .arg(revision("See the details, including podTemplate of the revision specified")),
        )
        .subcommand(writing("undo", "Undo a previous rollout").arg(flags::dry_run()).arg(
            flags::text("to-revision", "The revision to rollback to. Default to 0 (last revision).").default_value("0"),
        ))
        .subcommand(writing("pause", "Mark the provided resource as paused"))
        .subcommand(writing("resume", "Resume a paused resource"))
        .subcommand(writing("restart", "Restart a resource"))
}

async fn run(matches: &ArgMatches) -> Result {
    let Some((name, inner)) = matches.subcommand() else { return Ok(()) };
    let session = Session::open(inner).await?;
    let found = select::objects(&session, inner).await?;
    if found.is_empty() {
        return error("No resources found");
    }
    for found in found {
        match name {
            "status" => status::run(&session, inner, &found).await?,
            "history" => history::show(&session, inner, &found).await?,
            "undo" => history::undo(&session, inner, &found).await?,
            other => change(&session, inner, &found, other).await?,
        }
    }
    Ok(())
}

/// Which of a verb's kinds an object is of.
fn is_known(found: &Found, kinds: &[&str]) -> bool {
    found.served.group == "apps" && kinds.contains(&found.served.kind.as_str())
}

async fn change(session: &Session, matches: &ArgMatches, found: &Found, what: &str) -> Result {
    let tree = found.object.tree();
    let paused = tree["spec"]["paused"] == true;
    let reference = found.served.qualified();
    let (kinds, doing): (&[&str], &str) = match what {
        "pause" => (&["Deployment"], "pausing"),
        "resume" => (&["Deployment"], "resuming"),
        _ => (&["Deployment", "DaemonSet", "StatefulSet"], "restarting"),
    };
    if !is_known(found, kinds) {
        return error(format!("{reference} {:?} {doing} is not supported", found.name()));
    }
    let (patch, said): (Value, &str) = match (what, paused) {
        ("pause", false) => (json!({"spec": {"paused": true}}), "paused"),
        ("pause", true) => return error(format!("{reference} \"{}\" is already paused", found.name())),
        ("resume", true) => (json!({"spec": {"paused": null}}), "resumed"),
        ("resume", false) => return error(format!("{reference} \"{}\" is not paused", found.name())),
        (_, true) => return error("can't restart paused deployment (run rollout resume first)"),
        _ => {
            let now = machinery::time::format(k8s_openapi::jiff::Timestamp::now());
            let annotations = json!({"kubectl.kubernetes.io/restartedAt": now});
            (json!({"spec": {"template": {"metadata": {"annotations": annotations}}}}), "restarted")
        }
    };
    let report = Report::of(matches, MANAGER)?;
    let resource = session.client.dynamic(found.served.resource());
    let patch = Patch::Strategic(patch);
    let changed = resource.patch(&found.namespace(), &found.name(), "", patch, report.options()).await?;
    report.say(&found.served, &changed.tree(), said)
}
