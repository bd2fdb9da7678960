//! `create job` and `create cronjob`.

use clap::{Arg, ArgMatches, Command};
use serde_json::{Value, json};

use super::workload::name;
use super::{Generator, Make};
use crate::failure::{Result, error};
use crate::flags;
use crate::session::Session;

pub const CRON_JOB: Generator = Generator { build: build_cron_job, make: Make::Plain(cron_job) };
pub const JOB: Generator =
    Generator { build: build_job, make: Make::Asking(|matches, session| Box::pin(job(matches, session))) };

const BY_HAND: &str = "cronjob.kubernetes.io/instantiate";

fn command() -> Arg {
    Arg::new("command").last(true).num_args(0..).value_name("COMMAND")
}

fn build_cron_job() -> Command {
    Command::new("cronjob")
        .visible_alias("cj")
        .about("Create a cron job with the specified name.")
        .arg(name())
        .arg(command())
        .arg(flags::text("image", "Image name to run.").required(true))
        .arg(flags::text("schedule", "A schedule in the Cron format the job should be run with.").required(true))
        .arg(flags::text("restart", "job's restart policy. supported values: OnFailure, Never"))
}

fn cron_job(matches: &ArgMatches) -> Result<Value> {
    let name = flags::of(matches, "name");
    let restart = match flags::of(matches, "restart") {
        "" => "OnFailure",
        given => given,
    };
    let template = json!({"spec": {"containers": [container(matches)], "restartPolicy": restart}});
    Ok(json!({
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": name},
        "spec": {
            "schedule": flags::of(matches, "schedule"),
            "jobTemplate": {"metadata": {"name": name}, "spec": {"template": template}},
        },
        "status": {},
    }))
}

fn container(matches: &ArgMatches) -> Value {
    let mut container =
        json!({"name": flags::of(matches, "name"), "image": flags::of(matches, "image"), "resources": {}});
    let command = flags::all(matches, "command");
    if !command.is_empty() {
        container["command"] = command.into();
    }
    container
}

fn build_job() -> Command {
    Command::new("job")
        .about("Create a job with the specified name.")
        .arg(name())
        .arg(command())
        .arg(flags::text("image", "Image name to run."))
        .arg(flags::text("from", "The name of the resource to create a Job from (only cronjob is supported)."))
}

async fn job(matches: &ArgMatches, session: &Session) -> Result<Value> {
    let (image, from) = (flags::of(matches, "image"), flags::of(matches, "from"));
    if image.is_empty() == from.is_empty() {
        return error("either --image or --from must be specified");
    }
    let has_command = !flags::all(matches, "command").is_empty();
    if has_command && !from.is_empty() {
        return error("cannot specify --from and command");
    }
    if !from.is_empty() {
        return of_cron_job(matches, session, from).await;
    }
    Ok(json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": flags::of(matches, "name")},
        "spec": {"template": {"spec": {"containers": [container(matches)], "restartPolicy": "Never"}}},
        "status": {},
    }))
}

/// A Job of a CronJob's template, owned by it.
async fn of_cron_job(matches: &ArgMatches, session: &Session, from: &str) -> Result<Value> {
    let (kind, name) = from.split_once('/').unwrap_or(("cronjob", from));
    let served = session.discovery().await?.find(kind)?;
    if served.kind != "CronJob" {
        return error(format!("from must be an existing cronjob: {} was given", served.kind));
    }
    let cron_job = session.client.dynamic(served.resource()).get(&session.namespace, name).await?;
    let cron_job = cron_job.tree();
    let template = &cron_job["spec"]["jobTemplate"];
    let mut annotations = template["metadata"]["annotations"].clone();
    annotations[BY_HAND] = "manual".into();
    let owner = json!({
        "apiVersion": "batch/v1", "kind": "CronJob", "name": name,
        "uid": machinery::meta::uid(&cron_job), "controller": true,
    });
    let mut metadata =
        json!({"name": flags::of(matches, "name"), "annotations": annotations, "ownerReferences": [owner]});
    if template["metadata"]["labels"].is_object() {
        metadata["labels"] = template["metadata"]["labels"].clone();
    }
    Ok(json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": template["spec"], "status": {}}))
}
