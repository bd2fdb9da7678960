//! What the kubelet has seen of one pod: runtime, images, volumes, probes, and the steps in flight.
//!
//! Plain data. `drive/` fills it from events, `plan` only reads it; nothing here knows a clock.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::PodStatus;

use super::backoff::Backoff;
use super::step::Flight;

/// A pod sandbox as the runtime tells it.
#[derive(Clone, Debug, PartialEq)]
pub struct Sandbox {
    pub id: String,
    pub attempt: u32,
    pub ready: bool,
    pub created: Timestamp,
    pub host_network: bool,
    /// The pod's addresses, first the primary one; empty with the host's network.
    pub ips: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Created,
    Running,
    Exited,
    Unknown,
}

/// A container as the runtime tells it, with what its labels and annotations remember.
#[derive(Clone, Debug, PartialEq)]
pub struct Container {
    pub id: String,
    pub name: String,
    pub sandbox: String,
    pub state: State,
    pub created: Timestamp,
    pub started: Option<Timestamp>,
    pub finished: Option<Timestamp>,
    pub exit_code: i32,
    /// The runtime's reason: `Completed`, `Error`, `OOMKilled`, `StartError`, …
    pub reason: String,
    /// The termination message, already read from file or log.
    pub message: String,
    /// The image as the container was asked for, and the reference of what runs.
    pub image: String,
    pub image_id: String,
    /// `io.kubernetes.container.hash`.
    pub hash: String,
    pub restarts: u32,
    pub log_path: String,
    /// uid, gid and supplementary groups of the first process, when the runtime tells.
    pub user: Option<(i64, i64, Vec<i64>)>,
}

impl Container {
    pub fn running(&self) -> bool {
        self.state == State::Running
    }

    pub fn exited(&self) -> bool {
        self.state == State::Exited
    }

    pub fn succeeded(&self) -> bool {
        self.exited() && self.exit_code == 0
    }
}

/// A container's image, per attempt to start it.
#[derive(Clone, Debug, PartialEq)]
pub enum Image {
    /// Present for the start with this restart count.
    Ready { attempt: u32 },
    /// The last try failed; the next may begin at `retry`.
    Failed { reason: String, message: String, at: Timestamp, retry: Timestamp, delay_s: i64 },
}

#[derive(Clone, Debug, Default, PartialEq)]
pub enum Volumes {
    /// Nothing is mounted, nothing was asked for.
    #[default]
    Absent,
    Ready,
}

/// Why a container did not start, as `waiting.reason` and `waiting.message`.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    pub reason: String,
    pub message: String,
    pub retry: Timestamp,
}

/// The last results of a container's probes; `None` is "not heard yet".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Probes {
    pub startup: Option<bool>,
    pub liveness: Option<bool>,
    pub readiness: Option<bool>,
}

/// What an earlier kubelet's probes found, by container id: a container that was started or ready stays so until a
/// probe fails, and no Service loses it because a kubelet starts.
pub fn remembered(status: &PodStatus) -> BTreeMap<String, Probes> {
    let lists = [&status.init_container_statuses, &status.container_statuses];
    let known = lists.into_iter().flatten().flatten().filter_map(|container| {
        let (_, id) = container.container_id.as_deref()?.split_once("://")?;
        let startup = container.started.filter(|started| *started);
        Some((id.to_owned(), Probes { startup, liveness: None, readiness: Some(true).filter(|_| container.ready) }))
    });
    known.collect()
}

/// A final verdict on the pod: it ends Failed with these words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub reason: String,
    pub message: String,
}

/// Everything that one pod's plan depends on besides its object and the time.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The runtime was heard; before that nothing is started or stopped.
    pub observed: bool,
    /// The object is gone from the API: what is left is removed.
    pub gone: bool,
    /// Newest first.
    pub sandboxes: Vec<Sandbox>,
    /// Newest first.
    pub containers: Vec<Container>,
    pub flying: BTreeSet<Flight>,
    pub volumes: Volumes,
    /// When steps that failed may be tried again.
    pub retries: BTreeMap<Flight, Timestamp>,
    /// How often such a step has failed in a row.
    pub tries: BTreeMap<Flight, u32>,
    /// By container name.
    pub images: BTreeMap<String, Image>,
    pub failures: BTreeMap<String, Failure>,
    pub backoffs: BTreeMap<String, Backoff>,
    /// By container id.
    pub probes: BTreeMap<String, Probes>,
    pub verdict: Option<Verdict>,
    pub started: Option<Timestamp>,
    /// Mounts, folders and cgroup of the ended pod are gone.
    pub torn_down: bool,
    /// The node's addresses.
    pub host_ips: Vec<String>,
    /// `kybern`: the scheme of container ids.
    pub runtime: String,
    /// The verdict was given before anything was started: no container statuses are told.
    pub refused: bool,
    /// What the API has: as first seen, then as it last accepted it.
    pub reported: PodStatus,
    /// The status of the last plan (at first what the API has): transition times and last states come from it.
    pub latest: PodStatus,
}

impl Seen {
    /// The newest container of that name.
    pub fn container(&self, name: &str) -> Option<&Container> {
        self.containers.iter().find(|c| c.name == name)
    }

    /// The sandbox to work with: the newest one, when it is ready.
    pub fn sandbox(&self) -> Option<&Sandbox> {
        self.sandboxes.first().filter(|s| s.ready)
    }

    pub fn flies(&self, flight: &Flight) -> bool {
        self.flying.contains(flight)
    }

    /// Whether a step of this container is in flight.
    pub fn busy(&self, name: &str) -> bool {
        self.flying.iter().any(|f| f.container() == Some(name))
    }

    pub fn any_running(&self) -> bool {
        self.containers.iter().any(|c| matches!(c.state, State::Running | State::Unknown))
    }
}
