//! YAML, read and written as Go's `sigs.k8s.io/yaml` does: types of YAML 1.1, keys sorted, long lines folded.
//!
//! Texts become JSON trees and back; comments, styles and anchors are not kept.

mod emit;
mod parse;
mod resolve;
mod scalar;
#[cfg(test)]
mod tests;

pub use emit::emit;
pub use parse::{YamlError, parse, parse_all};
