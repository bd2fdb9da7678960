//! One controller per file (or folder, where one screen after another would not do). Pure: each is a function of
//! what it sees to a plan.
//!
//! To add one: copy the file of the one it is most like, add its line to [`table`], write its test.

mod config;
mod indexes;
mod owner;
mod partial;
mod pods;
mod replicas;
mod status;

pub mod account_token;
pub mod cluster_role;
pub mod deployment;
pub mod garbage;
pub mod namespace;
pub mod node_ipam;
pub mod node_lifecycle;
pub mod pod_gc;
pub mod replicaset;
pub mod replication_controller;
pub mod root_ca;
pub mod service;
pub mod service_account;
pub mod service_cidr;
pub mod well_known;

use std::sync::Arc;

use control::Controller;

pub use config::Config;

/// The visible table: one line per controller.
///
/// # Errors
/// A range of the settings that cannot be read.
pub fn table(config: &Config) -> Result<Vec<Arc<dyn Controller>>, String> {
    let range = node_ipam::Range::parse(&config.pod_range);
    let range = range.ok_or_else(|| format!("the pod range {:?} is no IPv4 range", config.pod_range))?;
    Ok(vec![
        Arc::new(well_known::ApiService { config: config.clone() }),
        Arc::new(well_known::ClusterDns { address: config.dns_service_ip.clone() }),
        Arc::new(service_account::DefaultAccounts),
        Arc::new(root_ca::RootCa { bundle: config.ca_bundle.clone() }),
        Arc::new(node_ipam::NodeIpam { range, node_mask: config.node_mask }),
        Arc::new(node_lifecycle::NodeLifecycle),
        Arc::new(node_lifecycle::eviction::TaintEviction),
        Arc::new(replicaset::ReplicaSets),
        Arc::new(replication_controller::ReplicationControllers),
        Arc::new(deployment::Deployments),
        Arc::new(service::slices::EndpointSlices),
        Arc::new(service::endpoints::EndpointsOfServices),
        Arc::new(service::mirror::EndpointsMirror),
        Arc::new(namespace::Namespaces),
        Arc::new(garbage::GarbageCollector),
        Arc::new(pod_gc::PodGc),
        Arc::new(service_cidr::ServiceCidrs),
        Arc::new(service_cidr::IpAddressRepair),
        Arc::new(cluster_role::ClusterRoleAggregation),
        Arc::new(account_token::AccountTokens { ca_bundle: config.ca_bundle.clone() }),
    ])
}
