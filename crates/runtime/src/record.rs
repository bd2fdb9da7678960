//! What the runtime remembers of sandboxes and containers: one JSON file each, written atomically.
//! Not here: what is running now; the shims know that.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::path::Path;

use container::user::User;
use image::rootfs::Rootfs;
use rpc::cri;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::host_ports::HostPort;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sandbox {
    pub id: String,
    pub name: String,
    pub uid: String,
    pub namespace: String,
    pub attempt: u32,
    pub hostname: String,
    pub log_directory: String,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    pub created_at: i64,
    pub namespaces: Namespaces,
    /// Its address in the pods' range; `None` in the host's network, and once stopped.
    pub address: Option<Ipv4Addr>,
    pub cgroup_parent: String,
    pub phase: Phase,
    /// Records of older versions have none.
    #[serde(default)]
    pub ports: Vec<HostPort>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Being made: removed when found after a restart.
    Creating,
    Ready,
    NotReady,
}

/// Modes of the pod's namespaces, as CRI numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespaces {
    pub network: i32,
    pub pid: i32,
    pub ipc: i32,
}

impl Namespaces {
    pub fn host_network(&self) -> bool {
        self.network == cri::NamespaceMode::Node as i32
    }

    pub fn host_ipc(&self) -> bool {
        self.ipc == cri::NamespaceMode::Node as i32
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Container {
    pub id: String,
    pub sandbox: String,
    pub name: String,
    pub attempt: u32,
    /// As the caller named it.
    pub image: String,
    pub user_specified_image: String,
    pub image_id: String,
    /// The digested reference that users see.
    pub image_ref: String,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    pub created_at: i64,
    pub mounts: Vec<Mount>,
    pub log_path: String,
    pub tty: bool,
    pub stdin: bool,
    pub stdin_once: bool,
    pub cgroup: String,
    pub user: User,
    pub cwd: String,
    pub rootfs: Rootfs,
    pub shared_root: bool,
    pub resources: Resources,
    /// A name such as `SIGTERM`, of the image or the caller.
    pub stop_signal: String,
    pub status: Status,
}

/// A mount as it was asked for, to be reported.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    pub container_path: String,
    pub host_path: String,
    pub readonly: bool,
    pub propagation: i32,
}

/// Resources as they were asked for, to be reported.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Resources {
    pub cpu_period: i64,
    pub cpu_quota: i64,
    pub cpu_shares: i64,
    pub memory_limit_in_bytes: i64,
    pub oom_score_adj: i64,
    pub cpuset_cpus: String,
    pub cpuset_mems: String,
    pub unified: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Created,
    Running { pid: i32, started_at: i64 },
    Exited { started_at: i64, finished_at: i64, exit_code: i32, reason: String, message: String },
}

/// Writes a record so that a reader finds the old one or the new one, also after a crash.
pub fn write(path: &Path, record: &impl Serialize) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let mut file = fs::File::create(&temporary)?;
    file.write_all(&serde_json::to_vec(record)?)?;
    file.sync_data()?;
    fs::rename(temporary, path)
}

/// Reads a record. `None` if there is none, or one that was never finished.
pub fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}
