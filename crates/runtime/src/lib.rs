//! The CRI service: sandboxes and their network, containers, images, logs, exec; shims.
//!
//! ```text
//! kubelet ──CRI calls──▶ service ─▶ sandboxes, containers ──packets──▶ shim (one per pod) ─▶ processes
//!    ▲                                 │        ▲                        │
//!    └───── events ◀───────────────────┴─state──┴────── ends ◀───────────┘
//! ```
//!
//! State is one owner's: [`Runtime`] holds it behind a lock that is never held across an await; records on disk follow it.
//! Not here: pods, probes, restarts and every other decision; those are the kubelet's.

mod archives;
mod choose;
mod connection;
mod containers;
mod events;
mod exec_sync;
mod filters;
mod host_ports;
mod image_service;
mod open;
mod record;
mod report;
mod sandbox_files;
mod sandboxes;
mod service;
pub mod shim;
mod spawn;
mod state;
mod stats;
mod streaming;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use rpc::cri;
use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::CancellationToken;
use tonic::Status;

/// What decides how a runtime works. All paths are absolute.
#[derive(Clone, Debug)]
pub struct Config {
    /// Data that survives a reboot: images, records, writable layers.
    pub root: PathBuf,
    /// Data that need not: sockets, namespaces, bundles.
    pub run: PathBuf,
    /// The cluster's cgroup, for pods that name no parent: `/kybern-NAME`.
    pub cgroup: String,
    /// Names network links; two runtimes on one machine must differ.
    pub owner: String,
    /// Bytes.
    pub mtu: u32,
    pub pull: image::pull::Config,
}

/// A runtime. Clones are the same runtime; it implements the CRI's two services.
#[derive(Clone)]
pub struct Runtime(Arc<Inner>);

struct Inner {
    config: Config,
    images: Arc<image::Store>,
    puller: image::pull::Puller,
    executable: spawn::Executable,
    filters: filters::Filters,
    state: Mutex<state::State>,
    /// Held while a record is written or removed, so that what was removed is not written again.
    records: Mutex<()>,
    events: broadcast::Sender<Arc<cri::ContainerEventResponse>>,
    heard: mpsc::UnboundedSender<(String, connection::Heard)>,
    sessions: Arc<streaming::Sessions>,
}

impl Runtime {
    fn state(&self) -> MutexGuard<'_, state::State> {
        self.0.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn records(&self) -> MutexGuard<'_, ()> {
        self.0.records.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn config(&self) -> &Config {
        &self.0.config
    }

    /// The images, for loading archives and for pinning.
    pub fn images(&self) -> Arc<image::Store> {
        self.0.images.clone()
    }

    /// Serves the CRI on a unix socket at `path` until `stop`. What was at `path` is replaced.
    pub async fn serve(&self, path: PathBuf, stop: CancellationToken) -> anyhow::Result<()> {
        use cri::image_service_server::ImageServiceServer;
        use cri::runtime_service_server::RuntimeServiceServer;
        use rpc::archives::archives_server::ArchivesServer;
        match std::fs::remove_file(&path) {
            Err(problem) if problem.kind() != std::io::ErrorKind::NotFound => return Err(problem.into()),
            _ => {}
        }
        let listener = tokio::net::UnixListener::bind(&path)?;
        let incoming = tokio_stream::wrappers::UnixListenerStream::new(listener);
        tonic::transport::Server::builder()
            .add_service(RuntimeServiceServer::new(self.clone()))
            .add_service(ImageServiceServer::new(self.clone()))
            .add_service(ArchivesServer::new(self.clone()))
            .serve_with_incoming_shutdown(incoming, stop.cancelled_owned())
            .await?;
        Ok(())
    }
}

/// An error of ours as the CRI's callers see it.
fn internal(what: impl std::fmt::Display, problem: impl std::fmt::Display) -> Status {
    Status::internal(format!("{what}: {problem}"))
}

/// Runs work that blocks (files, mounts, netlink) where it may.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Status> + Send + 'static) -> Result<T, Status> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(problem) => Err(Status::internal(format!("a task of the runtime broke: {problem}"))),
    }
}

/// Nanoseconds since 1970.
fn now() -> i64 {
    let now = jiff::Timestamp::now().as_nanosecond();
    i64::try_from(now).unwrap_or(i64::MAX)
}

/// A fresh id: 64 hexadecimal digits, as containerd's.
fn new_id() -> Result<String, Status> {
    let mut bytes = [0_u8; 32];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(|problem| internal("cannot make an id", problem))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
