//! Links, routes, addresses and nftables through netlink. Never heard of Kubernetes.
//!
//! Everything here is synchronous: a call is a few system calls that the kernel answers at once, in well under a
//! millisecond, so callers in async code may call it where they are, or from `spawn_blocking` for large rule sets.
//!
//! ```text
//! pod   host   ports ─▶ nft, conntrack     what callers use
//!   \     |     |      /
//!    route      |     /            rtnetlink messages (links, addresses, routes)
//!       \       |    /
//!         netlink                  sockets, messages, attributes: raw bytes, one encoder for all families
//! ```

pub mod conntrack;
mod error;
pub mod host;
pub mod namespace;
mod netlink;
pub mod nft;
pub mod pod;
pub mod pool;
pub mod ports;
mod ranges;
mod route;

pub use error::{Error, Result};
