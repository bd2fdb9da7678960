//! Usage of containers and pods, read from their cgroups when asked. Not here: rates over time; callers have two readings.

use rpc::cri;
use tonic::Status;

use container::cgroup::{self, Usage};

use crate::state::{Container, Sandbox};
use crate::{Runtime, blocking, now, report};

fn number(value: u64) -> Option<cri::UInt64Value> {
    Some(cri::UInt64Value { value })
}

fn cpu(usage: &Usage, timestamp: i64) -> cri::CpuUsage {
    cri::CpuUsage { timestamp, usage_core_nano_seconds: number(usage.cpu_ns), usage_nano_cores: None, psi: None }
}

fn memory(usage: &Usage, timestamp: i64) -> cri::MemoryUsage {
    let available = usage.memory_limit_bytes.map(|limit| limit.saturating_sub(usage.working_set_bytes));
    cri::MemoryUsage {
        timestamp,
        working_set_bytes: number(usage.working_set_bytes),
        available_bytes: available.and_then(number),
        usage_bytes: number(usage.memory_bytes),
        rss_bytes: number(usage.rss_bytes),
        page_faults: number(usage.page_faults),
        major_page_faults: number(usage.major_page_faults),
        psi: None,
    }
}

fn attributes(container: &Container) -> cri::ContainerAttributes {
    cri::ContainerAttributes {
        id: container.record.id.clone(),
        metadata: Some(report::container_metadata(container)),
        labels: container.record.labels.clone(),
        annotations: container.record.annotations.clone(),
    }
}

fn container_stats(attributes: cri::ContainerAttributes, group: &str) -> cri::ContainerStats {
    let (usage, timestamp) = (cgroup::usage(group), now());
    cri::ContainerStats {
        attributes: Some(attributes),
        cpu: Some(cpu(&usage, timestamp)),
        memory: Some(memory(&usage, timestamp)),
        ..cri::ContainerStats::default()
    }
}

impl Runtime {
    /// Statistics of running containers that are wanted.
    pub(crate) async fn stats_of_containers(
        &self,
        wanted: impl Fn(&Container) -> bool,
    ) -> Result<Vec<cri::ContainerStats>, Status> {
        let groups: Vec<_> = {
            let state = self.state();
            let running = |container: &&Container| container.state() == cri::ContainerState::ContainerRunning;
            let found = state.containers.values().filter(running).filter(|container| wanted(container));
            found.map(|container| (attributes(container), container.record.cgroup.clone())).collect()
        };
        blocking(move || {
            Ok(groups.into_iter().map(|(attributes, group)| container_stats(attributes, &group)).collect())
        })
        .await
    }

    /// Statistics of ready sandboxes that are wanted, with those of their containers.
    pub(crate) async fn stats_of_sandboxes(
        &self,
        wanted: impl Fn(&Sandbox) -> bool,
    ) -> Result<Vec<cri::PodSandboxStats>, Status> {
        let found: Vec<_> = {
            let state = self.state();
            let ready = |sandbox: &&Sandbox| sandbox.state() == cri::PodSandboxState::SandboxReady;
            let found = state.sandboxes.values().filter(ready).filter(|sandbox| wanted(sandbox));
            let link = |sandbox: &Sandbox| {
                let owner = &self.config().owner;
                sandbox.record.address.map(|_| network::pod::link_name(owner, &sandbox.record.id))
            };
            let facts =
                |sandbox: &Sandbox| (sandbox_attributes(sandbox), sandbox.record.cgroup_parent.clone(), link(sandbox));
            found.map(facts).collect()
        };
        let mut all = Vec::new();
        for (attributes, group, link) in found {
            let id = attributes.id.clone();
            let containers = self.stats_of_containers(|container| container.record.sandbox == id).await?;
            let (usage, traffic) = blocking(move || Ok((cgroup::usage(&group), traffic(link)))).await?;
            all.push(cri::PodSandboxStats {
                attributes: Some(attributes),
                linux: Some(linux_stats(&usage, traffic, containers)),
            });
        }
        Ok(all)
    }
}

fn sandbox_attributes(sandbox: &Sandbox) -> cri::PodSandboxAttributes {
    cri::PodSandboxAttributes {
        id: sandbox.record.id.clone(),
        metadata: Some(report::sandbox_metadata(sandbox)),
        labels: sandbox.record.labels.clone(),
        annotations: sandbox.record.annotations.clone(),
    }
}

/// Nothing for a pod in the host's network, whose traffic is not its own, and for one that just went.
fn traffic(link: Option<String>) -> Option<cri::NetworkUsage> {
    let traffic = network::pod::traffic(&link?).ok()??;
    let interface = cri::NetworkInterfaceUsage {
        name: network::pod::INNER_LINK.into(),
        rx_bytes: number(traffic.received_bytes),
        rx_errors: number(traffic.received_errors),
        tx_bytes: number(traffic.sent_bytes),
        tx_errors: number(traffic.sent_errors),
    };
    Some(cri::NetworkUsage { timestamp: now(), default_interface: Some(interface), interfaces: Vec::new() })
}

fn linux_stats(
    usage: &Usage,
    network: Option<cri::NetworkUsage>,
    containers: Vec<cri::ContainerStats>,
) -> cri::LinuxPodSandboxStats {
    let timestamp = now();
    cri::LinuxPodSandboxStats {
        cpu: Some(cpu(usage, timestamp)),
        memory: Some(memory(usage, timestamp)),
        network,
        process: Some(cri::ProcessUsage { timestamp, process_count: number(usage.processes) }),
        containers,
        io: None,
    }
}
