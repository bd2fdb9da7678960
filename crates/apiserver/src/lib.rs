//! HTTP, TLS, who are you, may you, streams, discovery, OpenAPI.
//!
//! ```text
//!   listen ─▶ door ─┬─ authn ─ impersonation
//!                   ├─ paths: discovery, health, openapi, version, metrics
//!                   └─ resources ─▶ authz ─▶ front ─┬─ review (access, tokens)
//!                      streams ─▶ kubelets          ├─ escalation
//!                                                   └─▶ registry
//! ```
//! It writes no verb of the API: that is `registry`. Callers in the same process come through
//! [`Front::transport`], everybody else through HTTPS; both are authorized.

mod authn;
mod authz;
mod bootstrap;
mod config;
mod discovery;
mod door;
mod escalation;
mod front;
mod health;
mod identity;
mod lease;
mod line;
mod listen;
mod metrics;
mod openapi;
mod paths;
pub mod pki;
mod resources;
mod review;
mod server;
mod shape;
mod streams;
mod tls;
mod uuid;
mod version;
mod wire;

pub use config::Config;
pub use front::Front;
pub use server::{Server, run};
pub use streams::{ByteStream, Dialer};
pub use version::GIT_VERSION;
