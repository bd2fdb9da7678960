//! The two laws for every controller of the table but those with a file of their own: in each scenario a plan that
//! was stopped anywhere reaches the same end, and at the end nothing is planned.

#![allow(clippy::unwrap_used)]

mod world;

use control::Controller;
use controllers::account_token::AccountTokens;
use controllers::cluster_role::ClusterRoleAggregation;
use controllers::garbage::GarbageCollector;
use controllers::namespace::Namespaces;
use controllers::node_ipam::{NodeIpam, Range};
use controllers::node_lifecycle::{NodeLifecycle, eviction::TaintEviction};
use controllers::pod_gc::PodGc;
use controllers::replicaset::ReplicaSets;
use controllers::root_ca::RootCa;
use controllers::service::{endpoints::EndpointsOfServices, mirror::EndpointsMirror, slices::EndpointSlices};
use controllers::service_account::DefaultAccounts;
use controllers::service_cidr::{IpAddressRepair, ServiceCidrs};
use controllers::well_known::{ApiService, ClusterDns};
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::{ConfigMap, Endpoints, Namespace, Node, Pod, Secret, Service, ServiceAccount};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{IPAddress, ServiceCIDR};
use k8s_openapi::api::rbac::v1::ClusterRole;
use machinery::key::Key;
use serde_json::{Value, json};
use world::{Stop, World, still};

fn namespace(world: &mut World, name: &str) {
    let spec = json!({ "finalizers": ["kubernetes"] });
    let status = json!({ "phase": "Active" });
    world.create::<Namespace>(json!({ "metadata": { "name": name }, "spec": spec, "status": status }));
}

fn node(world: &mut World, name: &str, ready: &str) {
    let now = machinery::time::format(world.now);
    let ready = json!({ "type": "Ready", "status": ready, "lastHeartbeatTime": now, "lastTransitionTime": now });
    world.create::<Node>(json!({ "metadata": { "name": name }, "status": { "conditions": [ready] } }));
}

fn pod(world: &mut World, name: &str, node: &str, ip: &str, extra: Value) {
    let now = machinery::time::format(world.now);
    let ready = json!({ "type": "Ready", "status": "True", "lastTransitionTime": now });
    let ports = json!([{ "name": "http", "containerPort": 8080 }]);
    let tree = json!({
        "metadata": { "name": name, "namespace": "d", "labels": { "app": "web" } },
        "spec": { "nodeName": node, "containers": [{ "name": "c", "ports": ports }] },
        "status": { "phase": "Running", "podIP": ip, "podIPs": [{ "ip": ip }], "conditions": [ready] },
    });
    world.create::<Pod>(machinery::patch::merge(&tree, &extra));
}

fn service(world: &mut World, spec: Value) {
    let base =
        json!({ "clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9"], "ipFamilies": ["IPv4"], "type": "ClusterIP" });
    let spec = machinery::patch::merge(&base, &spec);
    world.create::<Service>(
        json!({ "metadata": { "name": "web", "namespace": "d", "labels": { "x": "y" } }, "spec": spec }),
    );
}

#[test]
fn active_namespaces_have_an_account_and_the_authority() {
    let mut world = World::default();
    namespace(&mut world, "d");
    let ca = RootCa { bundle: "PEM".into() };
    let mut end = world.holds(&[&DefaultAccounts, &ca], still);
    assert!(end.get::<ServiceAccount>("d", "default").is_some());
    end.patch::<ConfigMap>("d", "kube-root-ca.crt", json!({ "data": { "ca.crt": "forged", "other": "x" } }));
    let end = end.holds(&[&ca], still);
    let map = end.get::<ConfigMap>("d", "kube-root-ca.crt").unwrap();
    assert_eq!(map.data.as_ref().unwrap().len(), 1);
    assert_eq!(map.data.as_ref().unwrap()["ca.crt"], "PEM");
}

#[test]
fn no_two_nodes_have_the_same_range() {
    let mut world = World::default();
    for name in ["a", "b", "c"] {
        node(&mut world, name, "True");
    }
    world.patch::<Node>("", "b", json!({ "spec": { "podCIDR": "10.244.0.0/24", "podCIDRs": ["10.244.0.0/24"] } }));
    let ipam = NodeIpam { range: Range::parse("10.244.0.0/16").unwrap(), node_mask: 24 };
    let end = world.holds(&[&ipam], still);
    let ranges: std::collections::BTreeSet<_> =
        end.all::<Node>().iter().map(|n| n.spec.as_ref().unwrap().pod_cidr.clone().unwrap()).collect();
    assert_eq!(ranges.len(), 3);
}

