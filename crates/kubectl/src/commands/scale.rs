//! `kubectl scale`: the replicas of what has a scale.

use clap::{ArgMatches, Command};
use client::Patch;
use serde_json::json;

use super::Entry;
use super::create::number;
use crate::failure::{Failure, Result, error};
use crate::flags::{self, DryRun};
use crate::report::Report;
use crate::select;
use crate::session::Session;

pub const ENTRY: Entry = Entry { build, run: |matches| Box::pin(run(matches)) };

fn build() -> Command {
    Command::new("scale")
        .about("Set a new size for a deployment, replica set, replication controller, or stateful set.")
        .arg(flags::resources())
        .arg(flags::filenames())
        .arg(flags::recursive())
        .arg(flags::selector())
        .arg(flags::dry_run())
        .arg(flags::output("Output format. One of: (json, yaml, name, jsonpath, …)."))
        .arg(flags::text("replicas", "The new desired number of replicas. Required.").required(true))
        .arg(flags::text("current-replicas", "Precondition for current size."))
}

async fn run(matches: &ArgMatches) -> Result {
    let Some(replicas) = number(matches, "replicas")?.filter(|count| *count >= 0) else {
        return error("The --replicas=COUNT flag is required, and COUNT must be greater than or equal to 0");
    };
    let session = Session::open(matches).await?;
    let report = Report::of(matches, "kubectl")?;
    let current = number(matches, "current-replicas")?;
    let found = select::objects(&session, matches).await.map_err(|failure| match failure {
        Failure::Many(all) => {
            let server = |failure: &Failure| match failure {
                Failure::Server(status) => status.message.clone(),
                other => other.to_string(),
            };
            let all: Vec<String> = all.iter().map(server).collect();
            Failure::Here(format!("no objects passed to scale {}", all.join(", ")))
        }
        other => other,
    })?;
    if found.is_empty() {
        return error("no objects passed to scale");
    }
    for found in found {
        let tree = found.object.tree();
        let now = tree["spec"]["replicas"].as_i64().unwrap_or(1);
        if current.is_some_and(|expected| expected != now) {
            return error(format!("Expected replicas to be {}, was {now}", current.unwrap_or_default()));
        }
        if report.dry_run != DryRun::Client {
            let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
            let (namespace, name) = (found.namespace(), found.name());
            session.client.call(patch.into_request(scale(&found, &namespace, &name, &report))).await?;
        }
        report.say(&found.served, &tree, "scaled")?;
    }
    Ok(())
}

fn scale(found: &select::Found, namespace: &str, name: &str, report: &Report) -> machinery::request::Request {
    let resource = found.served.resource();
    let mut request = resource.request(machinery::request::Verb::Get, namespace).name(name).subresource("scale");
    request.options = report.options();
    request
}
