//! Service `kube-system/kube-dns`, and the slice of the addresses at which the nodes answer: each node's agent has a
//! DNS server at the first address of the node's pod range.

use control::{Controller, Heard, Plan, View, Watch};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, Node, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use machinery::key::Key;
use serde_json::{Value, json};

use super::ensure;
use crate::namespace::is_active;
use crate::node_ipam::{Range, range_of};
use crate::node_lifecycle::condition;

const NAMESPACE: &str = "kube-system";
const NAME: &str = "kube-dns";
const SELECTOR: &str = "metadata.namespace=kube-system,metadata.name=kube-dns";
const PORT: u16 = 53;

pub struct ClusterDns {
    /// The Service's ClusterIP.
    pub address: String,
}

impl Controller for ClusterDns {
    fn name(&self) -> &'static str {
        "cluster-dns"
    }

    fn account(&self) -> &'static str {
        super::api_service::SERVER
    }

    fn watches(&self) -> Vec<Watch> {
        let node_matters = |old: Option<&Node>, new: Option<&Node>| match (old, new) {
            (Some(old), Some(new)) => range_of(old) != range_of(new) || is_ready(old) != is_ready(new),
            _ => true,
        };
        vec![
            Watch::of::<Namespace>().keys(|namespace: &Namespace, _| {
                let ours = namespace.metadata.name.as_deref() == Some(NAMESPACE);
                ours.then(Key::default).into_iter().collect()
            }),
            Watch::of::<Service>().fields(SELECTOR).keys(|_: &Service, _| vec![Key::default()]),
            Watch::of::<EndpointSlice>().fields(SELECTOR).keys(|_: &EndpointSlice, _| vec![Key::default()]),
            Watch::of::<Node>().keys(|_: &Node, _| vec![Key::default()]).when::<Node>(node_matters),
        ]
    }

    fn first_keys(&self) -> Vec<Key> {
        vec![Key::default()]
    }

    fn reconcile(&self, _: &Key, view: &View<'_>, _: &Heard, _: Timestamp) -> Plan {
        let mut plan = Plan::idle();
        if !view.get::<Namespace>("", NAMESPACE).is_some_and(|namespace| is_active(&namespace)) {
            return plan;
        }
        let service = view.get::<Service>(NAMESPACE, NAME);
        let slice = view.get::<EndpointSlice>(NAMESPACE, NAME);
        let endpoints: Vec<Value> = view.all::<Node>().iter().filter_map(|node| endpoint(node)).collect();
        plan.steps.extend(ensure(service.as_deref(), self.service()).map(|write| control::Step::One(Box::new(write))));
        plan.steps.extend(ensure(slice.as_deref(), tree(&endpoints)).map(|write| control::Step::One(Box::new(write))));
        plan
    }
}

fn is_ready(node: &Node) -> bool {
    condition(node, "Ready").is_some_and(|ready| ready.status == "True")
}

/// A node that is not ready may still answer: it is the last resort.
fn endpoint(node: &Node) -> Option<Value> {
    let gateway = Range::parse(&range_of(node)?)?.address(1).to_string();
    let ready = is_ready(node);
    Some(json!({
        "addresses": [gateway],
        "conditions": { "ready": ready, "serving": ready, "terminating": false },
        "nodeName": node.metadata.name,
    }))
}

fn tree(endpoints: &[Value]) -> Value {
    json!({
        "metadata": { "name": NAME, "namespace": NAMESPACE, "labels": {
            "kubernetes.io/service-name": NAME, "endpointslice.kubernetes.io/managed-by": "kybern",
        } },
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": [
            { "name": "dns", "port": PORT, "protocol": "UDP" },
            { "name": "dns-tcp", "port": PORT, "protocol": "TCP" },
        ],
    })
}

impl ClusterDns {
    fn service(&self) -> Value {
        json!({
            "metadata": { "name": NAME, "namespace": NAMESPACE, "labels": {
                "k8s-app": "kube-dns", "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS",
            } },
            "spec": {
                "type": "ClusterIP",
                "clusterIP": self.address,
                "ports": [
                    { "name": "dns", "port": PORT, "protocol": "UDP", "targetPort": PORT },
                    { "name": "dns-tcp", "port": PORT, "protocol": "TCP", "targetPort": PORT },
                ],
            },
        })
    }
}
