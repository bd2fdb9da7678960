//! What the runtime and a pod's shim say to each other. Version 1. Pure data; no transport.
//!
//! One JSON document per packet on a unix socket of packets; descriptors travel with the packet that names them.
//! A newer runtime must keep talking to shims of older versions: fields are only ever added, with a default.

use std::collections::BTreeMap;
use std::path::PathBuf;

use image::rootfs::Rootfs;
use serde::{Deserialize, Serialize};

/// The version that this code speaks.
pub const VERSION: u32 = 1;
/// Bytes of one packet.
pub const PACKET_LENGTH_MAX: usize = 128 << 10;
/// Descriptors with one packet.
pub const DESCRIPTORS_MAX: usize = 4;

#[derive(Debug, Serialize, Deserialize)]
pub struct Request {
    pub version: u32,
    /// Chosen by the caller, repeated in the reply.
    pub id: u64,
    pub call: Call,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// The first call of a shim's life: enter the pod's namespaces.
    Setup(Setup),
    /// What is running, and how the rest ended.
    State,
    /// Create and start a container.
    Start(Box<Start>),
    /// Send a signal to a container's first process, or to all of its processes.
    Signal {
        container: String,
        signal: i32,
        all: bool,
    },
    /// Forget a container that has ended.
    Forget {
        container: String,
    },
    ReopenLog {
        container: String,
    },
    /// Run an extra process. Answered with its streams.
    Exec(Exec),
    SignalExec {
        exec: String,
        signal: i32,
    },
    /// A copy of a container's output from now on, and its input. Answered with streams.
    Attach {
        container: String,
    },
    CloseInput {
        container: String,
    },
    /// A socket that is connecting to a port of the pod's loopback interface.
    Connect {
        port: u16,
        ipv6: bool,
    },
    /// Kill everything and end.
    Shutdown,
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Setup {
    /// Namespace file to enter; `None` stays in the host's network.
    pub network: Option<PathBuf>,
    pub own_ipc: bool,
    /// With a host name of its own; `None` keeps the host's.
    pub hostname: Option<String>,
    pub sysctls: BTreeMap<String, String>,
    /// Hold one process id namespace for all containers.
    pub shared_pids: bool,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Start {
    pub container: String,
    /// Has `config.json`.
    pub bundle: PathBuf,
    pub rootfs: Rootfs,
    /// Made in the root file system if it is not there.
    pub cwd: String,
    pub uid: u32,
    pub gid: u32,
    pub log: Option<PathBuf>,
    pub stdin: bool,
    pub tty: bool,
    pub cgroup: String,
    /// Mounts made in the container may show on the host.
    pub shared_root: bool,
    pub oom_score_adj: Option<i32>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Exec {
    /// Names the process in later calls and in its end.
    pub exec: String,
    pub container: String,
    pub args: Vec<String>,
    pub stdin: bool,
    pub tty: bool,
}

/// What a shim sends.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    Reply { id: u64, answer: std::result::Result<Answer, String> },
    Exited(ContainerState),
    ExecExited { exec: String, code: i32 },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    Done,
    /// The first process of the shared process id namespace.
    Setup {
        pause: Option<i32>,
    },
    State {
        version: u32,
        pause: Option<i32>,
        containers: Vec<ContainerState>,
    },
    Started(ContainerState),
    /// The descriptors with this packet, in this order.
    Streams {
        streams: Vec<Stream>,
    },
}

/// What a descriptor is for, seen from outside the container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// Write here.
    Stdin,
    /// Read here.
    Stdout,
    Stderr,
    /// The master side of a terminal: read, write, resize.
    Terminal,
    /// The master side of a container's terminal: write and resize; what it prints comes as `Stdout`.
    TerminalInput,
    Socket,
}

/// A container that was started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerState {
    pub id: String,
    pub pid: i32,
    /// Nanoseconds since 1970.
    pub started_at: i64,
    pub end: Option<End>,
}

/// How a container's first process ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    pub finished_at: i64,
    /// 128 + signal for a process that was killed.
    pub exit_code: i32,
    pub oom_killed: bool,
}
