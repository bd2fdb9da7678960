//! Service `default/kubernetes`: how pods reach the API server, with Endpoints and an EndpointSlice of its addresses.

use control::{Controller, Heard, Plan, View, Watch};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Endpoints, Namespace, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use machinery::key::Key;
use serde_json::json;

use super::ensure;
use crate::config::Config;
use crate::namespace::is_active;

/// Upstream's API server makes these objects itself, as this user.
pub const SERVER: &str = "system:apiserver";
const NAMESPACE: &str = "default";
const NAME: &str = "kubernetes";
const SELECTOR: &str = "metadata.namespace=default,metadata.name=kubernetes";

pub struct ApiService {
    pub config: Config,
}

impl Controller for ApiService {
    fn name(&self) -> &'static str {
        "kubernetes-service"
    }

    fn account(&self) -> &'static str {
        SERVER
    }

    fn watches(&self) -> Vec<Watch> {
        vec![
            Watch::of::<Namespace>().keys(|namespace: &Namespace, _| {
                let ours = namespace.metadata.name.as_deref() == Some(NAMESPACE);
                ours.then(Key::default).into_iter().collect()
            }),
            Watch::of::<Service>().fields(SELECTOR).keys(|_: &Service, _| vec![Key::default()]),
            Watch::of::<Endpoints>().fields(SELECTOR).keys(|_: &Endpoints, _| vec![Key::default()]),
            Watch::of::<EndpointSlice>().fields(SELECTOR).keys(|_: &EndpointSlice, _| vec![Key::default()]),
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
        let endpoints = view.get::<Endpoints>(NAMESPACE, NAME);
        let slice = view.get::<EndpointSlice>(NAMESPACE, NAME);
        let writes = [
            ensure(service.as_deref(), self.service()),
            ensure(endpoints.as_deref(), self.endpoints()),
            ensure(slice.as_deref(), self.slice()),
        ];
        writes.into_iter().flatten().for_each(|write| plan.write(write));
        plan
    }
}

impl ApiService {
    fn service(&self) -> serde_json::Value {
        json!({
            "metadata": {
                "name": NAME, "namespace": NAMESPACE,
                "labels": { "component": "apiserver", "provider": "kubernetes" },
            },
            "spec": {
                "type": "ClusterIP",
                "clusterIP": self.config.api_service_ip,
                "ports": [{ "name": "https", "port": 443, "protocol": "TCP", "targetPort": self.config.api_port }],
                "sessionAffinity": "None",
            },
        })
    }

    fn endpoints(&self) -> serde_json::Value {
        let addresses: Vec<_> = self.config.api_addresses.iter().map(|ip| json!({ "ip": ip })).collect();
        json!({
            "metadata": {
                "name": NAME, "namespace": NAMESPACE,
                "labels": { "endpointslice.kubernetes.io/skip-mirror": "true" },
            },
            "subsets": [{
                "addresses": addresses,
                "ports": [{ "name": "https", "port": self.config.api_port, "protocol": "TCP" }],
            }],
        })
    }

    fn slice(&self) -> serde_json::Value {
        let endpoint = |ip: &String| json!({ "addresses": [ip], "conditions": { "ready": true } });
        let endpoints: Vec<_> = self.config.api_addresses.iter().map(endpoint).collect();
        json!({
            "metadata": { "name": NAME, "namespace": NAMESPACE, "labels": { "kubernetes.io/service-name": NAME } },
            "addressType": "IPv4",
            "endpoints": endpoints,
            "ports": [{ "name": "https", "port": self.config.api_port, "protocol": "TCP" }],
        })
    }
}
