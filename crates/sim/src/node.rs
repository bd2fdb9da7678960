//! A node: the real kubelet over an engine in memory.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;

use client::Client;
use k8s_openapi::api::core::v1::NodeSystemInfo;
use kubelet::plan::node::Machine;
use kubelet::{Config, Folders, Place, Runtime};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::engine::Engine;
use crate::hands::InMemory;
use crate::world;

const CPUS: i64 = 4;
const MEMORY_BYTES: i64 = 8 << 30;
const DISK_BYTES: i64 = 100 << 30;
const PODS_MAX: i64 = 110;

/// A node and whether its kubelet runs.
pub struct Node {
    pub name: String,
    number: u8,
    folder: std::path::PathBuf,
    engine: Engine,
    running: Option<(JoinHandle<anyhow::Result<()>>, CancellationToken)>,
}

impl Node {
    pub fn new(number: u8, folder: &Path) -> Self {
        let name = format!("node-{number}");
        let folder = folder.join(&name);
        Self { name, number, folder, engine: Engine::default(), running: None }
    }

    /// Starts the kubelet.
    pub fn start(&mut self, client: Client) {
        let (config, engine, stop) = (self.config(), self.engine.clone(), CancellationToken::new());
        let runtime = Runtime { service: Arc::new(engine.clone()), images: Arc::new(engine.clone()) };
        let place = Place {
            world: world::of_clients(),
            machine: self.machine(),
            hands: Box::new(move |cx| Arc::new(InMemory { engine, cx })),
        };
        let running = tokio::spawn(kubelet::run_at(place, config, client, runtime, stop.clone()));
        self.running = Some((running, stop));
    }

    /// The kubelet is gone from one moment to the next; what it started runs on.
    pub fn kill_kubelet(&mut self) {
        if let Some((running, stop)) = self.running.take() {
            running.abort();
            stop.cancel();
        }
    }

    /// The whole machine is gone.
    pub fn power_off(&mut self) {
        self.kill_kubelet();
        self.engine.power_off();
    }

    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }

    fn address(&self) -> IpAddr {
        Ipv4Addr::new(192, 0, 2, self.number).into()
    }

    fn config(&self) -> Config {
        let folder = |name: &str| self.folder.join(name).display().to_string();
        Config {
            node_name: self.name.clone(),
            node_ips: vec![self.address()],
            folders: Folders {
                kubelet: folder("kubelet"),
                pod_logs: folder("pods"),
                container_logs: folder("containers"),
            },
            cluster_domain: "cluster.local".into(),
            cluster_dns: vec!["10.96.0.10".into()],
            resolv_conf: "/dev/null".into(),
            cgroup_root: String::new(),
            pods_max: PODS_MAX,
            reserved: BTreeMap::new(),
            labels: BTreeMap::new(),
            port: 10250,
            serving: None,
            version: apiserver::GIT_VERSION.into(),
        }
    }

    fn machine(&self) -> Machine {
        Machine {
            name: self.name.clone(),
            ips: vec![self.address().to_string()],
            arch: "amd64".into(),
            cpus: CPUS,
            memory_bytes: MEMORY_BYTES,
            ephemeral_bytes: DISK_BYTES,
            pods: PODS_MAX,
            port: 10250,
            info: NodeSystemInfo {
                container_runtime_version: "sim://1".into(),
                kubelet_version: apiserver::GIT_VERSION.into(),
                operating_system: "linux".into(),
                architecture: "amd64".into(),
                ..NodeSystemInfo::default()
            },
            unready: vec!["container runtime status check may not have completed yet".into()],
            ..Machine::default()
        }
    }
}
