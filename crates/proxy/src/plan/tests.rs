use std::net::Ipv4Addr;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use machinery::key::Key;
use network::nft::Data;
use network::nft::Verdict;
use serde_json::json;

use super::*;

fn place() -> Place {
    Place { node: "n1".into(), pods: "10.244.0.0/16".parse().unwrap(), services: "10.96.0.0/16".parse().ok() }
}

fn name() -> Key {
    Key::new("d", "web")
}

fn service(spec: serde_json::Value) -> Option<Arc<ServiceFacts>> {
    let tree =
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "d"}, "spec": spec});
    ServiceFacts::of(&serde_json::from_value::<Service>(tree).unwrap()).map(Arc::new)
}

fn plain() -> Option<Arc<ServiceFacts>> {
    service(json!({"clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9"], "ports": [{"port": 80}]}))
}

/// Endpoints as `(last number of the address, node, ready, serving, terminating)`.
fn slice(endpoints: &[(u8, &str, bool, bool, bool)]) -> Arc<SliceFacts> {
    let endpoint = |&(last, node, ready, serving, terminating): &(u8, &str, bool, bool, bool)| {
        json!({"addresses": [format!("10.244.0.{last}")], "nodeName": node,
            "conditions": {"ready": ready, "serving": serving, "terminating": terminating}})
    };
    let tree = json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": "web-1", "namespace": "d", "labels": {"kubernetes.io/service-name": "web"}},
        "ports": [{"name": "", "port": 8080, "protocol": "TCP"}],
        "endpoints": endpoints.iter().map(endpoint).collect::<Vec<_>>()});
    Arc::new(SliceFacts::of(&serde_json::from_value::<EndpointSlice>(tree).unwrap()))
}

fn ready(last: &[u8]) -> Arc<SliceFacts> {
    slice(&last.iter().map(|last| (*last, "n1", true, true, false)).collect::<Vec<_>>())
}

fn index(facts: Option<Arc<ServiceFacts>>, slice: Arc<SliceFacts>) -> Index {
    let mut index = Index::new(place());
    index.apply_service(&name(), facts);
    index.apply_slice(&Key::new("d", "web-1"), slice);
    index
}

fn verdict(changes: &Changes, set: &str) -> Vec<Verdict> {
    let elements = changes.added_elements.get(set).into_iter().flatten();
    elements
        .map(|element| match &element.data {
            Data::Verdict(verdict) => verdict.clone(),
            other => panic!("{other:?}"),
        })
        .collect()
}

fn goto(chain: &str) -> Vec<Verdict> {
    vec![Verdict::Goto(chain.into())]
}

#[test]
fn a_plain_service_gets_one_chain_and_one_element_per_endpoint() {
    let changes = index(plain(), ready(&[2, 3, 4])).take();
    assert_eq!(verdict(&changes, table::SERVICE_IPS), goto("cluster-d/web/tcp"));
    assert_eq!(changes.added_elements[table::ENDPOINTS].len(), 3);
    assert_eq!(changes.added_elements[table::HAIRPINS].len(), 3);
    assert!(changes.new_chains.iter().eq(["cluster-d/web/tcp", "pick-3"]));
    assert!(!changes.added_elements.contains_key(table::UNSERVED_IPS));
}

#[test]
fn services_without_rules_have_none() {
    assert_eq!(service(json!({"clusterIP": "None", "ports": [{"port": 80}]})), None);
    assert_eq!(service(json!({"type": "ExternalName", "externalName": "a.b"})), None);
    assert_eq!(service(json!({"ports": [{"port": 80}]})), None);
    assert!(index(None, ready(&[2])).take().is_empty());
}

#[test]
fn nothing_changes_twice() {
    let mut index = index(plain(), ready(&[2, 3]));
    assert!(!index.take().is_empty());
    assert!(index.take().is_empty());
    index.apply_service(&name(), plain());
    index.apply_slice(&Key::new("d", "web-1"), ready(&[2, 3]));
    assert!(index.take().is_empty());
}

#[test]
fn everything_goes_with_the_service() {
    let mut index = index(plain(), ready(&[2, 3]));
    let added = index.take();
    index.delete_service(&name());
    let removed = index.take();
    assert_eq!(removed.removed_chains, added.new_chains);
    assert_eq!(removed.removed_elements, added.added_elements);
    assert!(removed.added_elements.is_empty() && removed.rules.is_empty());
    assert!(index.everything().is_empty());
}

#[test]
fn without_endpoints_connections_are_refused() {
    let mut index = index(plain(), ready(&[]));
    assert_eq!(verdict(&index.take(), table::UNSERVED_IPS), goto(table::REFUSE_CHAIN));
    index.apply_slice(&Key::new("d", "web-1"), ready(&[2]));
    let changes = index.take();
    assert_eq!(changes.removed_elements[table::UNSERVED_IPS].len(), 1);
    assert_eq!(verdict(&changes, table::SERVICE_IPS), goto("cluster-d/web/tcp"));
}

#[test]
fn serving_terminating_endpoints_stand_in_when_none_is_ready() {
    let both = slice(&[(2, "n1", true, true, false), (3, "n1", false, true, true)]);
    let mut index = index(plain(), both);
    assert_eq!(index.take().added_elements[table::HAIRPINS].len(), 1);
    let ending = slice(&[(2, "n1", false, false, true), (3, "n1", false, true, true), (4, "n1", false, true, false)]);
    index.apply_slice(&Key::new("d", "web-1"), ending);
    let changes = index.take();
    let pair = network::nft::Key::default().ipv4(Ipv4Addr::new(10, 244, 0, 3)).ipv4(Ipv4Addr::new(10, 244, 0, 3));
    assert_eq!(changes.added_elements[table::HAIRPINS][0].key, pair);
}

