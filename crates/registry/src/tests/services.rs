//! Services: addresses and ports are had once, and given back.

use std::collections::BTreeSet;
use std::sync::Arc;

use machinery::request::{PatchKind, Request, Verb};
use serde_json::{Value, json};

use super::fixture;

fn services(verb: Verb) -> Request {
    Request::new(verb, "", "v1", "services").namespace("default")
}

fn service(name: &str, extra: Value) -> Value {
    let spec = json!({"selector": {"app": "x"}, "ports": [{"port": 80}]});
    let spec = machinery::patch::merge(&spec, &extra);
    json!({"kind": "Service", "apiVersion": "v1", "metadata": {"name": name}, "spec": spec})
}

fn addresses(verb: Verb) -> Request {
    Request::new(verb, "networking.k8s.io", "v1", "ipaddresses")
}

#[tokio::test]
async fn an_address_is_had_once_and_given_back() {
    let f = fixture().await;
    let made = f.tree(services(Verb::Create).body(service("a", json!({"clusterIP": "10.96.0.10"})))).await;
    assert_eq!(made["spec"]["clusterIPs"], json!(["10.96.0.10"]));
    assert_eq!(
        (&made["spec"]["ipFamilies"], &made["spec"]["ipFamilyPolicy"]),
        (&json!(["IPv4"]), &json!("SingleStack"))
    );
    let held = f.tree(addresses(Verb::Get).name("10.96.0.10")).await;
    assert_eq!(held["spec"]["parentRef"], json!({"resource": "services", "namespace": "default", "name": "a"}));
    let status = f.refused(services(Verb::Create).body(service("b", json!({"clusterIP": "10.96.0.10"})))).await;
    assert_eq!(status.code, 422);
    assert!(status.message.ends_with("failed to allocate IP 10.96.0.10: provided IP is already allocated"), "{status}");
    let status = f.refused(services(Verb::Create).body(service("b", json!({"clusterIP": "1.2.3.4"})))).await;
    assert!(status.message.ends_with("The range of valid IPs is 10.96.0.0/16"), "{status}");
    f.call(services(Verb::Delete).name("a")).await.unwrap();
    assert_eq!(f.refused(addresses(Verb::Get).name("10.96.0.10")).await.code, 404);
}

#[tokio::test]
async fn the_first_service_has_the_first_address() {
    let f = fixture().await;
    let made = f.tree(services(Verb::Create).body(service("kubernetes", json!({})))).await;
    assert_eq!(made["spec"]["clusterIP"], "10.96.0.1");
    let headless = f.tree(services(Verb::Create).body(service("h", json!({"clusterIP": "None"})))).await;
    assert_eq!(headless["spec"]["clusterIPs"], json!(["None"]));
}

#[tokio::test]
async fn node_ports_are_had_once_and_kept() {
    let f = fixture().await;
    let port = json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 30080}]});
    let made = f.tree(services(Verb::Create).body(service("a", port.clone()))).await;
    assert_eq!(made["spec"]["ports"][0]["nodePort"], 30080);
    let status = f.refused(services(Verb::Create).body(service("b", port))).await;
    let what = "spec.ports[0].nodePort: Invalid value: 30080: provided port is already allocated";
    assert!(status.message.ends_with(what), "{status}");
    let low = json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 80}]});
    let status = f.refused(services(Verb::Create).body(service("b", low))).await;
    assert!(status.message.contains("The range of valid ports is 30000-32767"), "{status}");
    // An update that leaves the allocated out keeps it.
    let again = service("a", json!({"type": "NodePort"}));
    let kept = f.tree(services(Verb::Update).name("a").body(again)).await;
    assert_eq!(kept["spec"]["ports"][0]["nodePort"], 30080);
    assert_eq!(kept["spec"]["clusterIP"], made["spec"]["clusterIP"]);
    let plain = json!({"spec": {"type": "ClusterIP"}});
    f.tree(services(Verb::Patch(PatchKind::Merge)).name("a").body(plain)).await;
    let free = json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 30080}]});
    f.tree(services(Verb::Create).body(service("b", free))).await;
}

#[tokio::test]
async fn node_ports_are_known_again_by_their_names() {
    let f = fixture().await;
    let of = |ports: Value| service("a", json!({"type": "NodePort", "ports": ports}));
    let made = json!([{"name": "a", "port": 80, "nodePort": 30080}, {"name": "b", "port": 81, "nodePort": 30081}]);
    f.tree(services(Verb::Create).body(of(made))).await;
    let turned = json!([{"name": "b", "port": 91}, {"name": "a", "port": 80}]);
    let kept = f.tree(services(Verb::Update).name("a").body(of(turned))).await;
    let numbers = |service: &Value| [0, 1].map(|i| service["spec"]["ports"][i]["nodePort"].as_i64().unwrap());
    assert_eq!(numbers(&kept), [30081, 30080]);
    // What one of them had and another now claims is given out anew.
    let claimed = json!([{"name": "a", "port": 80}, {"name": "c", "port": 82, "nodePort": 30080}]);
    let [first, second] = numbers(&f.tree(services(Verb::Update).name("a").body(of(claimed))).await);
    assert!(first != 30080 && second == 30080, "{first} {second}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_made_at_once_share_nothing() {
    let f = Arc::new(fixture().await);
    let tasks = (0..40).map(|n| {
        let f = f.clone();
        tokio::spawn(async move {
            let made =
                f.tree(services(Verb::Create).body(service(&format!("s{n}"), json!({"type": "NodePort"})))).await;
            let spec = &made["spec"];
            (spec["clusterIP"].as_str().unwrap().to_owned(), spec["ports"][0]["nodePort"].as_i64().unwrap())
        })
    });
    let all: Vec<_> = futures::future::join_all(tasks).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(all.iter().map(|(ip, _)| ip).collect::<BTreeSet<_>>().len(), 40);
    assert_eq!(all.iter().map(|(_, port)| port).collect::<BTreeSet<_>>().len(), 40);
}

#[tokio::test]
async fn only_load_balancers_have_ingress_addresses() {
    let f = fixture().await;
    for (name, kind) in [("a", "ClusterIP"), ("b", "LoadBalancer")] {
        f.tree(services(Verb::Create).body(service(name, json!({"type": kind})))).await;
    }
    let patch = json!({"status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.1"}]}}});
    let patched = |name| services(Verb::Patch(PatchKind::Merge)).name(name).subresource("status").body(patch.clone());
    let status = f.refused(patched("a")).await;
    let why = "status.loadBalancer.ingress: Forbidden: may only be used when `spec.type` is \"LoadBalancer\"";
    assert!(status.message.ends_with(why), "{status}");
    let after = f.tree(patched("b")).await;
    assert_eq!(after["status"]["loadBalancer"]["ingress"][0]["ipMode"], "VIP");
}
