//! Waiting for pods by a watch, and what makes a pod the same one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use client::{Client, Resource};
use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use machinery::request::{Change, Verb};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(180);

/// The pods of a namespace, once `done` holds for them.
pub async fn until(
    client: &Client,
    namespace: &str,
    done: impl Fn(&BTreeMap<String, Arc<Value>>) -> bool,
) -> Result<BTreeMap<String, Arc<Value>>> {
    let mut seen = BTreeMap::new();
    let mut events = client.watch(Resource::of::<Pod>().request(Verb::Watch, namespace)).await?;
    let end = tokio::time::Instant::now() + PATIENCE;
    while !done(&seen) {
        let Ok(event) = tokio::time::timeout_at(end, events.next()).await else {
            let states: Vec<String> = seen.values().map(|pod: &Arc<Value>| pod["status"].to_string()).collect();
            bail!("the pods do not come to what is waited for:\n{}", states.join("\n"))
        };
        let event = event.context("the watch of pods ended")??;
        let pod = event.object.tree();
        let name = pod["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        match event.change {
            Change::Added | Change::Modified => drop(seen.insert(name, pod)),
            Change::Deleted => drop(seen.remove(&name)),
            Change::Bookmark => {}
        }
    }
    Ok(seen)
}

/// Whether its Ready condition is True.
pub fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

/// What is another one after a restart: uid, address, and of each container its id, start and restarts.
pub fn identity(pod: &Value) -> Value {
    let containers = pod["status"]["containerStatuses"].as_array().into_iter().flatten();
    let containers: Vec<Value> = containers
        .map(|c| json!({"id": c["containerID"], "restarts": c["restartCount"], "state": c["state"]}))
        .collect();
    json!({"uid": pod["metadata"]["uid"], "address": pod["status"]["podIP"], "containers": containers})
}
