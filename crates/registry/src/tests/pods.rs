//! Pods: what admission puts in, bindings, evictions and graceful ends.

use machinery::identity::User;
use machinery::request::{PatchKind, Request, Verb};
use serde_json::{Value, json};

use super::{Fixture, fixture};

fn pods(verb: Verb) -> Request {
    Request::new(verb, "", "v1", "pods").namespace("default")
}

fn pod(name: &str) -> Value {
    let spec = json!({"containers": [{"name": "c", "image": "nginx"}]});
    json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": name}, "spec": spec})
}

async fn account(f: &Fixture) {
    let tree = json!({"kind": "ServiceAccount", "apiVersion": "v1", "metadata": {"name": "default"}});
    let request = Request::new(Verb::Create, "", "v1", "serviceaccounts").namespace("default").body(tree);
    f.call(request).await.unwrap();
}

fn binding(node: &str) -> Request {
    let target = json!({"kind": "Node", "name": node});
    let tree = json!({"kind": "Binding", "apiVersion": "v1", "metadata": {"name": "p"}, "target": target});
    pods(Verb::Create).name("p").subresource("binding").body(tree)
}

#[tokio::test]
async fn a_pod_gets_account_token_priority_and_tolerations() {
    let f = fixture().await;
    account(&f).await;
    let made = f.tree(pods(Verb::Create).body(pod("p"))).await;
    let spec = &made["spec"];
    assert_eq!((&spec["serviceAccountName"], &spec["priority"]), (&json!("default"), &json!(0)));
    let volume = &spec["volumes"][0];
    assert!(volume["name"].as_str().unwrap().starts_with("kube-api-access-"));
    assert_eq!(volume["projected"]["sources"][0]["serviceAccountToken"]["expirationSeconds"], 3607);
    let mount = &spec["containers"][0]["volumeMounts"][0];
    assert_eq!(mount["mountPath"], "/var/run/secrets/kubernetes.io/serviceaccount");
    assert_eq!(mount["name"], volume["name"]);
    assert_eq!(spec["tolerations"].as_array().unwrap().len(), 2);
    assert_eq!(made["status"]["phase"], "Pending");
}

#[tokio::test]
async fn a_pod_waits_for_the_default_account_only() {
    let f = fixture().await;
    let (made, ()) = tokio::join!(f.call(pods(Verb::Create).body(pod("p"))), account(&f));
    made.unwrap();
    let mut other = pod("q");
    other["spec"]["serviceAccountName"] = "x".into();
    let status = f.refused(pods(Verb::Create).body(other)).await;
    let expected =
        "pods \"q\" is forbidden: error looking up service account default/x: serviceaccount \"x\" not found";
    assert_eq!((status.code, status.message.as_str()), (403, expected));
    let mut classy = pod("r");
    classy["spec"]["priorityClassName"] = "none".into();
    let status = f.refused(pods(Verb::Create).body(classy)).await;
    assert_eq!(status.message, "pods \"r\" is forbidden: no PriorityClass with name none was found");
}

#[tokio::test]
async fn a_pod_is_bound_once() {
    let f = fixture().await;
    account(&f).await;
    f.tree(pods(Verb::Create).body(pod("p"))).await;
    assert_eq!(f.call(binding("n1")).await.unwrap().code, 201);
    let bound = f.tree(pods(Verb::Get).name("p")).await;
    assert_eq!(bound["spec"]["nodeName"], "n1");
    assert_eq!(bound["status"]["conditions"][0]["type"], "PodScheduled");
    let status = f.refused(binding("n2")).await;
    let expected = "Operation cannot be fulfilled on pods/binding \"p\": pod p is already assigned to node \"n1\"";
    assert_eq!((status.code, status.message.as_str()), (409, expected));
    let mut request = pods(Verb::List);
    request.options.field_selector = "spec.nodeName=n1".into();
    assert_eq!(f.list(request).await.items.len(), 1);
}

#[tokio::test]
async fn a_watch_of_a_node_sees_a_pod_arrive() {
    let f = fixture().await;
    account(&f).await;
    let mut request = pods(Verb::Watch);
    request.options.field_selector = "spec.nodeName=n1".into();
    let mut events = f.watch(request).await;
    f.tree(pods(Verb::Create).body(pod("p"))).await;
    f.call(binding("n1")).await.unwrap();
    assert_eq!(super::next(&mut events).await, "ADDED p");
}

