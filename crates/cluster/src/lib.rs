//! A local cluster on this machine: `kybern up`, `status`, `down`, `delete`, `image`, and the supervisor.
//!
//! It starts and stops processes and knows where a cluster keeps its things; it decides nothing inside of one.
//!
//! ```text
//!   up ──▶ supervisor (holds a lock, starts the server again) ──▶ server ──progress lines──▶ up
//! ```

pub mod cgroup;
mod checks;
pub mod commands;
pub mod foreground;
pub mod hello;
pub mod home;
pub mod image;
mod kubeconfig;
mod owner;
pub mod progress;
mod ranges;
pub mod settings;
pub mod supervise;
pub mod switches;
pub mod teardown;
mod turn;
