//! Every built-in kind, one file each: names, defaults, rules, columns.
//!
//! To add a kind: copy the file of the kind it is most like, add its line to [`KINDS`], write its suite.
//! Pure: hooks are functions of the canonical tree.

pub mod apps;
mod column;
pub mod core;
mod cursor;
mod fill;
pub mod kind;
mod rule;
mod schemas;
mod status;
#[cfg(test)]
mod testing;

pub use kind::{Kind, Scope};
pub use schemas::{Descriptions, descriptions, schemas};

/// The visible table: one line per kind, in discovery order.
pub static KINDS: &[&Kind] = &[&core::configmap::KIND, &apps::deployment::KIND];

/// The kind served at `group/version` under this plural.
pub fn by_plural(group: &str, version: &str, plural: &str) -> Option<&'static Kind> {
    KINDS.iter().copied().find(|k| k.group == group && k.version == version && k.plural == plural)
}

/// The kind with this CamelCase name.
pub fn by_kind(group: &str, version: &str, kind: &str) -> Option<&'static Kind> {
    KINDS.iter().copied().find(|k| k.group == group && k.version == version && k.kind == kind)
}
