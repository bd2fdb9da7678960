//! The CRI config of a container.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Pod};
use rpc::cri::{
    ContainerConfig, ContainerMetadata, ImageSpec, KeyValue, LinuxContainerConfig, LinuxContainerSecurityContext, Mount,
};

use super::expand::expand;
use super::facts::Node;
use super::{labels, resources};

/// What the hands have made ready for a container before it is created.
pub struct Prepared {
    pub restarts: u32,
    /// The image as resolved by the runtime.
    pub image: String,
    pub environment: BTreeMap<String, String>,
    pub mounts: Vec<Mount>,
    pub security: LinuxContainerSecurityContext,
}

/// A container's log below the pod's log folder.
pub fn log_path(container: &str, restarts: u32) -> String {
    format!("{container}/{restarts}.log")
}

pub fn config(pod: &Pod, container: &Container, node: &Node, ready: Prepared) -> ContainerConfig {
    let known = |name: &str| ready.environment.get(name).cloned();
    let words = |list: &Option<Vec<String>>| list.iter().flatten().map(|w| expand(w, &known)).collect();
    let envs = ready.environment.iter().map(|(k, v)| KeyValue { key: k.clone(), value: v.clone() }).collect();
    let annotations = labels::annotations(pod, container, ready.restarts);
    ContainerConfig {
        metadata: Some(ContainerMetadata { name: container.name.clone(), attempt: ready.restarts }),
        image: Some(ImageSpec {
            image: ready.image.clone(),
            user_specified_image: container.image.clone().unwrap_or_default(),
            ..ImageSpec::default()
        }),
        command: words(&container.command),
        args: words(&container.args),
        working_dir: container.working_dir.clone().unwrap_or_default(),
        labels: labels::of_container(pod, container).into_iter().collect(),
        annotations: annotations.into_iter().collect(),
        log_path: log_path(&container.name, ready.restarts),
        stdin: container.stdin.unwrap_or(false),
        stdin_once: container.stdin_once.unwrap_or(false),
        tty: container.tty.unwrap_or(false),
        linux: Some(LinuxContainerConfig {
            resources: Some(resources::of_container(pod, container, node)),
            security_context: Some(ready.security),
        }),
        envs,
        mounts: ready.mounts,
        ..ContainerConfig::default()
    }
}
