//! The node in the API: registered once, its status told when it changes, its lease renewed.

use std::sync::Arc;
use std::time::Duration;

use client::{Client, Patch, World};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::{Node, NodeStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, OwnerReference};
use machinery::status::Status;
use rpc::cri::{NetworkConfig, RuntimeConfig, UpdateRuntimeConfigRequest};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tonic::Request;

use super::context::Context;
use super::event::Event;
use super::machine;
use super::recorder::Recorder;
use crate::plan::node::{self, Machine};

const LEASE_NAMESPACE: &str = "kube-node-lease";
const LEASE_S: i32 = 40;
const LEASE_RENEW: Duration = Duration::from_secs(10);
/// The status is told this often even when nothing changes.
const STATUS_REFRESH: Duration = Duration::from_secs(300);
/// An API server or a runtime that does not answer is asked again after this.
const RETRY: Duration = Duration::from_millis(200);

/// Registers the node; tries until the API server answers.
pub async fn register(
    client: &Client,
    world: World,
    config: &crate::Config,
    machine: &Machine,
    stop: &CancellationToken,
) -> Option<Arc<Node>> {
    loop {
        match register_once(client, world, config, machine).await {
            Ok(node) => return Some(node),
            Err(e) => tracing::warn!("node {} was not registered: {e}", machine.name),
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return None,
            () = tokio::time::sleep(RETRY) => {}
        }
    }
}

async fn register_once(
    client: &Client,
    world: World,
    config: &crate::Config,
    machine: &Machine,
) -> Result<Arc<Node>, Status> {
    let mut wanted = node::object(machine, (world.now)());
    if let Some(labels) = &mut wanted.metadata.labels {
        labels.extend(config.labels.clone());
    }
    match client.get::<Node>("", &machine.name).await {
        Err(e) if e.is_not_found() => match client.create(&wanted).await {
            // Somebody else registered it in between.
            Err(e) if e.is_already_exists() => client.get::<Node>("", &machine.name).await,
            other => other,
        },
        Ok(found) => {
            let has = |(k, v): (&String, &String)| found.metadata.labels.as_ref().and_then(|l| l.get(k)) == Some(v);
            let labels = wanted.metadata.labels.clone().unwrap_or_default();
            if labels.iter().all(has) {
                return Ok(found);
            }
            let patch = Patch::Merge(json!({"metadata": {"labels": labels}}));
            client.patch::<Node>("", &machine.name, "", patch).await
        }
        other => other,
    }
}

/// What a kubelet says of its node when it starts.
pub fn tell_state(recorder: &Recorder, name: &str) {
    for state in ["NodeHasSufficientMemory", "NodeHasNoDiskPressure", "NodeHasSufficientPID"] {
        recorder.node("Normal", state, format!("Node {name} status is now: {state}"));
    }
}

/// Keeps the status true: told at once when the runtime or the node's images change, and now and then anyway.
pub async fn report(cx: Arc<Context>, registered: Arc<Node>, mut machine: Machine, stop: CancellationToken) {
    let mut told: Option<NodeStatus> = None;
    let mut cidr = String::new();
    let mut nodes = cx.node.subscribe();
    let mut due = tokio::time::Instant::now() + STATUS_REFRESH;
    loop {
        let node = cx.node.get("", &cx.facts.name).or_else(|| Some(registered.clone()));
        give_pod_range(&cx, node, &mut cidr).await;
        machine.unready = machine::unready(&cx.runtime).await;
        machine.images = machine::images(&cx.runtime).await;
        let now = tokio::time::Instant::now();
        let sent = tell(&cx, &machine, &mut told, now >= due).await;
        if now >= due && sent {
            due = now + STATUS_REFRESH;
        }
        // A runtime that is not ready is asked again: it has no event for becoming ready.
        let wait = if machine.unready.is_empty() && sent { due } else { now + RETRY };
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep_until(wait) => {}
            _ = nodes.next() => {}
            () = cx.node_changed.notified() => {}
        }
    }
}

