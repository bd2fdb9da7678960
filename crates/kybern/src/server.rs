//! `kybern server`: store, API server, controllers, scheduler and the node in one process.
//!
//! ```text
//!   store ─▶ registry ─▶ front ─▶ HTTPS
//!                          ├─ in-process clients ─▶ controllers, scheduler
//!                          └─ in-process clients ─▶ kubelet (over the runtime), proxy, dns
//! ```

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use apiserver::Front;
use apiserver::pki::{Names, Pki};
use client::{Client, World};
use cluster::home::Home;
use cluster::progress::Teller;
use cluster::settings::Settings;
use cluster::teardown;
use machinery::identity::User;
use registry::Registry;
use store::embedded::Embedded;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::node;

/// The prefix length of a node's share of the pod range.
const NODE_MASK: u8 = 24;

/// What all parts of the server need.
pub struct Wiring {
    pub home: Home,
    pub settings: Settings,
    pub front: Arc<Front>,
    pub pki: Pki,
    /// The first address of the node's pod range.
    pub gateway: Ipv4Addr,
    /// Where this node is reached.
    pub address: IpAddr,
}

impl Wiring {
    /// A client with an identity of its own, in this process.
    pub fn client(&self, name: &str, groups: &[&str]) -> Client {
        Client::new(self.front.transport(User::new(name, groups.iter().copied())))
    }
}

/// Runs until SIGTERM or SIGINT; says in the progress file how far it is.
pub async fn run(home: &Home) -> Result<()> {
    let begun = Instant::now();
    std::fs::create_dir_all(&home.run).with_context(|| format!("create {}", home.run.display()))?;
    let teller = Teller::new(&home.progress(), begun)?;
    let outcome = serve(home, &teller).await;
    if let Err(error) = &outcome {
        teller.failed(&format!("{error:#}"))?;
    }
    outcome
}

async fn serve(home: &Home, teller: &Teller) -> Result<()> {
    let Some(settings) = Settings::load(home)? else {
        bail!("there is no cluster {:?}: kybern up makes one", home.name)
    };
    let stop = CancellationToken::new();
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, settings.api_port)).await;
    let listener = listener.with_context(|| format!("listen on port {}", settings.api_port))?;
    let gateway = teardown::gateway(&settings)?;
    let address = network::host::uplink()?.map_or(gateway, |uplink| uplink.address);
    let names = names(home, &settings, gateway, address)?;
    let pki_dir = home.data.join("pki");
    let pki = Pki::open(&pki_dir, &names)?;
    teller.step("certificates")?;
    let store = Embedded::open(&home.data.join("store"), store::embedded::Config::default())?;
    let config = registry::Config { service_cidr: settings.service_cidr.clone(), ..registry::Config::default() };
    let registry = Registry::open_with(store.clone(), registry::World::real(), config).await?;
    teller.step("store")?;
    let config = apiserver::Config {
        hostname: home.name.clone(),
        advertise_address: address.into(),
        issuer: format!("https://kubernetes.default.svc.{}", settings.domain),
        pki_dir,
        names,
    };
    let front = Front::open(&config, registry, &pki, stop.clone()).await?;
    let server = apiserver::Server::with_front(config, front.clone(), &pki)?;
    write_kubeconfig(home, &settings, &pki)?;
    let mut parts: JoinSet<(&str, Result<()>)> = JoinSet::new();
    let (until, held) = (stop.clone(), store.clone());
    parts.spawn(async move {
        tokio::select! {
            () = until.cancelled() => ("store", Ok(())),
            why = held.ended() => ("store", Err(why.into())),
        }
    });
    let api_stop = CancellationToken::new();
    let serving = server.serve(listener, api_stop.clone());
    let api = tokio::spawn(serving);
    teller.step("API server")?;
    let wiring = Wiring { home: home.clone(), settings, front, pki, gateway, address: address.into() };
    start_minds(&wiring, &mut parts, &stop)?;
    node::start(&wiring, &mut parts, &stop, teller).await?;
    let ready = wiring.client("system:kube-controller-manager", &[]);
    node::until_ready(&ready, &home.name, &mut parts).await?;
    teller.step("node Ready")?;
    teller.ready()?;
    let outcome = until_stopped(&mut parts).await;
    // The parts end first, while the API still answers them.
    stop.cancel();
    while parts.join_next().await.is_some() {}
    api_stop.cancel();
    let served = api.await.context("the API server panicked");
    store.close();
    outcome.and(served?)
}

