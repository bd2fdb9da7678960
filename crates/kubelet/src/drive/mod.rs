//! Makes it so: caches, one task per pod, the CRI, volumes, probes, and the node's own object.
//!
//! Decisions are in `plan/`; nothing here chooses what a pod needs next.

mod cgroup;
pub mod context;
pub mod cri;
mod event;
mod grpc;
pub mod hands;
mod hooks;
mod http;
mod images;
mod machine;
mod mounts;
mod node;
mod pods;
mod probes;
mod recorder;
mod refs;
pub mod remote;
mod rotate;
mod start;
mod stop;
mod task;
mod termination;
mod tokens;
mod volumes;

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use client::cache::{Cache, Source};
use client::{Client, World};
use k8s_openapi::api::core::v1::{Node, Pod, Service};
use rpc::cri::{VersionRequest, VersionResponse};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::Request;

use crate::Config;
use crate::plan::config::dns::Resolv;
use crate::plan::config::facts;
use crate::plan::node::Machine;
use context::{Context, Mailboxes};
use cri::Runtime;
use hands::{Hands, Real};
use recorder::Recorder;
use refs::References;

/// As upstream's kubelet has its own.
const FOLDER_MODE: u32 = 0o750;

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn facts(config: &Config, machine: &Machine) -> facts::Node {
    facts::Node {
        name: config.node_name.clone(),
        ips: config.node_ips.iter().map(ToString::to_string).collect(),
        cluster_domain: config.cluster_domain.clone(),
        cluster_dns: config.cluster_dns.clone(),
        resolv: Resolv::parse(&read(&config.resolv_conf)),
        hosts: read(Path::new("/etc/hosts")),
        cpu_milli: machine.cpus * 1000,
        memory_bytes: machine.memory_bytes,
        cgroup_root: config.cgroup_root.clone(),
    }
}

/// The parts that all others share, and the task that writes events.
fn context(
    config: Config,
    client: Client,
    runtime: Runtime,
    runtime_name: String,
    world: World,
    machine: &Machine,
) -> (Arc<Context>, impl Future<Output = ()> + Send + 'static) {
    let facts = facts(&config, machine);
    let (recorder, writer) = Recorder::new(client.clone(), world, &config.node_name);
    let cache_of = |name: &str| (format!("spec.nodeName={name}"), format!("metadata.name={name}"));
    let (of_node, named) = cache_of(&config.node_name);
    let mailboxes = Mailboxes::default();
    let told = mailboxes.clone();
    let notify: refs::Notify = Arc::new(move |uid| {
        // A pod without a task any more needs to hear nothing.
        let _ = told.tell(uid, event::Event::Refs);
    });
    let context = Context {
        pods: Cache::new(client.clone(), Source::<Pod>::typed().fields(&of_node), world),
        node: Cache::new(client.clone(), Source::<Node>::typed().fields(&named), world),
        services: Cache::new(client.clone(), Source::<Service>::typed(), world),
        references: References::new(client.clone(), world, notify),
        tokens: tokens::Keyring::default(),
        node_changed: Notify::new(),
        runtime_events: watch::Sender::new(0),
        config,
        world,
        client,
        runtime,
        runtime_name,
        facts,
        recorder,
        mailboxes,
    };
    (Arc::new(context), writer)
}

#[cfg(test)]
mod tests;

/// The ground that a kubelet stands on besides its runtime.
pub struct Place {
    pub world: World,
    pub machine: Machine,
    pub hands: Box<dyn FnOnce(Arc<Context>) -> Arc<dyn Hands> + Send>,
}

/// The machine that this process runs on.
fn real(config: &Config, version: &VersionResponse) -> Place {
    let machine = machine::look(config, version);
    Place { world: World::real(), machine, hands: Box::new(|cx| Arc::new(Real(cx))) }
}

/// Pods' secrets and files are not for other users of the host; containers reach theirs by mounts.
fn keep_private(folder: &str) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::Permissions::from_mode(FOLDER_MODE);
    std::fs::set_permissions(folder, mode).with_context(|| format!("folder {folder} cannot be closed to others"))
}

/// Runs the kubelet until `stop`: registers the node, then keeps its pods as the API says. Without a `place` it
/// stands on this machine.
///
/// # Errors
/// The runtime does not say its version, or the node's folders cannot be made.
pub async fn run(
    config: Config,
    client: Client,
    runtime: Runtime,
    place: Option<Place>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let request = Request::new(VersionRequest { version: "0.1.0".into() });
    let version = runtime.service.version(request).await.context("the runtime does not say its version")?.into_inner();
    for folder in [&config.folders.kubelet, &config.folders.pod_logs, &config.folders.container_logs] {
        std::fs::create_dir_all(folder).with_context(|| format!("folder {folder} cannot be made"))?;
    }
    keep_private(&config.folders.kubelet)?;
    let Place { world, machine, hands } = place.unwrap_or_else(|| real(&config, &version));
    let (cx, events) = context(config, client.clone(), runtime, version.runtime_name.clone(), world, &machine);
    let hands = hands(cx.clone());
    let mut parts = JoinSet::new();
    parts.spawn(events);
    cx.recorder.node("Normal", "Starting", "Starting kubelet.");
    let Some(registered) = node::register(&client, world, &cx.config, &machine, &stop).await else { return Ok(()) };
    node::tell_state(&cx.recorder, &machine.name);
    let (pods, nodes, services) = (cx.pods.clone(), cx.node.clone(), cx.services.clone());
    let (a, b, c) = (stop.clone(), stop.clone(), stop.clone());
    parts.spawn(async move { pods.run(a).await });
    parts.spawn(async move { nodes.run(b).await });
    parts.spawn(async move { services.run(c).await });
    parts.spawn(node::report(cx.clone(), registered.clone(), machine, stop.clone()));
    parts.spawn(node::lease(client, world, registered, stop.clone()));
    parts.spawn(rotate::run(cx.clone(), stop.clone()));
    parts.spawn(pods::listen(cx.clone(), stop.clone()));
    if let Some(serving) = cx.config.serving.clone() {
        parts.spawn(crate::server::run(cx.clone(), serving, stop.clone()));
    }
    pods::run(cx.clone(), hands, stop.clone()).await;
    stop.cancelled().await;
    parts.shutdown().await;
    Ok(())
}
