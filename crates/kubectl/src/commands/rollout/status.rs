//! `kubectl rollout status`: says how far it is, and again whenever that changes.

use std::time::Duration;

use clap::ArgMatches;
use client::Options;
use futures::StreamExt;
use machinery::request::Change;
use serde_json::Value;

use crate::failure::{Failure, Result, error};
use crate::flags;
use crate::select::Found;
use crate::session::Session;

const REVISION: &str = "deployment.kubernetes.io/revision";

pub async fn run(session: &Session, matches: &ArgMatches, found: &Found) -> Result {
    if !super::is_known(found, &["Deployment", "DaemonSet", "StatefulSet"]) {
        return error(format!(
            "no status viewer has been implemented for {}.{}",
            found.served.kind, found.served.group
        ));
    }
    let timeout = match flags::of(matches, "timeout") {
        "" | "0" | "0s" => None,
        text => Some(flags::duration(text)?),
    };
    let following = follow(session, matches, found);
    match timeout {
        None => following.await,
        Some(patience) => within(patience, following).await,
    }
}

async fn within(patience: Duration, following: impl Future<Output = Result>) -> Result {
    match tokio::time::timeout(patience, following).await {
        Ok(ended) => ended,
        Err(_) => error("timed out waiting for the condition"),
    }
}

async fn follow(session: &Session, matches: &ArgMatches, found: &Found) -> Result {
    let resource = session.client.dynamic(found.served.resource());
    let wanted = flags::of(matches, "revision").to_owned();
    let options = Options { field_selector: format!("metadata.name={}", found.name()), ..Options::default() };
    let mut last = String::new();
    loop {
        let mut events = resource.watch(&found.namespace(), options.clone()).await?;
        while let Some(event) = events.next().await {
            let event = event?;
            if event.change == Change::Deleted {
                return error("object has been deleted");
            }
            let tree = event.object.tree();
            let (said, is_done) = match found.served.kind.as_str() {
                "DaemonSet" => daemon_set(&tree)?,
                "StatefulSet" => stateful_set(&tree)?,
                _ => status(&tree, &wanted)?,
            };
            if said != last {
                println!("{said}");
            }
            if is_done || !flags::is_set(matches, "watch") {
                return Ok(());
            }
            last = said;
        }
    }
}

fn count(of: &Value, field: &str) -> i64 {
    of[field].as_i64().unwrap_or(0)
}

fn is_rolling(tree: &Value) -> Result {
    match tree["spec"]["updateStrategy"]["type"] == "RollingUpdate" {
        true => Ok(()),
        false => error("rollout status is only available for RollingUpdate strategy type"),
    }
}

/// What is said of a DaemonSet, and whether its roll-out is over.
fn daemon_set(tree: &Value) -> Result<(String, bool)> {
    is_rolling(tree)?;
    let status = &tree["status"];
    if machinery::meta::generation(tree) > count(status, "observedGeneration") {
        return Ok(("Waiting for daemon set spec update to be observed...".into(), false));
    }
    let name = machinery::meta::name(tree);
    let waiting = format!("Waiting for daemon set {name:?} rollout to finish: ");
    let desired = count(status, "desiredNumberScheduled");
    let (updated, available) = (count(status, "updatedNumberScheduled"), count(status, "numberAvailable"));
    Ok(if updated < desired {
        (format!("{waiting}{updated} out of {desired} new pods have been updated..."), false)
    } else if available < desired {
        (format!("{waiting}{available} of {desired} updated pods are available..."), false)
    } else {
        (format!("daemon set {name:?} successfully rolled out"), true)
    })
}

/// What is said of a StatefulSet, and whether its roll-out is over.
fn stateful_set(tree: &Value) -> Result<(String, bool)> {
    is_rolling(tree)?;
    let (spec, status) = (&tree["spec"], &tree["status"]);
    let observed = count(status, "observedGeneration");
    if observed == 0 || machinery::meta::generation(tree) > observed {
        return Ok(("Waiting for statefulset spec update to be observed...".into(), false));
    }
    let desired = spec["replicas"].as_i64().unwrap_or(1);
    let (ready, updated) = (count(status, "readyReplicas"), count(status, "updatedReplicas"));
    if ready < desired {
        return Ok((format!("Waiting for {} pods to be ready...", desired - ready), false));
    }
    let rolling = &spec["updateStrategy"]["rollingUpdate"];
    if !rolling.is_null() {
        let wanted = desired - count(rolling, "partition");
        return Ok(match updated < wanted {
            true => (
                format!(
                    "Waiting for partitioned roll out to finish: {updated} out of {wanted} new pods have been updated..."
                ),
                false,
            ),
            false => (format!("partitioned roll out complete: {updated} new pods have been updated..."), true),
        });
    }
    let revision = |field: &str| status[field].as_str().unwrap_or_default();
    let (new, old) = (revision("updateRevision"), revision("currentRevision"));
    if new != old {
        let said = format!("waiting for statefulset rolling update to complete {updated} pods at revision {new}...");
        return Ok((said, false));
    }
    let current = count(status, "currentReplicas");
    Ok((format!("statefulset rolling update complete {current} pods at revision {old}..."), true))
}

/// What is said of a Deployment, and whether its roll-out is over.
fn status(tree: &Value, wanted: &str) -> Result<(String, bool)> {
    let name = machinery::meta::name(tree);
    let revision = machinery::meta::annotation(tree, REVISION).unwrap_or("0");
    if wanted != "0" && wanted != revision {
        return error(format!("desired revision ({wanted}) is different from the running revision ({revision})"));
    }
    let (spec, status) = (&tree["spec"], &tree["status"]);
    if machinery::meta::generation(tree) > count(status, "observedGeneration") {
        return Ok(("Waiting for deployment spec update to be observed...".into(), false));
    }
    let conditions = status["conditions"].as_array().into_iter().flatten();
    if conditions.clone().any(|c| c["type"] == "Progressing" && c["reason"] == "ProgressDeadlineExceeded") {
        return Err(Failure::Here(format!("deployment \"{name}\" exceeded its progress deadline")));
    }
    let desired = spec["replicas"].as_i64().unwrap_or(1);
    let (updated, all, available) =
        (count(status, "updatedReplicas"), count(status, "replicas"), count(status, "availableReplicas"));
    let waiting = format!("Waiting for deployment \"{name}\" rollout to finish: ");
    Ok(if updated < desired {
        (format!("{waiting}{updated} out of {desired} new replicas have been updated..."), false)
    } else if all > updated {
        (format!("{waiting}{} old replicas are pending termination...", all - updated), false)
    } else if available < updated {
        (format!("{waiting}{available} of {updated} updated replicas are available..."), false)
    } else {
        (format!("deployment \"{name}\" successfully rolled out"), true)
    })
}
