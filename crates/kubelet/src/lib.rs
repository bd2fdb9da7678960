//! Pods made real on a node: `plan/` decides (pure), `drive/` acts over the CRI, `server/` answers the API server.
//!
//! ```text
//!  API server ── client caches ─┐                          ┌─ CRI (runtime in this process, or a socket)
//!                               ├─ one task per pod ─ plan ┤
//!  runtime events, probes ──────┘                          └─ status patches, events
//! ```

pub mod drive;
pub mod plan;
pub mod server;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use client::Client;
use tokio_util::sync::CancellationToken;

pub use drive::Place;
pub use drive::cri::{EventStream, Images, Runtime, Service};
pub use plan::config::facts::Folders;
pub use server::Serving;

/// How a node's kubelet is set up. All values are legal that the kernel and the API take.
#[derive(Clone, Debug)]
pub struct Config {
    pub node_name: String,
    /// The node's addresses, first the primary one.
    pub node_ips: Vec<IpAddr>,
    pub folders: Folders,
    /// `cluster.local`.
    pub cluster_domain: String,
    /// `10.96.0.10`.
    pub cluster_dns: Vec<String>,
    /// The resolver configuration that pods inherit: `/etc/resolv.conf`.
    pub resolv_conf: PathBuf,
    /// The cgroup of all pods: `/kybern-NAME/kubepods`.
    pub cgroup_root: String,
    pub pods_max: i64,
    /// What is kept from pods, by resource: `{"memory": "200Mi"}`.
    pub reserved: BTreeMap<String, String>,
    /// Labels of the node besides those that every node has.
    pub labels: BTreeMap<String, String>,
    /// The port of the kubelet's API, as the node tells it.
    pub port: u16,
    /// Where the kubelet's API is served; without it there are no logs and no exec.
    pub serving: Option<Serving>,
    /// `v1.36.0`.
    pub version: String,
}

/// Runs the kubelet until `stop`.
///
/// # Errors
/// It cannot begin: no runtime, no folders. Later troubles are told in the node's and the pods' status.
pub async fn run(config: Config, client: Client, runtime: Runtime, stop: CancellationToken) -> anyhow::Result<()> {
    drive::run(config, client, runtime, None, stop).await
}

/// [`run`] on another ground than this machine: a simulated one.
///
/// # Errors
/// As [`run`].
pub async fn run_at(
    place: Place,
    config: Config,
    client: Client,
    runtime: Runtime,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    drive::run(config, client, runtime, Some(place), stop).await
}
