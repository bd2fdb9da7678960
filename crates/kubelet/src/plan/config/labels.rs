//! What the kubelet writes on sandboxes and containers, under upstream's names, to find it again after a restart.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Pod};

use crate::plan::spec;

pub const POD_NAME: &str = "io.kubernetes.pod.name";
pub const POD_NAMESPACE: &str = "io.kubernetes.pod.namespace";
pub const POD_UID: &str = "io.kubernetes.pod.uid";
pub const CONTAINER_NAME: &str = "io.kubernetes.container.name";

pub const HASH: &str = "io.kubernetes.container.hash";
pub const RESTART_COUNT: &str = "io.kubernetes.container.restartCount";
pub const TERMINATION_PATH: &str = "io.kubernetes.container.terminationMessagePath";
pub const TERMINATION_POLICY: &str = "io.kubernetes.container.terminationMessagePolicy";
const PRE_STOP: &str = "io.kubernetes.container.preStopHandler";
const PORTS: &str = "io.kubernetes.container.ports";
const DELETION_GRACE: &str = "io.kubernetes.pod.deletionGracePeriod";
pub const TERMINATION_GRACE: &str = "io.kubernetes.pod.terminationGracePeriod";

pub type Map = BTreeMap<String, String>;

/// Labels of a sandbox: the pod's own and its identity.
pub fn of_sandbox(pod: &Pod) -> Map {
    let mut out = pod.metadata.labels.clone().unwrap_or_default();
    identity(pod, &mut out);
    out
}

fn identity(pod: &Pod, out: &mut Map) {
    out.insert(POD_NAME.into(), spec::name(pod).into());
    out.insert(POD_NAMESPACE.into(), spec::namespace(pod).into());
    out.insert(POD_UID.into(), spec::uid(pod).into());
}

pub fn of_container(pod: &Pod, container: &Container) -> Map {
    let mut out = Map::new();
    identity(pod, &mut out);
    out.insert(CONTAINER_NAME.into(), container.name.clone());
    out
}

/// Annotations of a container: all that must survive a restart of the kubelet.
pub fn annotations(pod: &Pod, container: &Container, restarts: u32) -> Map {
    let mut out = Map::new();
    let path = container.termination_message_path.as_deref().unwrap_or("/dev/termination-log");
    let policy = container.termination_message_policy.as_deref().unwrap_or("File");
    out.insert(HASH.into(), spec::hash(container));
    out.insert(RESTART_COUNT.into(), restarts.to_string());
    out.insert(TERMINATION_PATH.into(), path.into());
    out.insert(TERMINATION_POLICY.into(), policy.into());
    if let Some(grace) = pod.metadata.deletion_grace_period_seconds {
        out.insert(DELETION_GRACE.into(), grace.to_string());
    }
    if let Some(grace) = spec::spec(pod).termination_grace_period_seconds {
        out.insert(TERMINATION_GRACE.into(), grace.to_string());
    }
    let pre_stop = container.lifecycle.as_ref().and_then(|l| l.pre_stop.as_ref());
    if let Some(json) = pre_stop.and_then(|h| serde_json::to_string(h).ok()) {
        out.insert(PRE_STOP.into(), json);
    }
    if let Some(json) = container.ports.as_ref().and_then(|p| serde_json::to_string(p).ok()) {
        out.insert(PORTS.into(), json);
    }
    out
}
