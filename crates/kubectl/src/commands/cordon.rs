//! `kubectl cordon` and `uncordon`: whether pods may be scheduled to nodes.

use clap::{Arg, ArgMatches, Command};
use client::Patch;
use serde_json::{Value, json};

use super::Entry;
use crate::failure::{Failure, Result, error};
use crate::flags::{self, DryRun};
use crate::report::Report;
use crate::select::{self, Found};
use crate::session::Session;

pub const CORDON: Entry = Entry { build: build_cordon, run: |matches| Box::pin(run(matches, true)) };
pub const UNCORDON: Entry = Entry { build: build_uncordon, run: |matches| Box::pin(run(matches, false)) };

fn build_cordon() -> Command {
    shared(Command::new("cordon").about("Mark node as unschedulable."))
}

fn build_uncordon() -> Command {
    shared(Command::new("uncordon").about("Mark node as schedulable."))
}

/// The flags that name nodes.
pub fn shared(command: Command) -> Command {
    command.arg(Arg::new("nodes").num_args(0..).value_name("NODE")).arg(flags::selector()).arg(flags::dry_run())
}

async fn run(matches: &ArgMatches, cordon: bool) -> Result {
    let session = Session::open(matches).await?;
    let report = Report::of(matches, "kubectl-cordon")?;
    for node in nodes(&session, matches, if cordon { "cordon" } else { "uncordon" }).await? {
        set(&session, &report, &node, cordon).await?;
    }
    Ok(())
}

/// The nodes that the command line names.
///
/// # Errors
/// None is named, or one is not there.
pub async fn nodes(session: &Session, matches: &ArgMatches, command: &str) -> Result<Vec<Found>> {
    let names = flags::all(matches, "nodes");
    let is_selected = !flags::of(matches, "selector").is_empty();
    match (names.is_empty(), is_selected) {
        (true, false) => {
            return error(format!("USAGE: {command} NODE [flags]\nSee 'kubectl {command} -h' for help and examples"));
        }
        (false, true) => return error("error: cannot specify both a node name and a --selector option"),
        _ => {}
    }
    let names = names.iter().map(|name| name.strip_prefix("node/").unwrap_or(name));
    let words: Vec<&str> = std::iter::once("nodes").chain(names).collect();
    select::chosen(session, matches, &words).await
}

/// Marks a node; says so when it was marked before.
pub async fn set(session: &Session, report: &Report, node: &Found, cordon: bool) -> Result {
    let done = if cordon { "cordoned" } else { "uncordoned" };
    let tree = node.object.tree();
    if (tree["spec"]["unschedulable"] == true) == cordon {
        return report.say(&node.served, &tree, &format!("already {done}"));
    }
    if report.dry_run != DryRun::Client {
        let wanted = if cordon { Value::Bool(true) } else { Value::Null };
        let patch = Patch::Strategic(json!({"spec": {"unschedulable": wanted}}));
        let nodes = session.client.dynamic(node.served.resource());
        nodes.patch("", &node.name(), "", patch, report.options()).await.map_err(Failure::Server)?;
    }
    report.say(&node.served, &tree, done)
}
