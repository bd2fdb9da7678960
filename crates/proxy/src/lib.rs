//! Service rules: plan/ (pure) and drive/ (nftables).
//!
//! ```text
//!  Services ──┐                      Changes                one transaction
//!             ├─▶ plan::Index ───────────────▶ drive ───────────────▶ nf_tables table `Config::table`
//!  Slices  ───┘   what each Service needs      coalesces while one is under way
//! ```
//!
//! A packet meets a fixed number of rules and one map lookup, however many Services there are. A change of a Service
//! touches its own chains and elements only. Nothing is rewritten periodically.

mod drive;
pub mod plan;

pub use drive::{Config, check, cleanup, run};