#[test]
fn local_policies_drop_what_only_others_could_answer() {
    let spec = json!({"clusterIP": "10.96.0.9", "internalTrafficPolicy": "Local", "ports": [{"port": 80}]});
    let elsewhere = slice(&[(2, "n2", true, true, false)]);
    let changes = index(service(spec), elsewhere.clone()).take();
    assert_eq!(verdict(&changes, table::UNSERVED_IPS), [Verdict::Drop]);
    let spec = json!({"clusterIP": "10.96.0.9", "type": "NodePort", "externalTrafficPolicy": "Local",
        "ports": [{"port": 80, "nodePort": 30080}]});
    let changes = index(service(spec), elsewhere).take();
    assert_eq!(verdict(&changes, table::NODE_PORTS), goto("external-d/web/tcp"));
    let external = &changes.rules["external-d/web/tcp"];
    assert_eq!(external.last().unwrap(), &[network::nft::Expression::Verdict(Verdict::Drop)]);
    assert!(changes.rules.contains_key("cluster-d/web/tcp") && !changes.rules.contains_key("local-d/web/tcp"));
}

#[test]
fn load_balancer_and_external_addresses_are_served() {
    let tree = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "d"},
        "spec": {"type": "LoadBalancer", "clusterIP": "10.96.0.9", "externalIPs": ["192.0.2.9"],
            "loadBalancerSourceRanges": ["198.51.100.0/24 "], "ports": [{"port": 80, "nodePort": 30080}]},
        "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.8"}, {"ip": "192.0.2.7", "ipMode": "Proxy"}]}}});
    let facts = ServiceFacts::of(&serde_json::from_value::<Service>(tree).unwrap()).map(Arc::new);
    let changes = index(facts, ready(&[2])).take();
    assert_eq!(changes.added_elements[table::SERVICE_IPS].len(), 3);
    assert_eq!(verdict(&changes, table::FIREWALL_IPS), goto("firewall-d/web/tcp"));
    assert_eq!(changes.rules["firewall-d/web/tcp"].len(), 2);
}

#[test]
fn affinity_numbers_stay_with_their_endpoint_and_are_never_used_again() {
    let spec = json!({"clusterIP": "10.96.0.9", "sessionAffinity": "ClientIP", "ports": [{"port": 80}]});
    let mut index = index(service(spec), ready(&[2, 3]));
    let numbers =
        |changes: &Changes| changes.added_elements.get(table::AFFINITY_ENDPOINTS).cloned().unwrap_or_default();
    let first = numbers(&index.take());
    assert_eq!(first.len(), 2);
    index.apply_slice(&Key::new("d", "web-1"), ready(&[3]));
    assert!(numbers(&index.take()).is_empty());
    index.apply_slice(&Key::new("d", "web-1"), ready(&[2, 3]));
    let again = numbers(&index.take());
    assert_eq!(again.len(), 1);
    assert!(!first.contains(&again[0]));
}

#[test]
fn an_element_claimed_twice_goes_with_its_last_owner() {
    let mut index = index(plain(), ready(&[2]));
    index.take();
    let other = service(json!({"clusterIP": "10.96.0.10", "externalIPs": ["10.96.0.9"], "ports": [{"port": 80}]}));
    index.apply_service(&Key::new("a", "other"), other);
    let changes = index.take();
    // The first name in order has it: `a/other` refuses, for it has no endpoints, but the address keeps both claims.
    assert!(!changes.removed_elements.contains_key(table::SERVICE_IPS));
    index.delete_service(&Key::new("a", "other"));
    index.take();
    assert_eq!(verdict(&index.everything(), table::SERVICE_IPS), goto("cluster-d/web/tcp"));
}

#[test]
fn udp_connections_to_former_endpoints_are_stale() {
    let spec = json!({"clusterIP": "10.96.0.9", "ports": [{"port": 53, "protocol": "UDP"}]});
    let slice = |last: &[u8]| {
        let mut facts = (*ready(last)).clone();
        facts.ports[0].protocol = 17;
        Arc::new(facts)
    };
    let mut index = index(service(spec), slice(&[2]));
    assert_eq!(index.take().stale.len(), 1, "what was sent before the Service was there");
    index.apply_slice(&Key::new("d", "web-1"), slice(&[2, 3]));
    assert!(index.take().stale.is_empty(), "a new endpoint disturbs nobody");
    index.apply_slice(&Key::new("d", "web-1"), slice(&[3]));
    let stale = index.take().stale;
    assert_eq!(stale.len(), 1);
    assert_eq!(stale[0].current.len(), 1);
}

#[test]
fn a_slice_may_change_its_service() {
    let mut index = index(plain(), ready(&[2]));
    index.take();
    let mut moved = (*ready(&[2])).clone();
    moved.service = Some(Key::new("d", "other"));
    index.apply_slice(&Key::new("d", "web-1"), Arc::new(moved));
    assert_eq!(verdict(&index.take(), table::UNSERVED_IPS), goto(table::REFUSE_CHAIN));
}

#[test]
fn hints_for_nodes_are_followed_when_all_endpoints_have_them() {
    let chosen = |hints: [&[&str]; 2]| {
        let mut facts = (*ready(&[2, 3])).clone();
        for (endpoint, nodes) in facts.endpoints.iter_mut().zip(hints) {
            endpoint.for_nodes = nodes.iter().map(|name| (*name).to_owned()).collect();
        }
        let changes = index(plain(), Arc::new(facts)).take();
        changes.added_elements.get(table::ENDPOINTS).map_or(1, Vec::len)
    };
    assert_eq!(chosen([&["n1"], &["n2"]]), 1);
    assert_eq!(chosen([&["n1"], &[]]), 2);
    assert_eq!(chosen([&["n2"], &["n3"]]), 2);
}
