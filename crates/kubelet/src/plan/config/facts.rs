//! What configs depend on besides the pod: the node, its folders, and the objects that the pod refers to.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service};

/// The node as pods see it.
#[derive(Clone, Debug, Default)]
pub struct Node {
    pub name: String,
    pub ips: Vec<String>,
    /// `cluster.local`.
    pub cluster_domain: String,
    pub cluster_dns: Vec<String>,
    /// The node's own resolver configuration.
    pub resolv: super::dns::Resolv,
    /// The node's `/etc/hosts`.
    pub hosts: String,
    pub cpu_milli: i64,
    pub memory_bytes: i64,
    /// The cgroup below which pods' cgroups are: `/kybern-NAME/kubepods`.
    pub cgroup_root: String,
}

/// Where the kubelet keeps things.
#[derive(Clone, Debug, Default)]
pub struct Folders {
    /// `/var/lib/kubelet`.
    pub kubelet: String,
    /// `/var/log/pods`.
    pub pod_logs: String,
    /// `/var/log/containers`.
    pub container_logs: String,
}

impl Folders {
    pub fn pod(&self, uid: &str) -> String {
        format!("{}/pods/{uid}", self.kubelet)
    }

    pub fn volume(&self, uid: &str, plugin: &str, name: &str) -> String {
        format!("{}/volumes/kubernetes.io~{plugin}/{name}", self.pod(uid))
    }

    pub fn etc_hosts(&self, uid: &str) -> String {
        format!("{}/etc-hosts", self.pod(uid))
    }

    /// `NAMESPACE_NAME_UID` below the pods' logs.
    pub fn pod_log(&self, namespace: &str, name: &str, uid: &str) -> String {
        format!("{}/{namespace}_{name}_{uid}", self.pod_logs)
    }

    /// The link to a container's log: `NAME_NAMESPACE_CONTAINER-ID.log`.
    pub fn log_link(&self, namespace: &str, name: &str, container: &str, id: &str) -> String {
        format!("{}/{name}_{namespace}_{container}-{id}.log", self.container_logs)
    }
}

/// The ConfigMaps, Secrets and Services of the pod's namespace that it refers to; absent ones do not exist.
#[derive(Clone, Debug, Default)]
pub struct Refs {
    pub config_maps: BTreeMap<String, Arc<ConfigMap>>,
    pub secrets: BTreeMap<String, Arc<Secret>>,
    /// Services of the pod's namespace, and `kubernetes` of `default`.
    pub services: Vec<Arc<Service>>,
}
