//! Generated gRPC code (CRI, etcd, CSI, device plugins), checked in.
//!
//! Not here: any behaviour. `examples/generate.rs` writes these modules from `proto/`.

#[allow(missing_docs, clippy::all, clippy::disallowed_types)]
pub mod archives;
#[allow(missing_docs, clippy::all, clippy::disallowed_types)]
pub mod cri;