#[tokio::test]
async fn a_bound_pod_lingers_until_its_node_lets_it_go() {
    let f = fixture().await;
    account(&f).await;
    f.tree(pods(Verb::Create).body(pod("p"))).await;
    f.call(binding("n1")).await.unwrap();
    let eviction = json!({"kind": "Eviction", "apiVersion": "policy/v1", "metadata": {"name": "p"}});
    let evict = pods(Verb::Create).name("p").subresource("eviction").body(eviction);
    assert_eq!(f.call(evict).await.unwrap().code, 201);
    let marked = f.tree(pods(Verb::Get).name("p")).await;
    assert_eq!(marked["metadata"]["deletionGracePeriodSeconds"], 30);
    let mut last = pods(Verb::Delete).name("p");
    last.options.grace_period_seconds = Some(0);
    let node = User::new("system:node:n2", ["system:nodes"]);
    let status = f.registry.call(&node, last.clone()).await.unwrap_err();
    let why = "pods \"p\" is forbidden: node \"n2\" can only delete pods with spec.nodeName set to itself";
    assert_eq!(status.message, why);
    let node = User::new("system:node:n1", ["system:nodes"]);
    f.registry.call(&node, last).await.unwrap();
    assert_eq!(f.refused(pods(Verb::Get).name("p")).await.code, 404);
    // Without a node there is nothing to wait for.
    f.tree(pods(Verb::Create).body(pod("q"))).await;
    f.call(pods(Verb::Delete).name("q")).await.unwrap();
    assert_eq!(f.refused(pods(Verb::Get).name("q")).await.code, 404);
}

#[tokio::test]
async fn a_node_reports_only_its_own_pods() {
    let f = fixture().await;
    account(&f).await;
    f.tree(pods(Verb::Create).body(pod("p"))).await;
    f.call(binding("n1")).await.unwrap();
    let report = pods(Verb::Patch(PatchKind::Strategic)).name("p").subresource("status");
    let report = report.body(json!({"status": {"phase": "Running"}}));
    let other = User::new("system:node:n2", ["system:nodes"]);
    assert_eq!(f.registry.call(&other, report.clone()).await.unwrap_err().code, 403);
    let own = User::new("system:node:n1", ["system:nodes"]);
    f.registry.call(&own, report).await.unwrap();
    assert_eq!(f.tree(pods(Verb::Get).name("p")).await["status"]["phase"], "Running");
}

#[tokio::test]
async fn a_budget_puts_an_eviction_off() {
    let f = fixture().await;
    account(&f).await;
    let mut labelled = pod("p");
    labelled["metadata"]["labels"] = json!({"app": "x"});
    f.tree(pods(Verb::Create).body(labelled)).await;
    f.call(binding("n1")).await.unwrap();
    let running = json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
    f.tree(pods(Verb::Patch(PatchKind::Strategic)).name("p").subresource("status").body(running)).await;
    let budgets = |verb: Verb| Request::new(verb, "policy", "v1", "poddisruptionbudgets").namespace("default");
    let spec = json!({"minAvailable": 1, "selector": {"matchLabels": {"app": "x"}}});
    f.tree(budgets(Verb::Create).body(json!({"metadata": {"name": "b"}, "spec": spec}))).await;
    let status = |allowed: i64| {
        let status = json!({"status": {
            "observedGeneration": 1, "disruptionsAllowed": allowed, "currentHealthy": 1, "desiredHealthy": 1,
            "expectedPods": 1,
        }});
        budgets(Verb::Patch(PatchKind::Merge)).name("b").subresource("status").body(status)
    };
    let eviction = json!({"kind": "Eviction", "apiVersion": "policy/v1", "metadata": {"name": "p"}});
    let evict = pods(Verb::Create).name("p").subresource("eviction").body(eviction);
    f.tree(status(0)).await;
    let refused = f.refused(evict.clone()).await;
    let expected = "Cannot evict pod as it would violate the pod's disruption budget.";
    assert_eq!((refused.code, refused.message.as_str()), (429, expected));
    f.tree(status(1)).await;
    f.call(evict).await.unwrap();
    let budget = f.tree(budgets(Verb::Get).name("b")).await;
    assert_eq!(budget["status"]["disruptionsAllowed"], 0);
    assert!(budget["status"]["disruptedPods"]["p"].is_string());
    let marked = f.tree(pods(Verb::Get).name("p")).await;
    assert!(marked["metadata"]["deletionTimestamp"].is_string());
    let why = marked["status"]["conditions"].as_array().unwrap().iter().find(|c| c["type"] == "DisruptionTarget");
    assert_eq!(why.unwrap()["reason"], "EvictionByEvictionAPI");
}