fn names(home: &Home, settings: &Settings, gateway: Ipv4Addr, address: Ipv4Addr) -> Result<Names> {
    let services: network::pool::Cidr = settings.service_cidr.parse()?;
    let mut addresses = vec![IpAddr::V4(Ipv4Addr::LOCALHOST), gateway.into(), address.into()];
    addresses.dedup();
    Ok(Names {
        node: home.name.clone(),
        cluster_domain: settings.domain.clone(),
        service_address: services.gateway().into(),
        addresses,
        dns: Vec::new(),
    })
}

/// The administrator's kubeconfig, for `up` to merge.
fn write_kubeconfig(home: &Home, settings: &Settings, pki: &Pki) -> Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let server = format!("https://127.0.0.1:{}", settings.api_port);
    let text = apiserver::pki::kubeconfig(&home.kernel_name(), &server, pki.ca_pem(), &pki.admin);
    let path = home.kubeconfig();
    let staged = Path::new(&path).with_extension("new");
    let mut file = std::fs::OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&staged)?;
    file.write_all(text.as_bytes()).with_context(|| format!("write {}", staged.display()))?;
    std::fs::rename(&staged, &path).with_context(|| format!("rename {}", staged.display()))
}

/// Controllers and scheduler, each with its identity.
fn start_minds(
    wiring: &Wiring,
    parts: &mut JoinSet<(&'static str, Result<()>)>,
    stop: &CancellationToken,
) -> Result<()> {
    let front = wiring.front.clone();
    let account = move |name: &str| match name.contains(':') {
        // What upstream's API server does itself, a controller does as that.
        true => Client::new(front.transport(User::new(name, ["system:masters", "system:authenticated"]))),
        false => {
            let groups = ["system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"];
            Client::new(front.transport(User::new(format!("system:serviceaccount:kube-system:{name}"), groups)))
        }
    };
    let config = runner::Config {
        manager: wiring.client("system:kube-controller-manager", &[]),
        clients: Arc::new(account),
        world: World::real(),
    };
    let controllers = controllers::table(&minds_config(wiring)?).map_err(anyhow::Error::msg)?;
    let until = stop.clone();
    parts.spawn(async move {
        let ended = runner::run(config, controllers, until).await;
        ("controllers", ended.context("a controller panicked"))
    });
    let (client, until) = (wiring.client("system:kube-scheduler", &[]), stop.clone());
    parts.spawn(async move {
        runner::scheduling::run(client, World::real(), "default-scheduler", until).await;
        ("scheduler", Ok(()))
    });
    Ok(())
}

/// What controllers are told about the cluster.
fn minds_config(wiring: &Wiring) -> Result<controllers::Config> {
    let settings = &wiring.settings;
    let services: network::pool::Cidr = settings.service_cidr.parse()?;
    Ok(controllers::Config {
        ca_bundle: wiring.pki.ca_pem().into(),
        pod_range: settings.pod_cidr.clone(),
        node_mask: NODE_MASK,
        service_range: settings.service_cidr.clone(),
        api_service_ip: services.gateway().to_string(),
        api_addresses: vec![wiring.address.to_string()],
        api_port: settings.api_port,
        dns_service_ip: settings.dns_address.to_string(),
    })
}

/// Until the process is told to end, or a part of it does: then the supervisor starts all anew.
async fn until_stopped(parts: &mut JoinSet<(&'static str, Result<()>)>) -> Result<()> {
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = term.recv() => Ok(()),
        _ = int.recv() => Ok(()),
        Some(ended) = parts.join_next() => {
            let (name, outcome) = ended.context("a part of the server panicked")?;
            outcome.with_context(|| name.to_owned())?;
            bail!("{name} ended")
        }
    }
}
