//! `kubectl autoscale`: a HorizontalPodAutoscaler for what scales.

use clap::{ArgMatches, Command};
use serde_json::{Value, json};

use super::Entry;
use super::create::number;
use crate::failure::{Result, error};
use crate::flags::{self, DryRun};
use crate::report::Report;
use crate::select::{self, Found};
use crate::session::Session;

pub const ENTRY: Entry = Entry { build, run: |matches| Box::pin(run(matches)) };

fn build() -> Command {
    Command::new("autoscale")
        .about("Auto-scale a deployment, replica set, stateful set, or replication controller.")
        .arg(flags::resources())
        .arg(flags::filenames())
        .arg(flags::recursive())
        .arg(flags::dry_run())
        .arg(flags::output("Output format. One of: (json, yaml, name, jsonpath, …)."))
        .arg(flags::field_manager())
        .arg(flags::save_config())
        .arg(
            flags::text("min", "The lower limit for the number of pods that can be set by the autoscaler.")
                .allow_hyphen_values(true),
        )
        .arg(
            flags::text("max", "The upper limit for the number of pods that can be set by the autoscaler. Required.")
                .allow_hyphen_values(true),
        )
        .arg(
            flags::text(
                "cpu-percent",
                "The target average CPU utilization (represented as a percent of requested CPU) over all the pods.",
            )
            .allow_hyphen_values(true),
        )
        .arg(flags::text(
            "name",
            "The name for the newly created object. If not specified, the name of the input resource will be used.",
        ))
}

async fn run(matches: &ArgMatches) -> Result {
    let (min, max) = (number(matches, "min")?.unwrap_or(-1), number(matches, "max")?);
    let Some(max) = max else { return error("required flag(s) \"max\" not set") };
    if max < 1 {
        return error(format!("--max=MAXPODS is required and must be at least 1, max: {max}"));
    }
    if max < min {
        return error(format!("--max=MAXPODS must be larger or equal to --min=MINPODS, max: {max}, min: {min}"));
    }
    let percent = number(matches, "cpu-percent")?.unwrap_or(-1);
    let session = Session::open(matches).await?;
    let report = Report::of(matches, "kubectl-autoscale")?;
    let served = session.discovery().await?.of_kind("autoscaling/v1", "HorizontalPodAutoscaler")?;
    for found in select::objects(&session, matches).await? {
        if !found.served.subresources.iter().any(|subresource| subresource == "scale") {
            let served = &found.served;
            return error(format!(
                "cannot autoscale a {}: could not find scale subresource for {}/{}, Resource={} in discovery information",
                served.kind, served.group, served.version, served.plural
            ));
        }
        let mut tree = autoscaler(matches, &found, (min, max), percent);
        if report.dry_run == DryRun::Client {
            report.say(served, &tree, "autoscaled")?;
            continue;
        }
        if flags::is_set(matches, "save-config") {
            tree = super::apply::with_annotation(&tree);
        }
        let resource = session.client.dynamic(served.resource());
        let created = resource.create(&found.namespace(), tree, report.options()).await?;
        report.say(served, &created.tree(), "autoscaled")?;
    }
    Ok(())
}

fn autoscaler(matches: &ArgMatches, found: &Found, (min, max): (i64, i64), percent: i64) -> Value {
    let name = match flags::of(matches, "name") {
        "" => found.name(),
        given => given.to_owned(),
    };
    let target = json!({"apiVersion": found.served.api_version(), "kind": found.served.kind, "name": found.name()});
    let mut spec = json!({"scaleTargetRef": target, "maxReplicas": max});
    if min > 0 {
        spec["minReplicas"] = min.into();
    }
    if percent >= 0 {
        spec["targetCPUUtilizationPercentage"] = percent.into();
    }
    json!({
        "apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler",
        "metadata": {"creationTimestamp": null, "name": name}, "spec": spec,
        "status": {"currentReplicas": 0, "desiredReplicas": 0},
    })
}
