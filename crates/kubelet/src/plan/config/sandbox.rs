//! The CRI config of a pod's sandbox.

use k8s_openapi::api::core::v1::Pod;
use rpc::cri::{LinuxPodSandboxConfig, PodSandboxConfig, PodSandboxMetadata, PortMapping, Protocol};

use super::facts::{Folders, Node};
use super::{dns, hosts, labels, resources, security};
use crate::plan::spec;

/// Makes the config for the sandbox with this attempt number.
///
/// # Errors
/// The message of a `FailedCreatePodSandBox` event.
pub fn config(pod: &Pod, attempt: u32, node: &Node, folders: &Folders) -> Result<PodSandboxConfig, String> {
    let (namespace, name, uid) = (spec::namespace(pod), spec::name(pod), spec::uid(pod));
    let security = security::of_sandbox(pod, &format!("{}/seccomp", folders.kubelet));
    let sysctls = spec::spec(pod).security_context.as_ref().and_then(|c| c.sysctls.clone()).unwrap_or_default();
    Ok(PodSandboxConfig {
        metadata: Some(PodSandboxMetadata { name: name.into(), uid: uid.into(), namespace: namespace.into(), attempt }),
        hostname: if spec::host_network(pod) { String::new() } else { hosts::kernel_name(pod, node)? },
        log_directory: folders.pod_log(namespace, name, uid),
        dns_config: Some(dns::config(pod, node)),
        port_mappings: port_mappings(pod),
        labels: labels::of_sandbox(pod).into_iter().collect(),
        annotations: pod.metadata.annotations.clone().unwrap_or_default().into_iter().collect(),
        linux: Some(LinuxPodSandboxConfig {
            cgroup_parent: resources::cgroup(pod, node),
            security_context: Some(security),
            sysctls: sysctls.into_iter().map(|s| (s.name, s.value)).collect(),
            resources: Some(resources::of_pod(pod)),
            ..LinuxPodSandboxConfig::default()
        }),
    })
}

fn port_mappings(pod: &Pod) -> Vec<PortMapping> {
    if spec::host_network(pod) {
        return Vec::new();
    }
    let sidecars = spec::init_containers(pod).iter().filter(|c| spec::restartable(c));
    let ports = spec::containers(pod).iter().chain(sidecars).flat_map(|c| c.ports.iter().flatten());
    let mapped = ports.filter(|p| p.host_port.unwrap_or(0) > 0);
    mapped
        .map(|p| PortMapping {
            protocol: match p.protocol.as_deref() {
                Some("UDP") => Protocol::Udp,
                Some("SCTP") => Protocol::Sctp,
                _ => Protocol::Tcp,
            } as i32,
            container_port: p.container_port,
            host_port: p.host_port.unwrap_or(0),
            host_ip: p.host_ip.clone().unwrap_or_default(),
        })
        .collect()
}
