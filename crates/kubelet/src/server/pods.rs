//! Which pods are here, and which container of them is meant.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod};
use rpc::cri::{ContainerFilter, ContainerStateValue, ListContainersRequest};
use serde_json::{Value, json};
use tonic::Request;

use super::route::Target;
use super::{Answer, json};
use crate::drive::context::Context;
use crate::plan::config::labels;
use crate::plan::spec;

/// The pods as the API server has them, with the kubelet's last statuses as far as it has sent them.
pub fn all(cx: &Context) -> Answer {
    let items: Vec<Value> =
        cx.pods.snapshot().iter().filter_map(|(_, pod)| serde_json::to_value(pod.as_ref()).ok()).collect();
    json(&json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items}))
}

/// The pods that have a running container, as the runtime sees them.
pub async fn running(cx: &Context) -> Answer {
    let running = Some(ContainerStateValue { state: rpc::cri::ContainerState::ContainerRunning as i32 });
    let filter = Some(ContainerFilter { state: running, ..ContainerFilter::default() });
    let listed = cx.runtime.service.list_containers(Request::new(ListContainersRequest { filter })).await;
    let containers = match listed {
        Ok(listed) => listed.into_inner().containers,
        Err(e) => return super::text(http::StatusCode::INTERNAL_SERVER_ERROR, e.message().to_owned()),
    };
    let mut pods: BTreeMap<[String; 3], Vec<Value>> = BTreeMap::new();
    for c in containers {
        let label = |key: &str| c.labels.get(key).cloned().unwrap_or_default();
        let key = [label(labels::POD_NAMESPACE), label(labels::POD_NAME), label(labels::POD_UID)];
        let image = c.image.as_ref().map(|i| i.image.clone()).unwrap_or_default();
        pods.entry(key)
            .or_default()
            .push(json!({"name": label(labels::CONTAINER_NAME), "image": image, "resources": {}}));
    }
    let pods = pods.into_iter().map(|([namespace, name, uid], containers)| {
        json!({"metadata": {"name": name, "namespace": namespace, "uid": uid}, "spec": {"containers": containers}, "status": {}})
    });
    json(&json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": pods.collect::<Vec<_>>()}))
}

/// The pod that a request means.
pub fn find(cx: &Context, target: &Target) -> Option<Arc<Pod>> {
    let pod = cx.pods.get(&target.namespace, &target.pod)?;
    (target.uid.is_empty() || spec::uid(&pod) == target.uid).then_some(pod)
}

fn bare(id: Option<&String>) -> Option<String> {
    let id = id?;
    let id = id.split_once("://").map_or(id.as_str(), |(_, bare)| bare);
    Some(id.to_owned()).filter(|id| !id.is_empty())
}

/// The id of the container's running instance.
///
/// # Errors
/// Pod or container is not there, or does not run.
pub async fn running_id(cx: &Context, target: &Target) -> Result<String, String> {
    let pod = find(cx, target).ok_or_else(|| format!("pod {}/{} not found", target.namespace, target.pod))?;
    let name = &target.container;
    let observed = cx.runtime.observe(spec::uid(&pod), &[]).await.map_err(|e| e.message().to_owned())?;
    let found = observed.containers.into_iter().find(|c| c.name == *name && c.running());
    found.map(|c| c.id).ok_or_else(|| format!("container not found ({name:?})"))
}

/// The id of the container's instance whose log is meant.
///
/// # Errors
/// There is no log, in upstream's words.
pub fn log_id(pod: &Pod, name: &str, previous: bool) -> Result<String, String> {
    let full = spec::name(pod);
    let status = pod.status.as_ref();
    let lists = status.map(|s| [&s.container_statuses, &s.init_container_statuses, &s.ephemeral_container_statuses]);
    let found = lists.into_iter().flatten().flatten().flatten().find(|s| s.name == name);
    let Some(found) = found else { return Err(format!("container {name:?} in pod {full:?} is not available")) };
    let terminated = |s: &Option<ContainerState>| s.as_ref().and_then(|s| s.terminated.clone());
    let last = terminated(&found.last_state).and_then(|t| bare(t.container_id.as_ref()));
    if previous {
        return last.ok_or_else(|| format!("previous terminated container {name:?} in pod {full:?} not found"));
    }
    let state = found.state.clone().unwrap_or_default();
    if state.running.is_some() {
        return bare(found.container_id.as_ref())
            .ok_or_else(|| format!("container {name:?} in pod {full:?} is not available"));
    }
    if let Some(t) = state.terminated {
        let gone = || format!("container {name:?} in pod {full:?} is terminated");
        return bare(t.container_id.as_ref()).or(last).ok_or_else(gone);
    }
    last.ok_or_else(|| waits(found, full))
}

fn waits(status: &ContainerStatus, pod: &str) -> String {
    let name = &status.name;
    let waiting = status.state.as_ref().and_then(|s| s.waiting.as_ref());
    let why = match waiting.and_then(|w| w.reason.as_deref()) {
        Some("ErrImagePull") => "image can't be pulled",
        Some("ImagePullBackOff") => "trying and failing to pull image",
        Some(reason) => reason,
        None => return format!("container {name:?} in pod {pod:?} is waiting to start - no logs yet"),
    };
    format!("container {name:?} in pod {pod:?} is waiting to start: {why}")
}
