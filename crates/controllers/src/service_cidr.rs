//! ServiceCIDRs say that they are ready, and stay until no Service uses them; every ClusterIP has its IPAddress.
//!
//! Keys are ServiceCIDRs (without a namespace, as they are) and IPAddresses under the namespace `ip`, which no object
//! has: both are cluster-scoped. Source: <https://kubernetes.io/docs/tasks/network/extend-service-ip-ranges/>.

use control::{Ask, Controller, Heard, Index, Live, Plan, Target, View, Watch, Write};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::networking::v1::{IPAddress, ServiceCIDR};
use machinery::key::Key;
use serde_json::json;

use crate::node_ipam::Range;

const FINALIZER: &str = "networking.k8s.io/service-cidr-finalizer";
const IP: &str = "ip";
const FAMILY: &str = "ipaddress.kubernetes.io/ip-family";
const MANAGED_BY: &str = "ipaddress.kubernetes.io/managed-by";
const MANAGER: &str = "ipallocator.k8s.io";

/// Services by each of their ClusterIPs.
static BY_IP: Index<Service> = Index { name: "services-by-ip", values: ips };

pub struct ServiceCidrs;

impl Controller for ServiceCidrs {
    fn name(&self) -> &'static str {
        "service-cidr"
    }

    fn account(&self) -> &'static str {
        "service-cidrs-controller"
    }

    fn watches(&self) -> Vec<Watch> {
        vec![
            Watch::of::<ServiceCIDR>().own::<ServiceCIDR>(),
            Watch::of::<IPAddress>().keys(|_: &IPAddress, view| {
                let leaving = view.all::<ServiceCIDR>().into_iter().filter(|c| c.metadata.deletion_timestamp.is_some());
                leaving.map(|cidr| control::watch::own_key(&*cidr)).collect()
            }),
        ]
    }

    fn reconcile(&self, key: &Key, view: &View<'_>, heard: &Heard, now: Timestamp) -> Plan {
        let Some(cidr) = view.get::<ServiceCIDR>("", &key.name) else { return Plan::idle() };
        let mut plan = Plan::idle();
        let mut finalizers = cidr.metadata.finalizers.clone().unwrap_or_default();
        let held = finalizers.iter().any(|finalizer| finalizer == FINALIZER);
        if cidr.metadata.deletion_timestamp.is_none() {
            if !held {
                finalizers.push(FINALIZER.into());
                let tree = json!({ "metadata": { "finalizers": finalizers } });
                plan.write(Write::patch(Target::exactly(&*cidr), tree));
            } else if !is_ready(&cidr) {
                let ready = condition("True", "", "Kubernetes Service CIDR is ready", now);
                let target = Target::exactly(&*cidr).subresource("status");
                plan.write(Write::patch(target, json!({ "status": { "conditions": [ready] } })));
            }
            return plan;
        }
        if !held || is_used(&cidr, view) {
            return plan;
        }
        let ask = Ask::list(control::Resource::of::<IPAddress>(), "");
        let Some(live) = heard.listed(&ask) else { return Plan::ask(vec![ask]) };
        let names = live.iter().filter_map(|tree| tree["metadata"]["name"].as_str());
        if !names.into_iter().any(|ip| contains(&cidr, ip)) {
            finalizers.retain(|finalizer| finalizer != FINALIZER);
            plan.write(Write::patch(Target::exactly(&*cidr), json!({ "metadata": { "finalizers": finalizers } })));
        }
        plan
    }
}

fn condition(status: &str, reason: &str, message: &str, now: Timestamp) -> serde_json::Value {
    let time = machinery::time::format(now);
    json!({ "type": "Ready", "status": status, "reason": reason, "message": message, "lastTransitionTime": time })
}

fn is_ready(cidr: &ServiceCIDR) -> bool {
    let conditions = cidr.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

fn is_used(cidr: &ServiceCIDR, view: &View<'_>) -> bool {
    let addresses = view.all::<IPAddress>();
    addresses.iter().any(|address| contains(cidr, address.metadata.name.as_deref().unwrap_or_default()))
}

/// IPv6 ranges are taken for used: better kept than lost.
fn contains(cidr: &ServiceCIDR, ip: &str) -> bool {
    let ranges = cidr.spec.as_ref().and_then(|spec| spec.cidrs.as_ref());
    let Some(ip) = Range::parse(&format!("{ip}/32")) else { return true };
    ranges.into_iter().flatten().any(|range| Range::parse(range).is_none_or(|range| range.overlaps(&ip)))
}

/// Puts IPAddresses right where they and the Services disagree.
pub struct IpAddressRepair;

impl Controller for IpAddressRepair {
    fn name(&self) -> &'static str {
        "ip-address-repair"
    }

    fn account(&self) -> &'static str {
        crate::well_known::SERVER
    }

    fn watches(&self) -> Vec<Watch> {
        vec![
            Watch::of::<Service>()
                .index(&BY_IP)
                .keys(|service: &Service, _| ips(service).iter().map(|ip| Key::new(IP, ip)).collect())
                .when::<Service>(|old, new| old.zip(new).is_none_or(|(old, new)| ips(old) != ips(new))),
            Watch::of::<IPAddress>().keys(|address: &IPAddress, _| {
                vec![Key::new(IP, address.metadata.name.as_deref().unwrap_or_default())]
            }),
        ]
    }

    fn reconcile(&self, key: &Key, view: &View<'_>, heard: &Heard, _: Timestamp) -> Plan {
        let mut plan = Plan::idle();
        let service = view.by::<Service>(&BY_IP, &key.name).into_iter().next();
        match (view.get::<IPAddress>("", &key.name), service) {
            (None, Some(service)) => plan.write(Write::create::<IPAddress>(tree(&key.name, &service))),
            (Some(address), None) if is_managed(&address) => {
                let parent = &address.spec.parent_ref;
                let (namespace, name) = (parent.namespace.as_deref().unwrap_or_default(), parent.name.as_str());
                match heard.live::<Service>(namespace, name) {
                    Live::Unasked => return Plan::ask(vec![Ask::get::<Service>(namespace, name)]),
                    Live::Present(live) if ips(&live).iter().any(|ip| **ip == *key.name) => {}
                    _ => plan.write(Write::delete(Target::of(&*address))),
                }
            }
            _ => {}
        }
        plan
    }
}

fn ips(service: &Service) -> Vec<String> {
    let Some(spec) = &service.spec else { return Vec::new() };
    let mut ips = spec.cluster_ips.clone().unwrap_or_default();
    if ips.is_empty() {
        ips.extend(spec.cluster_ip.clone());
    }
    ips.retain(|ip| !ip.is_empty() && ip != "None");
    ips
}

fn is_managed(address: &IPAddress) -> bool {
    address.metadata.labels.as_ref().and_then(|labels| labels.get(MANAGED_BY)).is_some_and(|by| by == MANAGER)
}

fn tree(ip: &str, service: &Service) -> serde_json::Value {
    let family = if ip.contains(':') { "IPv6" } else { "IPv4" };
    json!({
        "metadata": { "name": ip, "labels": { FAMILY: family, MANAGED_BY: MANAGER } },
        "spec": { "parentRef": {
            "group": "", "resource": "services",
            "namespace": service.metadata.namespace, "name": service.metadata.name,
        } },
    })
}
