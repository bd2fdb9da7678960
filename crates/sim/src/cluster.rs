//! A cluster on this thread: what the binary wires, wired for a simulation.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use apiserver::pki::{Names, Pki};
use apiserver::{ByteStream, Front, Server};
use client::Client;
use client::https::Dial;
use k8s_openapi::api::core::v1::{Node as NodeObject, ServiceAccount};
use machinery::identity::User;
use registry::Registry;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::node::Node;
use crate::store::Inline;
use crate::world;

/// Bytes on their way through a pipe.
const PIPE_BYTES: usize = 256 * 1024;
const PIPES_OPENING_MAX: usize = 64;
const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const SERVER: &str = "https://127.0.0.1:6443";

/// A part that can be killed and started again.
struct Part {
    running: JoinHandle<()>,
    stop: CancellationToken,
}

impl Part {
    fn start<F: Future<Output = ()> + Send + 'static>(run: impl FnOnce(CancellationToken) -> F) -> Self {
        let stop = CancellationToken::new();
        Self { running: tokio::spawn(run(stop.clone())), stop }
    }

    /// As `kill -9`: nothing under way comes to its end.
    fn kill(self) {
        self.running.abort();
        // What it had spawned apart hears of it by the token.
        self.stop.cancel();
    }
}

pub struct Cluster {
    front: Arc<Front>,
    pipes: mpsc::Sender<Box<dyn ByteStream>>,
    controllers: Option<Part>,
    scheduler: Option<Part>,
    nodes: Vec<Node>,
    minds: controllers::Config,
    folder: TempDir,
}

impl Cluster {
    /// Everything but nodes, running.
    ///
    /// # Errors
    /// A part could not be opened.
    pub async fn start(seed: u64) -> Result<Self> {
        world::begin(seed);
        let folder = tempfile::tempdir()?;
        let names = Names {
            node: "sim".into(),
            cluster_domain: "cluster.local".into(),
            service_address: IpAddr::from([10, 96, 0, 1]),
            addresses: vec![LOCAL],
            dns: Vec::new(),
        };
        let pki = Pki::open(folder.path(), &names)?;
        let registry = Registry::open(Inline::open()?, world::of_registry()).await?;
        let config = apiserver::Config {
            hostname: "sim".into(),
            advertise_address: LOCAL,
            issuer: "https://kubernetes.default.svc.cluster.local".into(),
            pki_dir: PathBuf::new(),
            names,
        };
        let front = Front::open(&config, registry, &pki, CancellationToken::new()).await?;
        let server = Server::with_front(config, front.clone(), &pki)?;
        let (pipes, opening) = mpsc::channel(PIPES_OPENING_MAX);
        tokio::spawn(server.serve_pipes(opening, CancellationToken::new()));
        let kubeconfig = apiserver::pki::kubeconfig("sim", SERVER, pki.ca_pem(), &pki.admin);
        std::fs::write(folder.path().join("kubeconfig"), kubeconfig)?;
        let minds = controllers::Config {
            ca_bundle: pki.ca_pem().into(),
            pod_range: "10.244.0.0/16".into(),
            node_mask: 24,
            service_range: "10.96.0.0/16".into(),
            api_service_ip: "10.96.0.1".into(),
            api_addresses: vec!["192.0.2.100".into()],
            api_port: 6443,
            dns_service_ip: "10.96.0.10".into(),
        };
        let mut cluster = Self { front, pipes, controllers: None, scheduler: None, nodes: Vec::new(), minds, folder };
        cluster.start_controllers()?;
        cluster.start_scheduler();
        Ok(cluster)
    }

    /// The API as somebody.
    pub fn client(&self, name: &str, groups: &[&str]) -> Client {
        Client::new(self.front.transport(User::new(name, groups.iter().copied())))
    }

    pub fn admin(&self) -> Client {
        self.client("kubernetes-admin", &["system:masters"])
    }

    /// Opens pipes to the API server.
    pub fn dial(&self) -> Dial {
        let pipes = self.pipes.clone();
        Arc::new(move || {
            let (ours, theirs) = tokio::io::duplex(PIPE_BYTES);
            // When nobody takes it the other end closes, which is what a client then sees.
            let _ = pipes.try_send(Box::new(theirs));
            ours
        })
    }

