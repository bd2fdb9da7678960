//! Everything the runtime knows, in memory, and the questions asked of it. Not here: files, shims' work, waiting.

use std::collections::{BTreeMap, BTreeSet};

use network::pool::Pool;
use rpc::cri;
use tokio::sync::watch;

use crate::connection::Shim;
use crate::record::{self, Phase, Status};

#[derive(Default)]
pub struct State {
    pub sandboxes: BTreeMap<String, Sandbox>,
    pub containers: BTreeMap<String, Container>,
    /// Addresses for pods; there from the moment the range is known.
    pub addresses: Option<Pool>,
}

pub struct Sandbox {
    pub record: record::Sandbox,
    pub shim: Option<Shim>,
    /// First process of the shared process id namespace.
    pub pause: Option<i32>,
}

pub struct Container {
    pub record: record::Container,
    /// Somebody is starting it.
    pub starting: bool,
    /// Becomes true when it has ended.
    pub ended: watch::Sender<bool>,
}

impl Container {
    pub fn new(record: record::Container) -> Container {
        let ended = matches!(record.status, Status::Exited { .. });
        Container { record, starting: false, ended: watch::Sender::new(ended) }
    }

    pub fn state(&self) -> cri::ContainerState {
        match self.record.status {
            Status::Created => cri::ContainerState::ContainerCreated,
            Status::Running { .. } => cri::ContainerState::ContainerRunning,
            Status::Exited { .. } => cri::ContainerState::ContainerExited,
        }
    }
}

impl Sandbox {
    pub fn state(&self) -> cri::PodSandboxState {
        match self.record.phase {
            Phase::Ready => cri::PodSandboxState::SandboxReady,
            Phase::Creating | Phase::NotReady => cri::PodSandboxState::SandboxNotready,
        }
    }
}

impl State {
    /// The one sandbox that an id, or an unambiguous beginning of one, names.
    pub fn sandbox_id(&self, text: &str) -> Option<String> {
        unique(self.sandboxes.keys(), text)
    }

    pub fn container_id(&self, text: &str) -> Option<String> {
        unique(self.containers.keys(), text)
    }

    pub fn containers_of(&self, sandbox: &str) -> Vec<String> {
        let of = self.containers.values().filter(|container| container.record.sandbox == sandbox);
        of.map(|container| container.record.id.clone()).collect()
    }

    /// Layers that containers stand on, running or not.
    pub fn used_layers(&self) -> BTreeSet<String> {
        self.containers.values().flat_map(|container| container.record.rootfs.layers.clone()).collect()
    }
}

fn unique<'a>(mut ids: impl Iterator<Item = &'a String>, text: &str) -> Option<String> {
    if text.is_empty() {
        return None;
    }
    let first = ids.find(|id| id.starts_with(text))?;
    match ids.find(|id| id.starts_with(text)) {
        Some(_) => None,
        None => Some(first.clone()),
    }
}

/// Whether labels have everything that a selector names.
pub fn selected(labels: &BTreeMap<String, String>, selector: &BTreeMap<String, String>) -> bool {
    selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}
