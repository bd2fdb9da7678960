//! Patches: JSON patch, merge patch, strategic merge patch, and the differences that make them.
//!
//! Everything here works on JSON trees and is pure; applying a patch to a stored object, with its admission and
//! retries, is the registry's.

mod json;
mod merge;

pub use json::json;
pub use merge::{merge, merge_diff};
