//! OCI images: pulled, loaded, unpacked, mounted. Never heard of Kubernetes.
//!
//! ```text
//! archive::load ─┐                       ┌─▶ <root>/images/<id>.json        what an image is, and its names
//! pull::pull  ───┴─▶ unpack (per layer) ─┼─▶ <root>/layers/<chain id>/      its files, unpacked once
//!                                        └─▶ rootfs::Rootfs                layers + a writable one = overlayfs
//! ```
//!
//! Not here: containers, and who may pull what.
#![allow(unsafe_code)]

pub mod archive;
pub mod pull;
pub mod record;
pub mod reference;
pub mod rootfs;
mod settle;
pub mod store;
mod unpack;
mod untag;

pub use record::{Image, RunConfig};
pub use reference::Reference;
pub use store::Store;

/// What can go wrong with an image.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{what}: {source}")]
    Io { what: String, source: std::io::Error },
    /// The image, archive or reference itself is wrong: retrying does not help.
    #[error("{0}")]
    Invalid(String),
    #[error("{0}: not found")]
    NotFound(String),
    /// The registry wants other credentials.
    #[error("{0}")]
    Denied(String),
    /// The registry could not be reached or broke off: worth another attempt.
    #[error("{0}")]
    Registry(String),
}

pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn io(what: impl Into<String>, source: impl Into<std::io::Error>) -> Error {
        Error::Io { what: what.into(), source: source.into() }
    }
}