/// The range of pod addresses goes to the runtime as soon as the controller has given it.
async fn give_pod_range(cx: &Context, node: Option<Arc<Node>>, given: &mut String) {
    let Some(range) = node.and_then(|n| n.spec.clone()).and_then(|s| s.pod_cidr).filter(|r| r != given) else { return };
    let network_config = Some(NetworkConfig { pod_cidr: range.clone() });
    let request = UpdateRuntimeConfigRequest { runtime_config: Some(RuntimeConfig { network_config }) };
    match cx.runtime.service.update_runtime_config(Request::new(request)).await {
        Ok(_) => {
            *given = range;
            cx.mailboxes.tell_all(&Event::Network);
        }
        Err(e) => tracing::warn!("the runtime did not take the pod range {range}: {}", e.message()),
    }
}

/// Writes the status when it differs from what was told; true when the API has it.
async fn tell(cx: &Context, machine: &Machine, told: &mut Option<NodeStatus>, anyway: bool) -> bool {
    let node = cx.node.get("", &machine.name);
    let known = told.clone().or_else(|| node.and_then(|n| n.status.clone()));
    let status = node::status(machine, known.as_ref(), crate::plan::container_status::time(cx.now()).0);
    let first = told.is_none();
    if !anyway && !first && told.as_ref().is_some_and(|t| !node::differs(t, &status)) {
        return true;
    }
    let was_ready = known.as_ref().map(ready);
    let mut tree: Value = json!({ "status": status });
    // Merged by type: an address that is gone must go.
    if let Some(addresses) = tree["status"]["addresses"].as_array_mut() {
        addresses.push(json!({"$patch": "replace"}));
    }
    match cx.client.patch::<Node>("", &machine.name, "status", Patch::Strategic(tree)).await {
        Ok(_) => {
            let is_ready = ready(&status);
            if was_ready != Some(is_ready) {
                let state = if is_ready { "NodeReady" } else { "NodeNotReady" };
                cx.recorder.node("Normal", state, format!("Node {} status is now: {state}", machine.name));
            }
            *told = Some(status);
            true
        }
        Err(e) => {
            tracing::warn!("the status of node {} was not written: {e}", machine.name);
            false
        }
    }
}

fn ready(status: &NodeStatus) -> bool {
    status.conditions.iter().flatten().any(|c| c.type_ == "Ready" && c.status == "True")
}

/// Renews the node's lease; a lease that somebody deleted is made again.
pub async fn lease(client: Client, world: World, node: Arc<Node>, stop: CancellationToken) {
    let mut beats = tokio::time::interval(LEASE_RENEW);
    beats.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            _ = beats.tick() => {}
        }
        if let Err(e) = renew(&client, world, &node).await {
            tracing::warn!("the lease of the node was not renewed: {e}");
        }
    }
}

async fn renew(client: &Client, world: World, node: &Node) -> Result<(), Status> {
    let name = node.metadata.name.clone().unwrap_or_default();
    let now = (world.now)();
    let patch = json!({"spec": {"holderIdentity": name, "leaseDurationSeconds": LEASE_S,
        "renewTime": machinery::time::format_micro(now)}});
    match client.patch::<Lease>(LEASE_NAMESPACE, &name, "", Patch::Merge(patch)).await {
        Err(e) if e.is_not_found() => {}
        other => return other.map(drop),
    }
    let owner = OwnerReference {
        api_version: "v1".into(),
        kind: "Node".into(),
        name: name.clone(),
        uid: node.metadata.uid.clone().unwrap_or_default(),
        ..OwnerReference::default()
    };
    let lease = Lease {
        metadata: ObjectMeta {
            name: Some(name.clone()),
            namespace: Some(LEASE_NAMESPACE.into()),
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        spec: Some(LeaseSpec {
            holder_identity: Some(name),
            lease_duration_seconds: Some(LEASE_S),
            renew_time: Some(MicroTime(now)),
            ..LeaseSpec::default()
        }),
    };
    client.create(&lease).await.map(drop)
}
