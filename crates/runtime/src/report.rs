//! Sandboxes and containers in the CRI's words. Pure: state in, messages out.

use rpc::cri;

use crate::record::{Mount, Namespaces, Resources, Status};
use crate::state::{Container, Sandbox};

pub fn sandbox_metadata(sandbox: &Sandbox) -> cri::PodSandboxMetadata {
    let record = &sandbox.record;
    cri::PodSandboxMetadata {
        name: record.name.clone(),
        uid: record.uid.clone(),
        namespace: record.namespace.clone(),
        attempt: record.attempt,
    }
}

pub fn sandbox_status(sandbox: &Sandbox) -> cri::PodSandboxStatus {
    let record = &sandbox.record;
    let ip = record.address.map(|address| address.to_string()).unwrap_or_default();
    cri::PodSandboxStatus {
        id: record.id.clone(),
        metadata: Some(sandbox_metadata(sandbox)),
        state: sandbox.state().into(),
        created_at: record.created_at,
        network: Some(cri::PodSandboxNetworkStatus { ip, additional_ips: Vec::new() }),
        linux: Some(cri::LinuxPodSandboxStatus {
            namespaces: Some(cri::Namespace { options: Some(namespaces(&record.namespaces)) }),
        }),
        labels: record.labels.clone(),
        annotations: record.annotations.clone(),
        runtime_handler: String::new(),
    }
}

fn namespaces(modes: &Namespaces) -> cri::NamespaceOption {
    cri::NamespaceOption { network: modes.network, pid: modes.pid, ipc: modes.ipc, ..cri::NamespaceOption::default() }
}

pub fn sandbox_item(sandbox: &Sandbox) -> cri::PodSandbox {
    let record = &sandbox.record;
    cri::PodSandbox {
        id: record.id.clone(),
        metadata: Some(sandbox_metadata(sandbox)),
        state: sandbox.state().into(),
        created_at: record.created_at,
        labels: record.labels.clone(),
        annotations: record.annotations.clone(),
        runtime_handler: String::new(),
    }
}

pub fn container_metadata(container: &Container) -> cri::ContainerMetadata {
    cri::ContainerMetadata { name: container.record.name.clone(), attempt: container.record.attempt }
}

fn image_spec(container: &Container) -> cri::ImageSpec {
    cri::ImageSpec {
        image: container.record.image.clone(),
        user_specified_image: container.record.user_specified_image.clone(),
        ..cri::ImageSpec::default()
    }
}

pub fn container_item(container: &Container) -> cri::Container {
    let record = &container.record;
    cri::Container {
        id: record.id.clone(),
        pod_sandbox_id: record.sandbox.clone(),
        metadata: Some(container_metadata(container)),
        image: Some(image_spec(container)),
        image_ref: record.image_ref.clone(),
        state: container.state().into(),
        created_at: record.created_at,
        labels: record.labels.clone(),
        annotations: record.annotations.clone(),
        image_id: record.image_id.clone(),
    }
}

pub fn container_status(container: &Container) -> cri::ContainerStatus {
    let record = &container.record;
    let (started_at, finished_at, exit_code, reason, message) = match &record.status {
        Status::Created => (0, 0, 0, "", ""),
        Status::Running { started_at, .. } => (*started_at, 0, 0, "", ""),
        Status::Exited { started_at, finished_at, exit_code, reason, message } => {
            (*started_at, *finished_at, *exit_code, reason.as_str(), message.as_str())
        }
    };
    let user = cri::LinuxContainerUser {
        uid: record.user.uid.into(),
        gid: record.user.gid.into(),
        supplemental_groups: record.user.groups.iter().map(|group| i64::from(*group)).collect(),
    };
    let signal = cri::Signal::from_str_name(&record.stop_signal).unwrap_or_default();
    cri::ContainerStatus {
        id: record.id.clone(),
        metadata: Some(container_metadata(container)),
        state: container.state().into(),
        created_at: record.created_at,
        started_at,
        finished_at,
        exit_code,
        image: Some(image_spec(container)),
        image_ref: record.image_ref.clone(),
        reason: reason.to_string(),
        message: message.to_string(),
        labels: record.labels.clone(),
        annotations: record.annotations.clone(),
        mounts: record.mounts.iter().map(mount).collect(),
        log_path: record.log_path.clone(),
        resources: Some(cri::ContainerResources { linux: Some(resources(&record.resources)) }),
        image_id: record.image_id.clone(),
        user: Some(cri::ContainerUser { linux: Some(user) }),
        stop_signal: signal.into(),
    }
}

fn mount(mount: &Mount) -> cri::Mount {
    cri::Mount {
        container_path: mount.container_path.clone(),
        host_path: mount.host_path.clone(),
        readonly: mount.readonly,
        propagation: mount.propagation,
        ..cri::Mount::default()
    }
}

fn resources(wanted: &Resources) -> cri::LinuxContainerResources {
    cri::LinuxContainerResources {
        cpu_period: wanted.cpu_period,
        cpu_quota: wanted.cpu_quota,
        cpu_shares: wanted.cpu_shares,
        memory_limit_in_bytes: wanted.memory_limit_in_bytes,
        oom_score_adj: wanted.oom_score_adj,
        cpuset_cpus: wanted.cpuset_cpus.clone(),
        cpuset_mems: wanted.cpuset_mems.clone(),
        unified: wanted.unified.clone(),
        ..cri::LinuxContainerResources::default()
    }
}

/// An image in the CRI's words.
pub fn image(image: &image::Image) -> cri::Image {
    let (user, _) = container::user::parse(&image.config.user);
    let uid = user.as_deref().map_or(Some(0), |user| user.parse().ok());
    cri::Image {
        id: image.id.clone(),
        repo_tags: image.tags.clone(),
        repo_digests: image.digests.clone(),
        size: image.size_bytes.max(1),
        uid: uid.map(|value| cri::Int64Value { value }),
        username: if uid.is_none() { user.unwrap_or_default() } else { String::new() },
        spec: None,
        pinned: image.pinned,
    }
}
