//! Work that a forked child does, and the caller that waits for it. Not here: the work.

use std::os::fd::OwnedFd;

use serde::{Deserialize, Serialize};

use super::protocol::Stream;

/// What a forked child reports: a process id, or why there is none; neither while it hands over a terminal.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Outcome {
    pub pid: Option<i32>,
    pub error: Option<String>,
}

/// A call that is not answered yet.
pub struct Pending {
    /// Token of the connection that asked.
    pub connection: u64,
    pub request: u64,
    /// The forked child, and the socket on which it reports.
    pub child: i32,
    pub socket: OwnedFd,
    /// The terminal's master side, once it came.
    pub master: Option<OwnedFd>,
    pub work: Work,
}

pub enum Work {
    Start { container: String },
    Exec { exec: String, streams: Vec<(Stream, OwnedFd)> },
}
