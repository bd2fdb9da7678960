//! What stands behind Services: which pods a Service selects, and how they become EndpointSlices and Endpoints.

pub mod endpoints;
pub mod mirror;
mod pack;
pub mod slices;

use std::sync::Arc;

use control::{Index, View};
use k8s_openapi::api::core::v1::{Container, Pod, Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use machinery::key::Key;

use crate::pods;

/// Pods by each of their labels in their namespace.
static PODS_BY_LABEL: Index<Pod> = Index {
    name: "pods-by-label",
    values: |pod| {
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        let labels = pod.metadata.labels.iter().flatten();
        labels.map(|(key, value)| label(namespace, key, value)).collect()
    },
};

/// Services by the first label of their selector in their namespace: a pod that is selected has it.
static BY_SELECTOR: Index<Service> = Index {
    name: "services-by-selector",
    values: |service| {
        let namespace = service.metadata.namespace.as_deref().unwrap_or_default();
        let first = selector(service).and_then(|selector| selector.first_key_value());
        first.map(|(key, value)| label(namespace, key, value)).into_iter().collect()
    },
};

type Labels = std::collections::BTreeMap<String, String>;

fn label(namespace: &str, key: &str, value: &str) -> String {
    format!("{namespace}/{key}={value}")
}

/// The selector of a Service whose endpoints are made from pods; an empty one selects nothing.
fn selector(service: &Service) -> Option<&Labels> {
    let spec = service.spec.as_ref()?;
    let external = spec.type_.as_deref() == Some("ExternalName");
    spec.selector.as_ref().filter(|selector| !external && !selector.is_empty())
}

/// The Services that select a pod.
fn services_of(pod: &Pod, view: &View<'_>) -> Vec<Key> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let labels = pod.metadata.labels.iter().flatten();
    let found = labels.flat_map(|(key, value)| view.by::<Service>(&BY_SELECTOR, &label(namespace, key, value)));
    let selecting = found.filter(|service| selects(service, pod));
    selecting.map(|service| control::watch::own_key(&*service)).collect()
}

fn selects(service: &Service, pod: &Pod) -> bool {
    let labels = pod.metadata.labels.as_ref();
    let has = |(key, value): (&String, &String)| labels.and_then(|labels| labels.get(key)) == Some(value);
    selector(service).is_some_and(|selector| selector.iter().all(has))
}

/// The pods that a Service selects, in the order of their names.
fn selected(service: &Service, view: &View<'_>) -> Vec<Arc<Pod>> {
    let namespace = service.metadata.namespace.as_deref().unwrap_or_default();
    let Some((key, value)) = selector(service).and_then(|selector| selector.first_key_value()) else {
        return Vec::new();
    };
    let candidates = view.by::<Pod>(&PODS_BY_LABEL, &label(namespace, key, value));
    candidates.into_iter().filter(|pod| selects(service, pod)).collect()
}

/// Whether a change of a pod can be seen from a Service.
fn pod_matters(old: Option<&Pod>, new: Option<&Pod>) -> bool {
    let (Some(old), Some(new)) = (old, new) else { return true };
    let status = |pod: &Pod| {
        pod.status.as_ref().map(|status| (status.pod_ip.clone(), status.pod_ips.clone(), status.phase.clone()))
    };
    pods::is_ready(old) != pods::is_ready(new)
        || old.metadata.labels != new.metadata.labels
        || old.metadata.deletion_timestamp.is_some() != new.metadata.deletion_timestamp.is_some()
        || pods::node_name(old) != pods::node_name(new)
        || status(old) != status(new)
}

/// The pod's number for a port of a Service: a number as it is, a name as the container's port is called.
fn find_port(pod: &Pod, port: &ServicePort) -> Option<i32> {
    let name = match port.target_port.as_ref() {
        None => return Some(port.port),
        Some(IntOrString::Int(0)) => return Some(port.port),
        Some(IntOrString::Int(number)) => return Some(*number),
        Some(IntOrString::String(name)) => name,
    };
    let spec = pod.spec.as_ref()?;
    let protocol = |protocol: &Option<String>| protocol.clone().unwrap_or_else(|| "TCP".into());
    let in_container = |container: &Container| {
        let ports = container.ports.iter().flatten();
        let found = ports
            .filter(|held| held.name.as_ref() == Some(name) && protocol(&held.protocol) == protocol(&port.protocol));
        found.map(|held| held.container_port).next()
    };
    let restartable = |container: &&Container| container.restart_policy.as_deref() == Some("Always");
    let sidecars = spec.init_containers.iter().flatten().filter(restartable);
    spec.containers.iter().chain(sidecars).find_map(in_container)
}

fn is_headless(spec: &ServiceSpec) -> bool {
    spec.cluster_ip.as_deref() == Some("None")
}

/// The host name that a pod has in the domain of a headless Service.
fn hostname(pod: &Pod, service: &Service) -> Option<String> {
    let spec = pod.spec.as_ref()?;
    let in_domain = spec.subdomain.is_some()
        && spec.subdomain == service.metadata.name
        && pod.metadata.namespace == service.metadata.namespace;
    spec.hostname.clone().filter(|hostname| in_domain && !hostname.is_empty())
}

/// The pod's addresses of a family: `IPv4` or `IPv6`.
fn addresses(pod: &Pod, family: &str) -> Vec<String> {
    let Some(status) = &pod.status else { return Vec::new() };
    let mut all: Vec<String> = status.pod_ips.iter().flatten().map(|ip| ip.ip.clone()).collect();
    if all.is_empty() {
        all.extend(status.pod_ip.clone());
    }
    all.retain(|ip| !ip.is_empty() && (family_of(ip) == family));
    all
}

fn family_of(ip: &str) -> &'static str {
    if ip.contains(':') { "IPv6" } else { "IPv4" }
}
