//! `kubectl run`: one pod from an image.

use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::{Map, Value, json};

use super::Entry;
use super::create::number;
use crate::failure::{Failure, Result, error};
use crate::flags::{self, DryRun};
use crate::report::Report;
use crate::session::Session;

pub const ENTRY: Entry = Entry { build, run: |matches| Box::pin(run(matches)) };

fn build() -> Command {
    Command::new("run")
        .about("Create and run a particular image in a pod.")
        .arg(Arg::new("name").required(true).value_name("NAME"))
        .arg(Arg::new("arguments").last(true).num_args(0..).value_name("ARGS"))
        .arg(flags::text("image", "The image for the container to run.").required(true))
        .arg(flags::text("port", "The port that this container exposes."))
        .arg(flags::text("env", "Environment variables to set in the container.").action(ArgAction::Append))
        .arg(flags::text("labels", "Comma separated labels to apply to the pod.").short('l'))
        .arg(flags::text("annotations", "Annotations to apply to the pod.").action(ArgAction::Append))
        .arg(flags::text("restart", "The restart policy for this Pod. Legal values [Always, OnFailure, Never].").default_value("Always"))
        .arg(flags::text("image-pull-policy", "The image pull policy for the container."))
        .arg(flags::switch("command", "If true and extra arguments are present, use them as the 'command' field in the container, rather than the 'args' field which is the default."))
        .arg(flags::switch("privileged", "If true, run the container in privileged mode."))
        .arg(flags::dry_run())
        .arg(flags::output("Output format. One of: (json, yaml, name, jsonpath, …)."))
        .arg(flags::field_manager())
}

async fn run(matches: &ArgMatches) -> Result {
    let pod = pod(matches)?;
    let report = Report::of(matches, "kubectl-run")?;
    let session = Session::open(matches).await?;
    let served = session.discovery().await?.of_kind("v1", "Pod")?;
    if report.dry_run == DryRun::Client {
        return report.say(served, &pod, "created");
    }
    let created = session.client.dynamic(served.resource()).create(&session.namespace, pod, report.options()).await?;
    report.say(served, &created.tree(), "created")
}

fn pod(matches: &ArgMatches) -> Result<Value> {
    let name = flags::of(matches, "name");
    let restart = flags::of(matches, "restart");
    if !["Always", "OnFailure", "Never"].contains(&restart) {
        return error(format!("invalid restart policy: {restart}"));
    }
    let labels = match flags::of(matches, "labels") {
        "" => json!({"run": name}),
        text => Value::Object(pairs(text.split(','), "labels")?),
    };
    let mut metadata = json!({"name": name, "labels": labels});
    let annotations = flags::all(matches, "annotations");
    if !annotations.is_empty() {
        metadata["annotations"] = Value::Object(pairs(annotations.into_iter(), "annotations")?);
    }
    Ok(json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": metadata,
        "spec": {"containers": [container(matches, name)?], "dnsPolicy": "ClusterFirst", "restartPolicy": restart},
        "status": {},
    }))
}

fn container(matches: &ArgMatches, name: &str) -> Result<Value> {
    let mut container = json!({"name": name, "image": flags::of(matches, "image"), "resources": {}});
    let words = flags::all(matches, "arguments");
    if !words.is_empty() {
        let field = if flags::is_set(matches, "command") { "command" } else { "args" };
        container[field] = words.into();
    }
    if let Some(port) = number(matches, "port")? {
        container["ports"] = json!([{"containerPort": port}]);
    }
    let env = pairs(flags::all(matches, "env").into_iter(), "env")?;
    if !env.is_empty() {
        container["env"] = env.into_iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    }
    let policy = flags::of(matches, "image-pull-policy");
    if !policy.is_empty() {
        container["imagePullPolicy"] = policy.into();
    }
    if flags::is_set(matches, "privileged") {
        container["securityContext"] = json!({"privileged": true});
    }
    Ok(container)
}

/// `key=value` words as a map.
///
/// # Errors
/// A word without an equals sign.
pub fn pairs<'a>(words: impl Iterator<Item = &'a str>, what: &str) -> Result<Map<String, Value>> {
    let pair = |word: &str| match word.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), Value::from(value))),
        _ => Err(Failure::Here(format!("invalid {what}: {word}"))),
    };
    words.map(pair).collect()
}
