//! `kubectl wait`: until a condition holds, a path has a value, or the object is gone.

use std::time::Duration;

use clap::{ArgMatches, Command};
use client::Options;
use futures::StreamExt;
use machinery::jsonpath::{Template, relaxed};
use machinery::request::Change;
use serde_json::Value;

use super::Entry;
use crate::failure::{Failure, Result, error};
use crate::flags;
use crate::select::{self, Found};
use crate::session::Session;

pub const ENTRY: Entry = Entry { build, run: |matches| Box::pin(run(matches)) };

fn build() -> Command {
    Command::new("wait")
        .about("Wait for a specific condition on one or many resources.")
        .arg(flags::resources())
        .arg(flags::filenames())
        .arg(flags::recursive())
        .arg(flags::selector())
        .arg(flags::all_namespaces())
        .arg(flags::output("Output format. Only 'name' shortens the output."))
        .arg(flags::switch("all", "Select all resources in the namespace of the specified resource types"))
        .arg(flags::text("for", "The condition to wait on: [create|delete|condition=condition-name[=condition-value]|jsonpath='{JSONPath expression}'=[JSONPath value]].").required(true))
        .arg(flags::text("timeout", "The length of time to wait before giving up.").default_value("30s"))
}

/// What is waited for.
enum Goal {
    Delete,
    Condition { name: String, value: String },
    Path { template: Template, value: Option<String> },
}

impl Goal {
    fn parse(text: &str) -> Result<Self> {
        if text.eq_ignore_ascii_case("delete") {
            return Ok(Goal::Delete);
        }
        if let Some(condition) = text.strip_prefix("condition=") {
            let (name, value) = condition.split_once('=').unwrap_or((condition, "true"));
            return Ok(Goal::Condition { name: name.to_lowercase(), value: value.to_lowercase() });
        }
        if let Some(path) = text.strip_prefix("jsonpath=") {
            let end = path.rfind('}').map_or(path.len(), |at| at + 1);
            let template = relaxed(path[..end].trim_matches('\'')).and_then(|path| Template::parse(&path));
            let value = path[end..].trim_start_matches('\'').strip_prefix('=').map(|v| v.trim_matches('\'').to_owned());
            return Ok(Goal::Path { template: template.map_err(Failure::Here)?, value });
        }
        error(format!("unrecognized condition: \"{text}\""))
    }

    fn is_met(&self, tree: &Value) -> bool {
        match self {
            Goal::Delete => false,
            Goal::Condition { name, value } => {
                let conditions = tree["status"]["conditions"].as_array().into_iter().flatten();
                let text = |v: &Value| v.as_str().unwrap_or_default().to_lowercase();
                conditions.into_iter().any(|c| text(&c["type"]) == *name && text(&c["status"]) == *value)
            }
            Goal::Path { template, value } => {
                let found = template.print(tree, true).unwrap_or_default();
                value.as_ref().map_or(!found.is_empty(), |value| *value == found)
            }
        }
    }
}

async fn run(matches: &ArgMatches) -> Result {
    let goal = Goal::parse(flags::of(matches, "for"))?;
    let patience = flags::duration(flags::of(matches, "timeout"))?;
    let session = Session::open(matches).await?;
    let found = match (select::objects(&session, matches).await, &goal) {
        // What is gone already is what was waited for.
        (Err(Failure::Many(all)), Goal::Delete)
            if all.iter().all(|f| matches!(f, Failure::Server(s) if s.is_not_found())) =>
        {
            return Ok(());
        }
        (found, _) => found?,
    };
    if found.is_empty() && !matches!(goal, Goal::Delete) {
        return error("no matching resources found");
    }
    let end = tokio::time::Instant::now() + patience;
    let mut failures = Vec::new();
    for found in found {
        match tokio::time::timeout_at(end, until(&session, &found, &goal)).await {
            Ok(ended) => ended?,
            Err(_) => failures.push(Failure::Here(late(&found, patience))),
        }
    }
    Failure::all(failures)
}

fn late(found: &Found, _patience: Duration) -> String {
    format!("timed out waiting for the condition on {}/{}", found.served.plural, found.name())
}

async fn until(session: &Session, found: &Found, goal: &Goal) -> Result {
    let resource = session.client.dynamic(found.served.resource());
    let uid = machinery::meta::uid(&found.object.tree()).to_owned();
    let options = Options { field_selector: format!("metadata.name={}", found.name()), ..Options::default() };
    loop {
        let listed = resource.list(&found.namespace(), options.clone()).await?;
        let is_there = listed.items.iter().any(|object| machinery::meta::uid(&object.tree()) == uid);
        if matches!(goal, Goal::Delete) && !is_there {
            println!("{} condition met", found.reference());
            return Ok(());
        }
        let options = Options { resource_version: "0".into(), ..options.clone() };
        let mut events = resource.watch(&found.namespace(), options).await?;
        while let Some(Ok(event)) = events.next().await {
            let is_gone = event.change == Change::Deleted && matches!(goal, Goal::Delete);
            if is_gone || (event.change != Change::Deleted && goal.is_met(&event.object.tree())) {
                println!("{} condition met", found.reference());
                return Ok(());
            }
        }
    }
}
