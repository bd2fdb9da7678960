//! EndpointSlices of Services with a selector.
//!
//! Source: <https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/>. Keys are Services. Nothing is
//! held back to be written together: a ready pod is in its slices with the next write.

use std::collections::BTreeMap;

use control::{Controller, Heard, Index, Plan, View, Watch};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, ObjectReference, Pod, Service, ServiceSpec};
use k8s_openapi::api::discovery::v1::{
    Endpoint, EndpointConditions, EndpointHints, EndpointPort, EndpointSlice, ForNode, ForZone,
};
use machinery::key::Key;
use serde_json::json;

use super::pack::{Common, Group, pack};
use super::{BY_SELECTOR, PODS_BY_LABEL, addresses, find_port, hostname, is_headless, selected, selector, services_of};
use crate::indexes::PODS_BY_NODE;
use crate::owner::controller_reference;
use crate::pods;

pub const SERVICE_NAME: &str = "kubernetes.io/service-name";
pub const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
pub const HEADLESS: &str = "service.kubernetes.io/headless";
const MANAGER: &str = "endpointslice-controller.k8s.io";
const ZONE: &str = "topology.kubernetes.io/zone";

/// Slices by their Service, of all managers.
pub static SLICES_BY_SERVICE: Index<EndpointSlice> = Index {
    name: "slices-by-service",
    values: |slice| service_of(slice).map(|key| key.to_string()).into_iter().collect(),
};

pub struct EndpointSlices;

impl Controller for EndpointSlices {
    fn name(&self) -> &'static str {
        "endpointslice"
    }

    fn account(&self) -> &'static str {
        "endpointslice-controller"
    }

    fn component(&self) -> &'static str {
        "endpoint-slice-controller"
    }

    fn watches(&self) -> Vec<Watch> {
        let zones_differ = |old: Option<&Node>, new: Option<&Node>| match (old, new) {
            (Some(old), Some(new)) => zone(old) != zone(new),
            _ => true,
        };
        vec![
            Watch::of::<Service>().index(&BY_SELECTOR).own::<Service>(),
            Watch::of::<Pod>()
                .index(&PODS_BY_LABEL)
                .index(&PODS_BY_NODE)
                .keys(services_of)
                .when::<Pod>(super::pod_matters),
            Watch::of::<Node>().keys(services_on).when::<Node>(zones_differ),
            Watch::of::<EndpointSlice>().index(&SLICES_BY_SERVICE).keys(|slice: &EndpointSlice, _| {
                is_managed(slice).then(|| service_of(slice)).flatten().into_iter().collect()
            }),
        ]
    }

    fn reconcile(&self, key: &Key, view: &View<'_>, _: &Heard, _: Timestamp) -> Plan {
        let mut plan = Plan::idle();
        let Some(service) = view.get::<Service>(&key.namespace, &key.name) else { return plan };
        let Some(spec) = &service.spec else { return plan };
        // One on its way out keeps its slices until the garbage collector takes them with it.
        if selector(&service).is_none() || service.metadata.deletion_timestamp.is_some() {
            return plan;
        }
        let families = families(spec);
        let groups = families.iter().flat_map(|family| groups(&service, spec, family, view)).collect();
        let mut slices = view.by(&SLICES_BY_SERVICE, &key.to_string());
        slices.retain(|slice| is_managed(slice) && slice.metadata.deletion_timestamp.is_none());
        plan.burst(pack(groups, &families, slices, &common(&service, spec)));
        plan
    }
}

fn service_of(slice: &EndpointSlice) -> Option<Key> {
    let name = slice.metadata.labels.as_ref()?.get(SERVICE_NAME)?;
    Some(Key::new(slice.metadata.namespace.as_deref().unwrap_or_default(), name))
}

fn is_managed(slice: &EndpointSlice) -> bool {
    slice.metadata.labels.as_ref().and_then(|labels| labels.get(MANAGED_BY)).is_some_and(|by| by == MANAGER)
}

fn zone(node: &Node) -> Option<&String> {
    node.metadata.labels.as_ref()?.get(ZONE)
}

/// The Services that select pods of a node.
fn services_on(node: &Node, view: &View<'_>) -> Vec<Key> {
    let pods = view.by::<Pod>(&PODS_BY_NODE, node.metadata.name.as_deref().unwrap_or_default());
    pods.iter().flat_map(|pod| services_of(pod, view)).collect()
}

