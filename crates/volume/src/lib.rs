//! Mounts and atomically replaced folders. Never heard of Kubernetes.
//!
//! Four hands: [`folder`] replaces the files of a folder all at once, [`mounts`] mounts and unmounts and reads
//! the mount table, [`owner`] gives a tree to a group, [`beneath`] opens a path that cannot leave its folder.
//! Nothing here remembers anything: what is mounted is asked of the kernel.

pub mod beneath;
pub mod folder;
pub mod mounts;
pub mod owner;

use std::io;
use std::path::{Path, PathBuf};

/// A failed operation on a path.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{operation} {}: {source}", path.display())]
    Io { operation: &'static str, path: PathBuf, source: io::Error },
    /// The caller asked for what must not be: a path that leaves its folder, an absolute name.
    #[error("{0}")]
    Refused(String),
}

impl Error {
    /// Whether trying the same again can help.
    pub fn retriable(&self) -> bool {
        matches!(self, Error::Io { .. })
    }
}

pub type Result<T> = std::result::Result<T, Error>;

/// Names operation and path in an I/O error.
fn at<T, E: Into<io::Error>>(operation: &'static str, path: &Path, result: std::result::Result<T, E>) -> Result<T> {
    result.map_err(|e| Error::Io { operation, path: path.to_owned(), source: e.into() })
}
