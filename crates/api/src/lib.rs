//! Every built-in kind, one file each: names, defaults, rules, columns.
//!
//! To add a kind: copy the file of the kind it is most like, add its line to [`KINDS`], write its suite.
//! Pure: hooks are functions of the canonical tree.

pub mod apps;
pub mod authentication;
pub mod authorization;
pub mod autoscaling;
pub mod batch;
mod column;
pub mod coordination;
pub mod core;
mod cursor;
mod difference;
pub mod discovery;
pub mod events;
mod fill;
pub mod kind;
pub mod networking;
pub mod node;
pub mod policy;
pub mod rbac;
mod rule;
pub mod scheduling;
mod schemas;
mod status;
pub mod storage;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use kind::{Kind, Scope};
pub use schemas::{Descriptions, descriptions, schemas};

/// The visible table: one line per kind, in discovery order.
pub static KINDS: &[&Kind] = &[
    &core::binding::KIND,
    &core::component_status::KIND,
    &core::configmap::KIND,
    &core::endpoints::KIND,
    &core::event::KIND,
    &core::limit_range::KIND,
    &core::namespace::KIND,
    &core::node::KIND,
    &core::persistent_volume::KIND,
    &core::persistent_volume_claim::KIND,
    &core::pod::KIND,
    &core::pod_template::KIND,
    &core::replication_controller::KIND,
    &core::resource_quota::KIND,
    &core::secret::KIND,
    &core::service_account::KIND,
    &core::service::KIND,
    &apps::controller_revision::KIND,
    &apps::daemonset::KIND,
    &apps::deployment::KIND,
    &apps::replicaset::KIND,
    &apps::statefulset::KIND,
    &events::event::KIND,
    &authentication::self_subject_review::KIND,
    &authentication::token_review::KIND,
    &authorization::local_subject_access_review::KIND,
    &authorization::self_subject_access_review::KIND,
    &authorization::self_subject_rules_review::KIND,
    &authorization::subject_access_review::KIND,
    &autoscaling::horizontal_pod_autoscaler::KIND,
    &autoscaling::horizontal_pod_autoscaler::v1::KIND,
    &batch::cron_job::KIND,
    &batch::job::KIND,
    &networking::ingress_class::KIND,
    &networking::ingress::KIND,
    &networking::ip_address::KIND,
    &networking::network_policy::KIND,
    &networking::service_cidr::KIND,
    &policy::pod_disruption_budget::KIND,
    &rbac::cluster_role_binding::KIND,
    &rbac::cluster_role::KIND,
    &rbac::role_binding::KIND,
    &rbac::role::KIND,
    &storage::csi_driver::KIND,
    &storage::csi_node::KIND,
    &storage::csi_storage_capacity::KIND,
    &storage::storage_class::KIND,
    &storage::volume_attachment::KIND,
    &storage::volume_attributes_class::KIND,
    &scheduling::priority_class::KIND,
    &coordination::lease::KIND,
    &node::runtime_class::KIND,
    &discovery::endpoint_slice::KIND,
];

/// Kinds that are no resources: subresources exchange them. They have no plural.
pub static EXCHANGED: &[&Kind] =
    &[&authentication::token_request::KIND, &autoscaling::scale::KIND, &policy::eviction::KIND];

/// The kind served at `group/version` under this plural.
pub fn by_plural(group: &str, version: &str, plural: &str) -> Option<&'static Kind> {
    KINDS.iter().copied().find(|k| k.group == group && k.version == version && k.plural == plural)
}

/// The kind with this CamelCase name, resource or exchanged.
pub fn by_kind(group: &str, version: &str, kind: &str) -> Option<&'static Kind> {
    KINDS.iter().chain(EXCHANGED).copied().find(|k| k.group == group && k.version == version && k.kind == kind)
}
