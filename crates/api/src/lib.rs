//! Every built-in kind, one file each: names, defaults, rules, columns.
//!
//! To add a kind: copy the file of the kind it is most like, add its line to [`KINDS`], write its suite.
//! Pure: hooks are functions of the canonical tree.

pub mod apps;
mod column;
pub mod coordination;
pub mod core;
mod cursor;
pub mod discovery;
pub mod events;
mod fill;
pub mod kind;
pub mod rbac;
mod rule;
pub mod scheduling;
mod schemas;
mod status;
#[cfg(test)]
mod testing;

pub use kind::{Kind, Scope};
pub use schemas::{Descriptions, descriptions, schemas};

/// The visible table: one line per kind, in discovery order.
pub static KINDS: &[&Kind] = &[
    &core::configmap::KIND,
    &core::endpoints::KIND,
    &core::event::KIND,
    &core::namespace::KIND,
    &core::node::KIND,
    &core::pod::KIND,
    &core::secret::KIND,
    &core::service_account::KIND,
    &core::service::KIND,
    &apps::deployment::KIND,
    &apps::replicaset::KIND,
    &events::event::KIND,
    &rbac::cluster_role_binding::KIND,
    &rbac::cluster_role::KIND,
    &rbac::role_binding::KIND,
    &rbac::role::KIND,
    &scheduling::priority_class::KIND,
    &coordination::lease::KIND,
    &discovery::endpoint_slice::KIND,
];

/// The kind served at `group/version` under this plural.
pub fn by_plural(group: &str, version: &str, plural: &str) -> Option<&'static Kind> {
    KINDS.iter().copied().find(|k| k.group == group && k.version == version && k.plural == plural)
}

/// The kind with this CamelCase name.
pub fn by_kind(group: &str, version: &str, kind: &str) -> Option<&'static Kind> {
    KINDS.iter().copied().find(|k| k.group == group && k.version == version && k.kind == kind)
}
