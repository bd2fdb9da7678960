//! The verbs. Each is written once, for all kinds.

mod apply;
mod binding;
mod create;
mod delete;
mod eviction;
mod get;
mod list;
mod patch;
mod scale;
pub(crate) mod update;
pub mod watch;