fn families(spec: &ServiceSpec) -> Vec<String> {
    let families = spec.ip_families.clone().unwrap_or_default();
    match (families.is_empty(), spec.cluster_ip.as_deref()) {
        (false, _) => families,
        (true, Some(ip)) if ip.contains(':') => vec!["IPv6".into()],
        (true, _) => vec!["IPv4".into()],
    }
}

/// The Service's labels, and those by which slices are found.
fn common(service: &Service, spec: &ServiceSpec) -> Common {
    let mut labels = service.metadata.labels.clone().unwrap_or_default();
    let name = service.metadata.name.clone().unwrap_or_default();
    labels.remove(HEADLESS);
    if is_headless(spec) {
        labels.insert(HEADLESS.into(), String::new());
    }
    labels.insert(SERVICE_NAME.into(), name.clone());
    labels.insert(MANAGED_BY.into(), MANAGER.into());
    Common {
        namespace: service.metadata.namespace.clone().unwrap_or_default(),
        prefix: format!("{name}-"),
        labels,
        annotations: BTreeMap::new(),
        owner: controller_reference(service),
    }
}

/// The endpoints of a family by the ports that their pods have for the Service: names may mean different numbers.
fn groups(service: &Service, spec: &ServiceSpec, family: &str, view: &View<'_>) -> Vec<Group> {
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    for pod in selected(service, view) {
        let addresses = addresses(&pod, family);
        if addresses.is_empty() || pods::is_terminal(&pod) {
            continue;
        }
        let node = view.get::<Node>("", pods::node_name(&pod));
        let publishes_all = spec.publish_not_ready_addresses == Some(true);
        // Pods of a node that is gone are about to be; the change of the node brings us back.
        if node.is_none() && !publishes_all {
            continue;
        }
        let ports = ports(spec, &pod);
        let endpoint = endpoint(&pod, node.as_deref(), service, spec, addresses);
        let group = groups.entry(json!(ports).to_string());
        let group = group.or_insert_with(|| Group { family: family.into(), ports, endpoints: Vec::new() });
        group.endpoints.push(endpoint);
    }
    groups.into_values().collect()
}

fn ports(spec: &ServiceSpec, pod: &Pod) -> Vec<EndpointPort> {
    let found = spec.ports.iter().flatten().filter_map(|port| Some((port, find_port(pod, port)?)));
    found
        .map(|(port, number)| EndpointPort {
            name: Some(port.name.clone().unwrap_or_default()),
            port: Some(number),
            protocol: Some(port.protocol.clone().unwrap_or_else(|| "TCP".into())),
            app_protocol: port.app_protocol.clone(),
        })
        .collect()
}

fn endpoint(pod: &Pod, node: Option<&Node>, service: &Service, spec: &ServiceSpec, addresses: Vec<String>) -> Endpoint {
    let serving = pods::is_ready(pod);
    let terminating = pod.metadata.deletion_timestamp.is_some();
    let ready = spec.publish_not_ready_addresses == Some(true) || (serving && !terminating);
    let zone = node.and_then(zone).cloned();
    Endpoint {
        addresses,
        conditions: Some(EndpointConditions {
            ready: Some(ready),
            serving: Some(serving),
            terminating: Some(terminating),
        }),
        hostname: hostname(pod, service),
        hints: hints(spec, pod, zone.as_deref()),
        node_name: Some(pods::node_name(pod).to_owned()).filter(|name| !name.is_empty()),
        target_ref: Some(ObjectReference {
            kind: Some("Pod".into()),
            namespace: pod.metadata.namespace.clone(),
            name: pod.metadata.name.clone(),
            uid: pod.metadata.uid.clone(),
            ..ObjectReference::default()
        }),
        zone,
        ..Endpoint::default()
    }
}

/// For whom an endpoint is, where the Service prefers near ones.
fn hints(spec: &ServiceSpec, pod: &Pod, zone: Option<&str>) -> Option<EndpointHints> {
    let preference = spec.traffic_distribution.as_deref()?;
    let zones = zone.map(|zone| vec![ForZone { name: zone.into() }]);
    let nodes = Some(vec![ForNode { name: pods::node_name(pod).into() }]);
    match preference {
        "PreferClose" | "PreferSameZone" => {
            zones.map(|zones| EndpointHints { for_zones: Some(zones), for_nodes: None })
        }
        "PreferSameNode" => Some(EndpointHints { for_zones: zones, for_nodes: nodes }),
        _ => None,
    }
}
