//! Pods made real on a node: `plan/` decides (pure), `drive/` acts over the CRI, `server/` answers the API server.
//!
//! ```text
//!  API server ── client caches ─┐                          ┌─ CRI (runtime in this process, or a socket)
//!                               ├─ one task per pod ─ plan ┤
//!  runtime events, probes ──────┘                          └─ status patches, events
//! ```

pub mod plan;
