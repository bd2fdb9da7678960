//! EndpointSlices of Endpoints that were made by hand, for Services without a selector.
//!
//! Keys are Endpoints (and Services of the same name). Source:
//! <https://kubernetes.io/docs/concepts/services-networking/service/#endpointslice-mirroring>.

use std::collections::BTreeMap;

use control::{Controller, Heard, Plan, Target, View, Watch, Write};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{EndpointAddress, EndpointSubset, Endpoints, Service};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use machinery::key::Key;
use serde_json::json;

use super::endpoints::LEADER;
use super::family_of;
use super::pack::{Common, Group, pack};
use super::slices::{MANAGED_BY, SERVICE_NAME, SLICES_BY_SERVICE};
use crate::owner::controller_reference;

const MANAGER: &str = "endpointslicemirroring-controller.k8s.io";
const SKIP: &str = "endpointslice.kubernetes.io/skip-mirror";
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Addresses of one subset that are mirrored.
const SUBSET_MAX: usize = 1000;

pub struct EndpointsMirror;

impl Controller for EndpointsMirror {
    fn name(&self) -> &'static str {
        "endpointslicemirroring"
    }

    fn account(&self) -> &'static str {
        "endpointslicemirroring-controller"
    }

    fn component(&self) -> &'static str {
        "endpoint-slice-mirroring-controller"
    }

    fn watches(&self) -> Vec<Watch> {
        vec![
            Watch::of::<Endpoints>().own::<Endpoints>(),
            Watch::of::<Service>().own::<Service>(),
            Watch::of::<EndpointSlice>().index(&SLICES_BY_SERVICE).keys(|slice: &EndpointSlice, _| {
                let labels = slice.metadata.labels.as_ref();
                let name = labels.and_then(|labels| labels.get(SERVICE_NAME)).filter(|_| is_managed(slice));
                let namespace = slice.metadata.namespace.as_deref().unwrap_or_default();
                name.map(|name| Key::new(namespace, name)).into_iter().collect()
            }),
        ]
    }

    fn reconcile(&self, key: &Key, view: &View<'_>, _: &Heard, _: Timestamp) -> Plan {
        let mut plan = Plan::idle();
        let mut slices = view.by(&SLICES_BY_SERVICE, &key.to_string());
        slices.retain(|slice| is_managed(slice) && slice.metadata.deletion_timestamp.is_none());
        let endpoints = view.get::<Endpoints>(&key.namespace, &key.name).filter(|endpoints| is_mirrored(endpoints));
        let service = view.get::<Service>(&key.namespace, &key.name).filter(|service| has_no_selector(service));
        match (endpoints, service) {
            (Some(endpoints), Some(_)) => {
                let groups = groups(&endpoints);
                // Endpoints without an address have no slices.
                plan.burst(pack(groups, &[], slices, &common(&endpoints)));
            }
            _ => plan.burst(slices.iter().map(|slice| Write::delete(Target::of(&**slice))).collect()),
        }
        plan
    }
}

fn is_managed(slice: &EndpointSlice) -> bool {
    slice.metadata.labels.as_ref().and_then(|labels| labels.get(MANAGED_BY)).is_some_and(|by| by == MANAGER)
}

fn is_mirrored(endpoints: &Endpoints) -> bool {
    let meta = &endpoints.metadata;
    let skips = meta.labels.as_ref().and_then(|labels| labels.get(SKIP)).is_some_and(|skip| skip == "true");
    let is_lock = meta.annotations.as_ref().is_some_and(|annotations| annotations.contains_key(LEADER));
    !skips && !is_lock && meta.deletion_timestamp.is_none()
}

fn has_no_selector(service: &Service) -> bool {
    let selector = service.spec.as_ref().and_then(|spec| spec.selector.as_ref());
    selector.is_none_or(|selector| selector.is_empty()) && service.metadata.deletion_timestamp.is_none()
}

fn common(endpoints: &Endpoints) -> Common {
    let meta = &endpoints.metadata;
    let name = meta.name.clone().unwrap_or_default();
    let mut labels = meta.labels.clone().unwrap_or_default();
    labels.insert(SERVICE_NAME.into(), name.clone());
    labels.insert(MANAGED_BY.into(), MANAGER.into());
    let annotations = meta.annotations.iter().flatten().filter(|(key, _)| *key != LAST_APPLIED);
    Common {
        namespace: meta.namespace.clone().unwrap_or_default(),
        prefix: format!("{name}-"),
        labels,
        annotations: annotations.map(|(key, value)| (key.clone(), value.clone())).collect(),
        owner: controller_reference(endpoints),
    }
}

fn groups(endpoints: &Endpoints) -> Vec<Group> {
    let mut groups: BTreeMap<(String, String), Group> = BTreeMap::new();
    for subset in endpoints.subsets.iter().flatten() {
        let ports = ports(subset);
        let ready = subset.addresses.iter().flatten().map(|address| (address, true));
        let not_ready = subset.not_ready_addresses.iter().flatten().map(|address| (address, false));
        for (address, ready) in ready.chain(not_ready).take(SUBSET_MAX) {
            let family = family_of(&address.ip).to_owned();
            let id = (family.clone(), json!(ports).to_string());
            let fresh = || Group { family, ports: ports.clone(), endpoints: Vec::new() };
            groups.entry(id).or_insert_with(fresh).endpoints.push(endpoint(address, ready));
        }
    }
    groups.into_values().collect()
}

fn ports(subset: &EndpointSubset) -> Vec<EndpointPort> {
    let ports = subset.ports.iter().flatten();
    ports
        .map(|port| EndpointPort {
            name: Some(port.name.clone().unwrap_or_default()),
            port: Some(port.port),
            protocol: Some(port.protocol.clone().unwrap_or_else(|| "TCP".into())),
            app_protocol: port.app_protocol.clone(),
        })
        .collect()
}

fn endpoint(address: &EndpointAddress, ready: bool) -> Endpoint {
    Endpoint {
        addresses: vec![address.ip.clone()],
        conditions: Some(EndpointConditions { ready: Some(ready), ..EndpointConditions::default() }),
        hostname: address.hostname.clone(),
        node_name: address.node_name.clone(),
        target_ref: address.target_ref.clone(),
        ..Endpoint::default()
    }
}
