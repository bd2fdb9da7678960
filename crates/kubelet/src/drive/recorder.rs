//! Events of the kubelet: what it names, and how; told by the client's recorder, which never makes it wait.

use client::events::{Counted, Occurrence, Teller, recorder};
use client::{Client, World};
use k8s_openapi::api::core::v1::{Node, Pod};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::plan::spec;

/// Tells of pods and of the node. Cheap to clone.
#[derive(Clone)]
pub struct Recorder {
    events: client::events::Recorder,
    node: String,
}

/// Names the pod, or one of its containers.
fn pod_reference(pod: &Pod, container: Option<&str>) -> Value {
    let meta = &pod.metadata;
    let mut about = json!({
        "kind": "Pod",
        "apiVersion": "v1",
        "namespace": meta.namespace,
        "name": meta.name,
        "uid": meta.uid,
        "resourceVersion": meta.resource_version,
    });
    if let Some(name) = container {
        let init = spec::init_containers(pod).iter().any(|c| c.name == name);
        let list = if init { "initContainers" } else { "containers" };
        about["fieldPath"] = format!("spec.{list}{{{name}}}").into();
    }
    about
}

impl Recorder {
    /// The entrance and the task that writes, until the last entrance is dropped.
    pub fn new(client: Client, world: World, node: &str) -> (Self, impl Future<Output = ()> + Send + 'static + use<>) {
        let teller = Teller { component: "kubelet".into(), host: node.to_owned() };
        let (events, writing) = recorder(client, Counted::new(teller), world, CancellationToken::new());
        (Self { events, node: node.to_owned() }, writing)
    }

    /// `sort` is `Normal` or `Warning`.
    pub fn pod(
        &self,
        pod: &Pod,
        container: Option<&str>,
        sort: &'static str,
        reason: &str,
        message: impl Into<String>,
    ) {
        self.tell(pod_reference(pod, container), sort, reason, message.into());
    }

    pub fn node(&self, sort: &'static str, reason: &str, message: impl Into<String>) {
        // As upstream's kubelet, which knows its node by name only.
        let kind = <Node as k8s_openapi::Resource>::KIND;
        self.tell(json!({"kind": kind, "name": self.node, "uid": self.node}), sort, reason, message.into());
    }

    fn tell(&self, about: Value, sort: &str, reason: &str, message: String) {
        let (warning, reason) = (sort == "Warning", reason.to_owned());
        self.events.record(Occurrence { about, warning, reason, action: String::new(), message });
    }
}
