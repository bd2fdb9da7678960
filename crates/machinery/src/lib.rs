//! The grammar of the Kubernetes API: names, trees, field paths, Status, requests, selectors, quantities,
//! schemas, patches, managed fields and tables.
//!
//! Pure: no clock, no randomness, no I/O, no async, no std `HashMap`. It knows no kind; kinds live in `api`.
//!
//! ```text
//!   bytes ──schema──▶ tree (canonical) ──patch, defaults, validation──▶ tree ──encode──▶ Object (rope of bytes)
//! ```

pub mod duration;
pub mod field;
pub mod identity;
pub mod jsonpath;
pub mod key;
pub mod managed;
pub mod meta;
pub mod names;
pub mod object;
pub mod patch;
pub mod quantity;
pub mod request;
pub mod schema;
pub mod selector;
pub mod status;
pub mod table;
pub mod time;
pub mod tree;
pub mod validation;
pub mod yaml;