#[test]
fn a_silent_node_is_unknown_and_tainted_and_its_pods_leave() {
    let minds: &[&dyn Controller] = &[&NodeLifecycle, &TaintEviction];
    let mut world = World::default();
    node(&mut world, "n1", "True");
    node(&mut world, "n2", "True");
    pod(&mut world, "stays", "n1", "10.0.0.1", json!({ "spec": { "tolerations": [{ "operator": "Exists" }] } }));
    let brief = json!([{ "key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300 }]);
    pod(&mut world, "leaves", "n1", "10.0.0.2", json!({ "spec": { "tolerations": brief } }));
    let mut world = world.holds(minds, still);
    assert!(world.get::<Node>("", "n1").unwrap().spec.is_none());
    world.pass(51);
    posts(&mut world, "n2");
    let mut world = world.holds(minds, still);
    let node = world.get::<Node>("", "n1").unwrap();
    let ready = node.status.as_ref().unwrap().conditions.as_ref().unwrap()[0].clone();
    assert_eq!(
        (ready.status.as_str(), ready.message.as_deref()),
        ("Unknown", Some("Kubelet stopped posting node status."))
    );
    let taints = node.spec.as_ref().unwrap().taints.clone().unwrap();
    let taints: Vec<_> = taints.iter().map(|t| (t.key.as_str(), t.effect.as_str())).collect();
    let unreachable = "node.kubernetes.io/unreachable";
    assert_eq!(taints, [(unreachable, "NoSchedule"), (unreachable, "NoExecute")]);
    assert_eq!(condition(&world, "stays", "Ready"), "False");
    let deleting =
        |world: &World, name: &str| world.get::<Pod>("d", name).unwrap().metadata.deletion_timestamp.is_some();
    assert!(!deleting(&world, "leaves"));
    world.pass(300);
    posts(&mut world, "n2");
    let end = world.holds(minds, still);
    assert!(deleting(&end, "leaves") && !deleting(&end, "stays"));
    assert_eq!(condition(&end, "leaves", "DisruptionTarget"), "True");
    assert!(end.events.contains(&"Normal TaintManagerEviction Marking for deletion Pod d/leaves".to_owned()));
}

/// A node gives a sign of life.
fn posts(world: &mut World, name: &str) {
    let now = machinery::time::format(world.now);
    let ready = json!({ "type": "Ready", "status": "True", "lastHeartbeatTime": now, "lastTransitionTime": now });
    world.patch::<Node>("", name, json!({ "status": { "conditions": [ready] } }));
}

#[test]
fn no_pod_is_driven_off_while_no_node_is_ready() {
    let minds: &[&dyn Controller] = &[&NodeLifecycle, &TaintEviction];
    let mut world = World::default();
    node(&mut world, "n1", "True");
    node(&mut world, "n2", "True");
    pod(&mut world, "p", "n1", "10.0.0.1", json!({}));
    world.pass(60);
    let mut world = world.holds(minds, still);
    let effects = |world: &World, node: &str| -> Vec<String> {
        let taints = world.get::<Node>("", node).unwrap().spec.as_ref().and_then(|spec| spec.taints.clone());
        taints.into_iter().flatten().map(|taint| taint.effect).collect()
    };
    assert_eq!(effects(&world, "n1"), ["NoSchedule"]);
    assert!(world.get::<Pod>("d", "p").unwrap().metadata.deletion_timestamp.is_none());
    posts(&mut world, "n2");
    let end = world.holds(minds, still);
    assert_eq!(effects(&end, "n1"), ["NoSchedule", "NoExecute"]);
    assert!(effects(&end, "n2").is_empty());
    assert!(end.get::<Pod>("d", "p").unwrap().metadata.deletion_timestamp.is_some());
}

fn condition(world: &World, pod: &str, kind: &str) -> String {
    let pod = world.get::<Pod>("d", pod).unwrap();
    let conditions = pod.status.as_ref().unwrap().conditions.clone().unwrap();
    conditions.into_iter().find(|condition| condition.type_ == kind).unwrap().status
}

#[test]
fn a_service_has_slices_and_endpoints_of_its_pods() {
    let minds: &[&dyn Controller] = &[&EndpointSlices, &EndpointsOfServices, &EndpointsMirror];
    let mut world = World::default();
    node(&mut world, "n1", "True");
    service(&mut world, json!({ "selector": { "app": "web" }, "ports": [{ "port": 80, "targetPort": "http" }] }));
    let mut world = world.holds(minds, still);
    assert_eq!(world.all::<EndpointSlice>().len(), 1, "an empty one");
    for at in 0..103 {
        pod(&mut world, &format!("p{at:03}"), "n1", &format!("10.0.0.{at}"), json!({}));
    }
    let sick = json!({ "status": { "conditions": [{ "type": "Ready", "status": "False" }] } });
    world.patch::<Pod>("d", "p000", sick);
    let mut world = world.holds(minds, still);
    let mut sizes: Vec<_> = world.all::<EndpointSlice>().iter().map(|s| s.endpoints.as_ref().unwrap().len()).collect();
    sizes.sort();
    assert_eq!(sizes, [3, 100]);
    let endpoints = world.get::<Endpoints>("d", "web").unwrap();
    let subset = &endpoints.subsets.as_ref().unwrap()[0];
    assert_eq!(subset.addresses.as_ref().unwrap().len(), 102);
    assert_eq!(subset.not_ready_addresses.as_ref().unwrap()[0].ip, "10.0.0.0");
    assert_eq!(subset.ports.as_ref().unwrap()[0].port, 8080);
    world.remove::<Service>("d", "web");
    world.pass(5);
    let key = Key::new("d", "web");
    let heard =
        control::Heard { changed: [(control::Resource::of::<Service>(), world.now)].into(), ..Default::default() };
    assert!(!world.decide_with(&EndpointsOfServices, &key, heard).is_idle(), "Endpoints follow their Service");
}

#[test]
fn hand_made_endpoints_are_mirrored() {
    let mut world = World::default();
    service(&mut world, json!({ "ports": [{ "port": 80 }] }));
    let subsets = json!([{ "addresses": [{ "ip": "192.0.2.7" }], "ports": [{ "port": 80, "protocol": "TCP" }] }]);
    world.create::<Endpoints>(json!({ "metadata": { "name": "web", "namespace": "d" }, "subsets": subsets }));
    let mut end = world.holds(&[&EndpointsMirror, &EndpointSlices, &EndpointsOfServices], still);
    let slices = end.all::<EndpointSlice>();
    assert_eq!(slices[0].endpoints.as_ref().unwrap()[0].addresses, ["192.0.2.7"]);
    end.patch::<Endpoints>(
        "d",
        "web",
        json!({ "metadata": { "labels": { "endpointslice.kubernetes.io/skip-mirror": "true" } } }),
    );
    let end = end.holds(&[&EndpointsMirror], still);
    assert!(end.all::<EndpointSlice>().is_empty());
}

#[test]
fn a_namespace_goes_when_it_is_empty() {
    let mut world = World::default();
    namespace(&mut world, "d");
    pod(&mut world, "p", "n1", "10.0.0.1", json!({}));
    world.create::<ConfigMap>(json!({ "metadata": { "name": "m", "namespace": "d", "finalizers": ["x/y"] } }));
    world.patch::<Namespace>(
        "",
        "d",
        json!({ "metadata": { "deletionTimestamp": "2026-01-01T00:00:00Z" }, "status": { "phase": "Terminating" } }),
    );
    let mut world = world.holds(&[&Namespaces], still);
    let told = |world: &World, kind: &str| {
        let namespace = world.get::<Namespace>("", "d").unwrap();
        let conditions = namespace.status.as_ref().unwrap().conditions.clone().unwrap();
        conditions.into_iter().find(|condition| condition.type_ == kind).unwrap().message.unwrap()
    };
    let remain = "Some resources are remaining: configmaps. has 1 resource instances, pods. has 1 resource instances";
    assert_eq!(told(&world, "NamespaceContentRemaining"), remain);
    assert!(world.get::<ConfigMap>("d", "m").unwrap().metadata.deletion_timestamp.is_none(), "pods go first");
    world.remove::<Pod>("d", "p");
    let mut world = world.holds(&[&Namespaces], still);
    let held = "Some content in the namespace has finalizers remaining: x/y in 1 resource instances";
    assert_eq!(told(&world, "NamespaceFinalizersRemaining"), held);
    world.remove::<ConfigMap>("d", "m");
    let end = world.holds(&[&Namespaces], still);
    assert!(end.get::<Namespace>("", "d").is_none());
}

fn owned_set(world: &mut World) {
    world.create::<ReplicaSet>(json!({
        "metadata": { "name": "s", "namespace": "d" },
        "spec": {
            "replicas": 2,
            "selector": { "matchLabels": { "app": "web" } },
            "template": { "metadata": { "labels": { "app": "web" } }, "spec": { "containers": [{ "name": "c" }] } },
        },
    }));
    world.settle(&[&ReplicaSets], still, Stop::Never);
}

#[test]
fn dependents_of_what_is_gone_are_collected() {
    let mut world = World::default();
    owned_set(&mut world);
    world.remove::<ReplicaSet>("d", "s");
    let end = world.holds(&[&GarbageCollector], still);
    assert!(end.all::<Pod>().is_empty());
}

#[test]
fn an_object_with_another_owner_loses_a_reference_only() {
    let mut world = World::default();
    let keeper = world.create::<ConfigMap>(json!({ "metadata": { "name": "keeper", "namespace": "d" } }));
    let keeper = json!({ "apiVersion": "v1", "kind": "ConfigMap", "name": "keeper", "uid": keeper.metadata.uid });
    let gone = json!({ "apiVersion": "v1", "kind": "ConfigMap", "name": "gone", "uid": "u" });
    let owners = json!([keeper, gone]);
    world.create::<ConfigMap>(json!({ "metadata": { "name": "kept", "namespace": "d", "ownerReferences": owners } }));
    let end = world.holds(&[&GarbageCollector], still);
    let kept = end.get::<ConfigMap>("d", "kept").unwrap().metadata.owner_references.clone().unwrap();
    assert_eq!(kept.iter().map(|owner| owner.name.as_str()).collect::<Vec<_>>(), ["keeper"]);
}

#[test]
fn the_foreground_waits_and_orphans_are_freed() {
    for (finalizer, pods) in [("foregroundDeletion", 0), ("orphan", 2)] {
        let mut world = World::default();
        owned_set(&mut world);
        let meta = json!({ "deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": [finalizer] });
        world.patch::<ReplicaSet>("d", "s", json!({ "metadata": meta }));
        let end = world.holds(&[&GarbageCollector], still);
        assert!(end.get::<ReplicaSet>("d", "s").is_none(), "{finalizer}");
        assert_eq!(end.all::<Pod>().len(), pods, "{finalizer}");
        assert!(end.all::<Pod>().iter().all(|pod| pod.metadata.owner_references.is_none()));
    }
}

#[test]
fn pods_that_nobody_ends_are_ended() {
    let mut world = World::default();
    node(&mut world, "n1", "True");
    pod(&mut world, "lives", "n1", "10.0.0.1", json!({}));
    pod(&mut world, "lost", "n2", "10.0.0.2", json!({}));
    let mut world = world.holds(&[&PodGc], still);
    assert!(world.get::<Pod>("d", "lost").is_some(), "its node may come back");
    world.pass(41);
    let end = world.holds(&[&PodGc], still);
    assert!(end.get::<Pod>("d", "lives").is_some() && end.get::<Pod>("d", "lost").is_none());
}

#[test]
fn ranges_are_ready_and_addresses_right() {
    let mut world = World::default();
    world.create::<ServiceCIDR>(json!({ "metadata": { "name": "kubernetes" }, "spec": { "cidrs": ["10.96.0.0/16"] } }));
    service(&mut world, json!({}));
    let parent = json!({ "group": "", "resource": "services", "namespace": "d", "name": "nobody" });
    let labels = json!({ "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io" });
    world.create::<IPAddress>(
        json!({ "metadata": { "name": "10.96.0.77", "labels": labels }, "spec": { "parentRef": parent } }),
    );
    let mut end = world.holds(&[&ServiceCidrs, &IpAddressRepair], still);
    assert!(end.get::<IPAddress>("", "10.96.0.9").is_some() && end.get::<IPAddress>("", "10.96.0.77").is_none());
    let cidr = end.get::<ServiceCIDR>("", "kubernetes").unwrap();
    assert_eq!(cidr.status.as_ref().unwrap().conditions.as_ref().unwrap()[0].status, "True");
    end.patch::<ServiceCIDR>("", "kubernetes", json!({ "metadata": { "deletionTimestamp": "2026-01-01T00:00:00Z" } }));
    let mut end = end.holds(&[&ServiceCidrs], still);
    assert!(end.get::<ServiceCIDR>("", "kubernetes").is_some(), "it is used");
    end.remove::<IPAddress>("", "10.96.0.9");
    let end = end.holds(&[&ServiceCidrs], still);
    assert!(end.get::<ServiceCIDR>("", "kubernetes").is_none());
}

#[test]
fn roles_are_put_together() {
    let mut world = World::default();
    let rule = json!({ "apiGroups": ["x"], "resources": ["y"], "verbs": ["get"] });
    world.create::<ClusterRole>(json!({ "metadata": { "name": "part", "labels": { "to": "all" } }, "rules": [rule] }));
    let selectors = json!([{ "matchLabels": { "to": "all" } }]);
    let whole = json!({ "metadata": { "name": "whole" }, "aggregationRule": { "clusterRoleSelectors": selectors }, "rules": null });
    world.create::<ClusterRole>(whole);
    let end = world.holds(&[&ClusterRoleAggregation], still);
    assert_eq!(end.get::<ClusterRole>("", "whole").unwrap().rules.as_ref().unwrap().len(), 1);
}

#[test]
fn token_secrets_are_filled_and_go_with_their_account() {
    let tokens = AccountTokens { ca_bundle: "PEM".into() };
    let mut world = World::default();
    world.create::<ServiceAccount>(json!({ "metadata": { "name": "a", "namespace": "d" } }));
    let annotations = json!({ "kubernetes.io/service-account.name": "a" });
    let secret = json!({
        "metadata": { "name": "t", "namespace": "d", "annotations": annotations },
        "type": "kubernetes.io/service-account-token",
    });
    world.create::<Secret>(secret);
    let mut end = world.holds(&[&tokens], still);
    let data = end.get::<Secret>("d", "t").unwrap().data.clone().unwrap();
    assert_eq!(data["token"].0, b"token-of-a");
    assert_eq!(data["namespace"].0, b"d");
    end.remove::<ServiceAccount>("d", "a");
    let end = end.holds(&[&tokens], still);
    assert!(end.get::<Secret>("d", "t").is_none());
}

#[test]
fn what_every_cluster_has_is_put_right() {
    let config = controllers::Config {
        ca_bundle: String::new(),
        pod_range: "10.244.0.0/16".into(),
        node_mask: 24,
        service_range: "10.96.0.0/16".into(),
        api_service_ip: "10.96.0.1".into(),
        api_addresses: vec!["192.0.2.1".into()],
        api_port: 6443,
        dns_service_ip: "10.96.0.10".into(),
    };
    assert_eq!(controllers::table(&config).unwrap().len(), TABLE, "a new controller has a scenario of its own");
    let minds: &[&dyn Controller] = &[&ApiService { config }, &ClusterDns { address: "10.96.0.10".into() }];
    let mut world = World::default();
    namespace(&mut world, "default");
    namespace(&mut world, "kube-system");
    node(&mut world, "n1", "True");
    world.patch::<Node>("", "n1", json!({ "spec": { "podCIDR": "10.244.3.0/24" } }));
    let mut end = world.holds(minds, still);
    let dns = end.get::<EndpointSlice>("kube-system", "kube-dns").unwrap();
    assert_eq!(dns.endpoints.as_ref().unwrap()[0].addresses, ["10.244.3.1"]);
    end.patch::<Endpoints>("default", "kubernetes", json!({ "subsets": null }));
    end.remove::<Service>("default", "kubernetes");
    let end = end.holds(minds, still);
    assert!(end.get::<Endpoints>("default", "kubernetes").unwrap().subsets.is_some());
    assert!(end.get::<Service>("default", "kubernetes").is_some());
}

/// Controllers in the table.
const TABLE: usize = 20;
