//! What a node may do by its own name, and what it may not.

use machinery::identity::User;
use machinery::request::{PatchKind, Request, Verb};
use serde_json::{Value, json};

use super::{Fixture, fixture};

fn nodes(verb: Verb) -> Request {
    Request::new(verb, "", "v1", "nodes")
}

fn node(name: &str) -> Value {
    let labels = json!({"kubernetes.io/hostname": name, "own": "x"});
    json!({"kind": "Node", "apiVersion": "v1", "metadata": {"name": name, "labels": labels}})
}

async fn as_node(f: &Fixture, name: &str, request: Request) -> Result<(), String> {
    let user = User::new(format!("system:node:{name}"), ["system:nodes"]);
    f.registry.call(&user, request).await.map(|_| ()).map_err(|status| status.message)
}

#[tokio::test]
async fn a_new_node_takes_no_pods_yet() {
    let f = fixture().await;
    as_node(&f, "n1", nodes(Verb::Create).body(node("n1"))).await.unwrap();
    let made = f.tree(nodes(Verb::Get).name("n1")).await;
    assert_eq!(made["spec"]["taints"], json!([{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]));
}

#[tokio::test]
async fn a_node_changes_only_itself() {
    let f = fixture().await;
    let status = as_node(&f, "n1", nodes(Verb::Create).body(node("n2"))).await.unwrap_err();
    assert_eq!(status, "nodes \"n2\" is forbidden: node \"n1\" is not allowed to modify node \"n2\"");
    as_node(&f, "n1", nodes(Verb::Create).body(node("n1"))).await.unwrap();
    let patch = |body: Value| nodes(Verb::Patch(PatchKind::Merge)).name("n1").body(body);
    let taints = as_node(&f, "n1", patch(json!({"spec": {"taints": null}}))).await.unwrap_err();
    assert_eq!(taints, "nodes \"n1\" is forbidden: node \"n1\" is not allowed to modify taints");
    let role = json!({"metadata": {"labels": {"node-restriction.kubernetes.io/x": "y"}}});
    let label = as_node(&f, "n1", patch(role)).await.unwrap_err();
    let expected = "nodes \"n1\" is forbidden: is not allowed to modify labels: node-restriction.kubernetes.io/x";
    assert_eq!(label, expected);
    as_node(&f, "n1", patch(json!({"metadata": {"labels": {"own": "z"}}}))).await.unwrap();
    let report = patch(json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}})).subresource("status");
    as_node(&f, "n1", report).await.unwrap();
    let nobody = User::new("somebody", ["system:nodes"]);
    let refused = f.registry.call(&nobody, patch(json!({}))).await.unwrap_err();
    assert!(refused.message.ends_with("could not determine node from user \"somebody\""), "{refused}");
}

#[tokio::test]
async fn a_node_renews_only_its_own_lease() {
    let f = fixture().await;
    let leases =
        |verb: Verb, namespace: &str| Request::new(verb, "coordination.k8s.io", "v1", "leases").namespace(namespace);
    let lease = |name: &str| json!({"metadata": {"name": name}, "spec": {"holderIdentity": name}});
    as_node(&f, "n1", leases(Verb::Create, "kube-node-lease").body(lease("n1"))).await.unwrap();
    let other = as_node(&f, "n1", leases(Verb::Create, "kube-node-lease").body(lease("n2"))).await.unwrap_err();
    assert!(other.ends_with("can only access node lease with the same name as the requesting node"), "{other}");
    let elsewhere = as_node(&f, "n1", leases(Verb::Create, "default").body(lease("n1"))).await.unwrap_err();
    assert!(elsewhere.ends_with("can only access leases in the \"kube-node-lease\" system namespace"), "{elsewhere}");
}

#[tokio::test]
async fn a_node_makes_only_mirror_pods() {
    let f = fixture().await;
    let spec = json!({"nodeName": "n1", "containers": [{"name": "c", "image": "i"}]});
    let pod = json!({"metadata": {"name": "p"}, "spec": spec});
    let pods = Request::new(Verb::Create, "", "v1", "pods").namespace("default");
    let refused = as_node(&f, "n1", pods.clone().body(pod.clone())).await.unwrap_err();
    // ServiceAccount is asked first, as upstream does, and has nothing against an account that is not there yet.
    assert!(refused.contains("error looking up service account") || refused.contains("can only create mirror pods"));
    let mut mirror = pod;
    mirror["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "h"});
    let refused = as_node(&f, "n1", pods.clone().body(mirror.clone())).await.unwrap_err();
    assert!(refused.ends_with("node \"n1\" can only create pods with an owner reference set to itself"), "{refused}");
    as_node(&f, "n1", nodes(Verb::Create).body(node("n1"))).await.unwrap();
    let uid = f.tree(nodes(Verb::Get).name("n1")).await["metadata"]["uid"].clone();
    let owner = json!({"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": uid, "controller": true});
    mirror["metadata"]["ownerReferences"] = json!([owner]);
    as_node(&f, "n1", pods.body(mirror)).await.unwrap();
}
