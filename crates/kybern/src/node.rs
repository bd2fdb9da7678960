//! The node in the server's process: runtime, kubelet, service proxy and cluster DNS.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use client::Client;
use client::cache::{Cache, Source};
use cluster::progress::Teller;
use k8s_openapi::api::core::v1::Node;
use network::pool::Cidr;
use runtime::Runtime;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::server::Wiring;
use crate::tls;

const PODS_MAX: i64 = 110;
const KUBELET_PORT: u16 = 10250;
const DNS_PORT: u16 = 53;
const DNS_GROUPS: [&str; 2] = ["system:serviceaccounts", "system:serviceaccounts:kube-system"];
const RESOLV_CONF: &str = "/etc/resolv.conf";
/// An Ethernet link's usual size, where there is no uplink to ask.
const MTU_BYTES: u32 = 1500;

type Parts = JoinSet<(&'static str, Result<()>)>;

/// Prepares the host's network and starts the node's parts.
pub async fn start(wiring: &Wiring, parts: &mut Parts, stop: &CancellationToken, teller: &Teller) -> Result<()> {
    let (home, settings) = (&wiring.home, &wiring.settings);
    cluster::switches::turn_on(home)?;
    network::host::add_gateway(wiring.gateway)?;
    let services: Cidr = settings.service_cidr.parse()?;
    network::host::add_range(services, wiring.gateway)?;
    network::host::reserve_range(settings.pod_cidr.parse()?)?;
    teller.step("host network")?;
    let runtime = open_runtime(wiring).await?;
    let (serving, until) = (runtime.clone(), stop.clone());
    let socket = home.runtime_socket();
    parts.spawn(async move { ("CRI socket", serving.serve(socket, until).await) });
    teller.step("container runtime")?;
    start_kubelet(wiring, runtime, parts, stop).await?;
    let config = proxy::Config {
        table: home.kernel_name(),
        node: home.name.clone(),
        pods: settings.pod_cidr.parse()?,
        services: Some(services),
    };
    let (client, until) = (wiring.client("system:kube-proxy", &["system:node-proxier"]), stop.clone());
    parts.spawn(async move { ("service proxy", proxy::run(config, client, until).await) });
    let config = dns::Config {
        listen: vec![(wiring.gateway, DNS_PORT).into()],
        domain: settings.domain.clone(),
        resolv_conf: RESOLV_CONF.into(),
    };
    let (client, until) = (wiring.client("system:serviceaccount:kube-system:coredns", &DNS_GROUPS), stop.clone());
    parts.spawn(async move { ("DNS", dns::run(config, client, until).await) });
    teller.step("kubelet, service proxy, DNS started")
}

async fn open_runtime(wiring: &Wiring) -> Result<Runtime> {
    let home = &wiring.home;
    let config = runtime::Config {
        root: home.data.join("runtime"),
        run: home.run.join("runtime"),
        cgroup: format!("/{}", home.kernel_name()),
        owner: home.kernel_name(),
        mtu: network::host::uplink()?.map_or(MTU_BYTES, |uplink| uplink.mtu),
        pull: image::pull::Config::default(),
    };
    Runtime::open(config).await.context("open the container runtime")
}

async fn start_kubelet(wiring: &Wiring, runtime: Runtime, parts: &mut Parts, stop: &CancellationToken) -> Result<()> {
    let (home, settings) = (&wiring.home, &wiring.settings);
    let listener = kubelet_listener().await?;
    let port = listener.local_addr().context("the kubelet's listener")?.port();
    let pairs = wiring.pki.kubelet(&home.name, &[wiring.address, IpAddr::V4(Ipv4Addr::LOCALHOST)])?;
    let serving = kubelet::Serving { listener: Arc::new(listener), tls: tls::kubelet(&wiring.pki, &pairs)? };
    let folder = |path: PathBuf| path.to_string_lossy().into_owned();
    let config = kubelet::Config {
        node_name: home.name.clone(),
        node_ips: vec![wiring.address],
        folders: kubelet::Folders {
            kubelet: folder(home.data.join("kubelet")),
            pod_logs: folder(home.logs.join("pods")),
            container_logs: folder(home.logs.join("containers")),
        },
        cluster_domain: settings.domain.clone(),
        cluster_dns: vec![settings.dns_address.to_string()],
        resolv_conf: RESOLV_CONF.into(),
        cgroup_root: format!("/{}/kubepods", home.kernel_name()),
        pods_max: PODS_MAX,
        reserved: BTreeMap::new(),
        labels: BTreeMap::new(),
        port,
        serving: Some(serving),
        version: apiserver::GIT_VERSION.into(),
    };
    let client = wiring.client(&format!("system:node:{}", home.name), &["system:nodes"]);
    let services = kubelet::Runtime { service: Arc::new(runtime.clone()), images: Arc::new(runtime) };
    let until = stop.clone();
    parts.spawn(async move { ("kubelet", kubelet::run(config, client, services, until).await) });
    Ok(())
}

/// The usual port, or any free one when another cluster on this machine has it: the node tells which.
async fn kubelet_listener() -> Result<TcpListener> {
    match TcpListener::bind((Ipv4Addr::UNSPECIFIED, KUBELET_PORT)).await {
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await.context("listen for the kubelet")
        }
        other => other.context("listen for the kubelet"),
    }
}

/// Waits until the node says that it is Ready; a part that ends first is the error.
pub async fn until_ready(client: &Client, name: &str, parts: &mut Parts) -> Result<()> {
    let source = Source::<Node>::typed().fields(&format!("metadata.name={name}"));
    let cache = Cache::new(client.clone(), source, client::World::real());
    let mut changes = cache.subscribe();
    let stop = CancellationToken::new();
    let ready = async {
        loop {
            if changes.next().await.current().is_some_and(|node| is_ready(node)) {
                return;
            }
        }
    };
    tokio::select! {
        () = ready => Ok(()),
        () = cache.run(stop.clone()) => bail!("the node is not watched any more"),
        Some(ended) = parts.join_next() => {
            let (part, outcome) = ended.context("a part of the server panicked")?;
            outcome.with_context(|| part.to_owned())?;
            bail!("{part} ended")
        }
    }
}

fn is_ready(node: &Node) -> bool {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|c| c.type_ == "Ready" && c.status == "True")
}
