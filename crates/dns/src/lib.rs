//! Cluster DNS: plan/ (pure zone) and drive/ (sockets).
//!
//! ```text
//!  Services, EndpointSlices, Namespaces ─▶ plan::Records ─▶ Zone (immutable, shared by a pointer)
//!                                                            │
//!  client ─▶ UDP, TCP ─▶ plan::wire::Query ─▶ lookup ────────┤ ours: answered where it arrived
//!                                                            └ others: cache, else an upstream resolver
//! ```
//!
//! The names are those of the Kubernetes DNS specification 1.1.0
//! (<https://github.com/kubernetes/dns/blob/master/docs/specification.md>); times and details that it leaves open are
//! CoreDNS' as kubeadm sets it up.

mod drive;
pub mod plan;

pub use drive::{Config, run};
