//! Linux containers. Never heard of Kubernetes.
//!
//! ```text
//! Config ──spec::build──▶ config.json ──create::run (in a process of its own)──▶ init
//!                               └──────exec::run (in a process of its own)──▶ extra process
//! cgroup: create, limit, read, freeze, kill and remove groups, on v1 and v2 alike
//! ```
//!
//! Not here: images, root file systems, logs, and who waits for the processes. The caller is a small
//! single-threaded process that forks before it calls [`create::run`] or [`exec::run`].
#![allow(unsafe_code)]

pub mod capability;
pub mod cgroup;
mod confine;
pub mod create;
pub mod exec;
pub mod filter;
mod mount;
pub mod pipe;
mod program;
mod reach;
mod rootfs;
pub mod seccomp;
pub mod spec;
pub mod user;

/// What can go wrong with a container. Messages name the operation and the thing it was done to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{what}: {source}")]
    Io { what: String, source: std::io::Error },
    /// The caller asked for something that cannot be: retrying does not help.
    #[error("{0}")]
    Invalid(String),
    /// The kernel refused; the text is what users see in events.
    #[error("{0}")]
    Refused(String),
}

pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn io(what: impl Into<String>, source: impl Into<std::io::Error>) -> Error {
        Error::Io { what: what.into(), source: source.into() }
    }
}

/// The outcome of a system call that returns a negative number when it fails.
pub(crate) fn check(result: i32, what: &str) -> Result<()> {
    if result < 0 { Err(Error::io(what, std::io::Error::last_os_error())) } else { Ok(()) }
}
