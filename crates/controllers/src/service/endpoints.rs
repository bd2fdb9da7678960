//! Endpoints of Services with a selector: the older form of EndpointSlices, one object per Service.
//!
//! Keys are Services.

use std::collections::BTreeMap;

use control::{Ask, Controller, Heard, Live, Plan, Target, View, Watch, Write};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    EndpointAddress, EndpointPort, EndpointSubset, Endpoints, ObjectReference, Pod, Service, ServiceSpec,
};
use machinery::key::Key;
use machinery::patch::merge_diff;
use serde_json::{Value, json};

use super::slices::HEADLESS;
use super::{BY_SELECTOR, PODS_BY_LABEL, addresses, find_port, hostname, is_headless, selected, selector, services_of};
use crate::pods;

const MANAGED_BY: &str = "endpoints.kubernetes.io/managed-by";
const MANAGER: &str = "endpoint-controller";
/// More addresses are left out, and the object says so.
const ADDRESSES_MAX: usize = 1000;
const OVER_CAPACITY: &str = "endpoints.kubernetes.io/over-capacity";
/// Endpoints that were used as a lock are nobody's garbage.
pub const LEADER: &str = "control-plane.alpha.kubernetes.io/leader";

pub struct EndpointsOfServices;

impl Controller for EndpointsOfServices {
    fn name(&self) -> &'static str {
        "endpoints"
    }

    fn account(&self) -> &'static str {
        "endpoint-controller"
    }

    fn watches(&self) -> Vec<Watch> {
        vec![
            Watch::of::<Service>().index(&BY_SELECTOR).own::<Service>().timed(),
            Watch::of::<Pod>().index(&PODS_BY_LABEL).keys(services_of).when::<Pod>(super::pod_matters),
            Watch::of::<Endpoints>().own::<Endpoints>(),
        ]
    }

    fn reconcile(&self, key: &Key, view: &View<'_>, heard: &Heard, _: Timestamp) -> Plan {
        let held = view.get::<Endpoints>(&key.namespace, &key.name);
        let Some(service) = view.get::<Service>(&key.namespace, &key.name) else {
            return held.map(|held| without_service(&held, key, heard)).unwrap_or_default();
        };
        let mut plan = Plan::idle();
        let Some(spec) = service.spec.as_ref().filter(|_| selector(&service).is_some()) else { return plan };
        let (subsets, over) = subsets(&service, spec, view);
        let wanted = tree(&service, spec, &subsets, over);
        match held {
            None => {
                let mut tree = wanted;
                tree["metadata"]["name"] = json!(service.metadata.name);
                tree["metadata"]["namespace"] = json!(service.metadata.namespace);
                plan.write(Write::create::<Endpoints>(tree));
            }
            Some(held) => {
                let now = json!({
                    "metadata": {
                        "labels": held.metadata.labels.clone().unwrap_or_default(),
                        "annotations": over_capacity(&held),
                    },
                    "subsets": held.subsets.as_deref().unwrap_or_default(),
                });
                if now != wanted {
                    plan.write(Write::patch(Target::exactly(&*held), merge_diff(&now, &wanted)));
                }
            }
        }
        plan
    }
}

/// Endpoints whose Service went after they were made go too. Ones that were made before their Service wait for it.
fn without_service(held: &Endpoints, key: &Key, heard: &Heard) -> Plan {
    let annotations = held.metadata.annotations.as_ref();
    let is_lock = annotations.is_some_and(|annotations| annotations.contains_key(LEADER));
    let created = held.metadata.creation_timestamp.as_ref().map(|time| time.0);
    if is_lock || heard.changed::<Service>() <= created {
        return Plan::idle();
    }
    match heard.live::<Service>(&key.namespace, &key.name) {
        Live::Unasked => Plan::ask(vec![Ask::get::<Service>(&key.namespace, &key.name)]),
        Live::Present(_) => Plan::idle(),
        Live::Absent => {
            let mut plan = Plan::idle();
            plan.write(Write::delete(Target::of(held)));
            plan
        }
    }
}

fn over_capacity(held: &Endpoints) -> BTreeMap<String, String> {
    let annotations = held.metadata.annotations.iter().flatten();
    annotations.filter(|(key, _)| *key == OVER_CAPACITY).map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn tree(service: &Service, spec: &ServiceSpec, subsets: &[EndpointSubset], over: bool) -> Value {
    let mut labels = service.metadata.labels.clone().unwrap_or_default();
    labels.remove(HEADLESS);
    if is_headless(spec) {
        labels.insert(HEADLESS.into(), String::new());
    }
    labels.insert(MANAGED_BY.into(), MANAGER.into());
    let annotations = if over { json!({ OVER_CAPACITY: "truncated" }) } else { json!({}) };
    json!({ "metadata": { "labels": labels, "annotations": annotations }, "subsets": subsets })
}

/// Addresses with the same ports together, sorted; whether some were left out.
fn subsets(service: &Service, spec: &ServiceSpec, view: &View<'_>) -> (Vec<EndpointSubset>, bool) {
    let all = spec.publish_not_ready_addresses == Some(true);
    let family = match spec.ip_families.as_ref().and_then(|families| families.first()) {
        Some(family) => family.as_str(),
        None => "IPv4",
    };
    let mut by_ports: BTreeMap<String, EndpointSubset> = BTreeMap::new();
    let mut count = 0;
    for pod in selected(service, view) {
        let Some(ip) = addresses(&pod, family).into_iter().next() else { continue };
        if pods::is_terminal(&pod) || (pod.metadata.deletion_timestamp.is_some() && !all) {
            continue;
        }
        count += 1;
        if count > ADDRESSES_MAX {
            break;
        }
        let ports = ports(spec, &pod);
        if ports.is_empty() && !is_headless(spec) {
            continue;
        }
        let subset = by_ports.entry(json!(ports).to_string()).or_insert_with(|| EndpointSubset {
            ports: Some(ports).filter(|ports| !ports.is_empty()),
            ..EndpointSubset::default()
        });
        let ready = all || pods::is_ready(&pod);
        let list = if ready { &mut subset.addresses } else { &mut subset.not_ready_addresses };
        list.get_or_insert_default().push(address(&pod, service, ip));
    }
    let mut subsets: Vec<EndpointSubset> = by_ports.into_values().collect();
    for subset in &mut subsets {
        for list in [&mut subset.addresses, &mut subset.not_ready_addresses].into_iter().flatten() {
            list.sort_by_key(|address| (address.ip.clone(), address.target_ref.as_ref().and_then(|t| t.uid.clone())));
        }
    }
    (subsets, count > ADDRESSES_MAX)
}

fn ports(spec: &ServiceSpec, pod: &Pod) -> Vec<EndpointPort> {
    let found = spec.ports.iter().flatten().filter_map(|port| Some((port, find_port(pod, port)?)));
    found
        .map(|(port, number)| EndpointPort {
            name: port.name.clone(),
            port: number,
            protocol: Some(port.protocol.clone().unwrap_or_else(|| "TCP".into())),
            app_protocol: port.app_protocol.clone(),
        })
        .collect()
}

fn address(pod: &Pod, service: &Service, ip: String) -> EndpointAddress {
    EndpointAddress {
        ip,
        hostname: hostname(pod, service),
        node_name: Some(pods::node_name(pod).to_owned()).filter(|name| !name.is_empty()),
        target_ref: Some(ObjectReference {
            kind: Some("Pod".into()),
            namespace: pod.metadata.namespace.clone(),
            name: pod.metadata.name.clone(),
            uid: pod.metadata.uid.clone(),
            ..ObjectReference::default()
        }),
    }
}