    /// The administrator's kubeconfig, and the folder for more like it.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }

    /// Starts the controllers unless they run.
    ///
    /// # Errors
    /// Their configuration is wrong.
    pub fn start_controllers(&mut self) -> Result<()> {
        if self.controllers.is_some() {
            return Ok(());
        }
        let table = controllers::table(&self.minds).map_err(anyhow::Error::msg)?;
        let front = self.front.clone();
        let account = move |name: &str| match name.contains(':') {
            true => Client::new(front.transport(User::new(name, ["system:masters", "system:authenticated"]))),
            false => {
                let groups = ["system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"];
                Client::new(front.transport(User::new(format!("system:serviceaccount:kube-system:{name}"), groups)))
            }
        };
        let config = runner::Config {
            manager: self.client("system:kube-controller-manager", &[]),
            clients: Arc::new(account),
            world: world::of_clients(),
        };
        self.controllers = Some(Part::start(|stop| async move {
            if let Err(panic) = runner::run(config, table, stop).await {
                std::panic::resume_unwind(panic.into_panic());
            }
        }));
        Ok(())
    }

    pub fn start_scheduler(&mut self) {
        if self.scheduler.is_none() {
            let client = self.client("system:kube-scheduler", &[]);
            self.scheduler = Some(Part::start(|stop| async move {
                runner::scheduling::run(client, world::of_clients(), "default-scheduler", stop).await;
            }));
        }
    }

    pub fn kill_controllers(&mut self) {
        self.controllers.take().into_iter().for_each(Part::kill);
    }

    pub fn kill_scheduler(&mut self) {
        self.scheduler.take().into_iter().for_each(Part::kill);
    }

    /// Adds a node, `node-1` being the first, and waits until it is Ready and pods can be made.
    ///
    /// # Errors
    /// It does not become so within a minute of virtual time.
    pub async fn add_node(&mut self) -> Result<()> {
        let number = u8::try_from(self.nodes.len() + 1).context("so many nodes have no addresses")?;
        self.nodes.push(Node::new(number, self.folder.path()));
        let name = format!("node-{number}");
        self.start_node(&name)?;
        let ready = async {
            while !self.is_ready(&name).await {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        };
        let minute = std::time::Duration::from_secs(60);
        tokio::time::timeout(minute, ready).await.with_context(|| format!("{name} does not become Ready"))
    }

    async fn is_ready(&self, name: &str) -> bool {
        let admin = self.admin();
        if admin.get::<ServiceAccount>("default", "default").await.is_err() {
            return false;
        }
        let Ok(node) = admin.get::<NodeObject>("", name).await else { return false };
        let conditions = node.status.iter().filter_map(|status| status.conditions.as_ref()).flatten();
        let untainted = node.spec.as_ref().is_none_or(|spec| spec.taints.as_ref().is_none_or(Vec::is_empty));
        untainted && conditions.into_iter().any(|c| c.type_ == "Ready" && c.status == "True")
    }

    fn node(&mut self, name: &str) -> Result<&mut Node> {
        self.nodes.iter_mut().find(|node| node.name == name).with_context(|| format!("there is no node {name}"))
    }

    /// Starts a node's kubelet unless it runs.
    ///
    /// # Errors
    /// There is no such node.
    pub fn start_node(&mut self, name: &str) -> Result<()> {
        let client = self.client(&format!("system:node:{name}"), &["system:nodes"]);
        let node = self.node(name)?;
        if !node.is_running() {
            node.start(client);
        }
        Ok(())
    }

    /// The machine loses its power.
    ///
    /// # Errors
    /// There is no such node.
    pub fn stop_node(&mut self, name: &str) -> Result<()> {
        self.node(name)?.power_off();
        Ok(())
    }

    /// The kubelet is killed and started again over what runs there.
    ///
    /// # Errors
    /// There is no such node.
    pub fn restart_kubelet(&mut self, name: &str) -> Result<()> {
        self.node(name)?.kill_kubelet();
        self.start_node(name)
    }

    /// Ends all minds and nodes.
    pub fn end(&mut self) {
        self.kill_controllers();
        self.kill_scheduler();
        self.nodes.iter_mut().for_each(Node::kill_kubelet);
    }
}
