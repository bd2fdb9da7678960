//! What can go wrong with the kernel, as data.

use std::io;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A refused or impossible operation on the machine's network.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A system call failed.
    #[error("{operation}: {source}")]
    System { operation: String, source: io::Error },
    /// The kernel refused a netlink request; `detail` is its own explanation, where it gave one.
    #[error("{operation}: {source}{}", detail.as_deref().map(|text| format!(" ({text})")).unwrap_or_default())]
    Refused { operation: String, source: io::Error, detail: Option<String> },
    /// The kernel's answer was not understood.
    #[error("{operation}: the kernel's answer was cut short or malformed")]
    Malformed { operation: String },
    /// What was asked for cannot be: the caller's fault.
    #[error("{0}")]
    Invalid(String),
}

impl Error {
    pub(crate) fn system(operation: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::System { operation: operation.into(), source: source.into() }
    }

    /// The kernel's error number, if it was the kernel who said no.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::System { source, .. } | Self::Refused { source, .. } => source.raw_os_error(),
            Self::Malformed { .. } | Self::Invalid(_) => None,
        }
    }

    /// Whether the thing to act on was not there.
    pub fn is_absent(&self) -> bool {
        matches!(self.errno(), Some(libc::ENODEV | libc::ENOENT | libc::ESRCH | libc::EADDRNOTAVAIL))
    }

    /// Whether the thing to make was already there.
    pub fn is_present(&self) -> bool {
        self.errno() == Some(libc::EEXIST)
    }
}
