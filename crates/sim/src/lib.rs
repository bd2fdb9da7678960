//! The whole cluster on one thread, on virtual time. Development only.
//!
//! ```text
//!   kubectl ──pipe, TLS──▶ apiserver ─▶ registry ─▶ store (the embedded log on a disk in memory)
//!                             ▲  ▲
//!        runner, scheduler ───┘  └─── kubelets, whose hands and machines are in memory
//! ```
//! Everything is the real thing but what would wait or act outside: the clock is tokio's, paused and moved on when
//! nobody has anything to do; random numbers come from a seed; the disk and the nodes' machines are in memory. So a
//! minute takes a moment, and the same seed gives the same history. It runs on a runtime of its caller's: one
//! thread, `start_paused`, which only tests may ask tokio for.

pub mod cluster;
pub mod console;
mod cri;
mod disk;
mod engine;
mod hands;
mod node;
mod program;
mod store;
pub mod world;
