//! Between HTTP and [`machinery::request`]: paths, queries, media types, bodies in and out.
//!
//! ```text
//!   path, query, headers, body ─▶ Request        Answer ─▶ status line, headers, Body (ropes, streams)
//! ```
//! No decision is made here beyond what a well-formed request is; every refusal is a 4xx in upstream's words.

pub mod accept;
pub mod answer;
mod body;
pub mod intake;
mod list;
pub mod path;
mod protobuf;
pub mod query;
mod watch;
pub mod websocket;

pub use body::{Body, BodyError};
pub use list::ListBody;
pub use watch::{Reshape, watch_body};
