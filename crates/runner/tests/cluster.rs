//! All controllers with their own rights over a real API server and store; the user comes over HTTPS.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use apiserver::Front;
use apiserver::pki::{Names, Pki};
use client::https::Https;
use client::{Client, Events, Options, Patch, Transport, World};
use futures::StreamExt;
use futures::future::BoxFuture;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{ConfigMap, Endpoints, Event, Namespace, Node, Pod, Secret, Service, ServiceAccount};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use machinery::identity::User;
use machinery::request::{Answer, Change, Propagation, Request, Verb};
use machinery::status::Status;
use registry::Registry;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Loses every fifth write on its way there, and the answer of every fifth.
struct Flaky(Arc<dyn Transport>, Arc<AtomicU64>);

impl Transport for Flaky {
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Answer, Status>> {
        let writes = !matches!(request.verb, Verb::Get | Verb::List) && request.resource != "events";
        let turn = if writes { self.1.fetch_add(1, Ordering::Relaxed) } else { 0 };
        Box::pin(async move {
            match turn % 5 {
                1 => Err(Status::timeout("lost on its way there")),
                3 => self.0.call(request).await.and(Err(Status::timeout("the answer was lost"))),
                _ => self.0.call(request).await,
            }
        })
    }

    fn watch(&self, request: Request) -> BoxFuture<'_, Result<Events, Status>> {
        self.0.watch(request)
    }
}

type Running = tokio::task::JoinHandle<Result<(), tokio::task::JoinError>>;

struct Cluster {
    client: Client,
    https: Https,
    stop: CancellationToken,
    launch: Box<dyn Fn(CancellationToken) -> Running>,
    running: Running,
    _folder: tempfile::TempDir,
}

impl Cluster {
    async fn start() -> Self {
        Self::start_with(false).await
    }

    async fn start_with(flaky: bool) -> Self {
        // With --nocapture the controllers say what was refused.
        let _ = tracing_subscriber::fmt().with_max_level(tracing::Level::INFO).with_test_writer().try_init();
        let folder = tempfile::tempdir().unwrap();
        let store = store::embedded::Embedded::open(folder.path(), store::embedded::Config::default()).unwrap();
        let registry = Registry::open(store, registry::World::real()).await.unwrap();
        let stop = CancellationToken::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let local = IpAddr::from([127, 0, 0, 1]);
        let names = Names {
            node: "n".into(),
            cluster_domain: "cluster.local".into(),
            service_address: IpAddr::from([10, 96, 0, 1]),
            addresses: vec![local],
            dns: Vec::new(),
        };
        let pki = Pki::open(folder.path(), &names).unwrap();
        let config = apiserver::Config {
            hostname: "n".into(),
            advertise_address: local,
            issuer: "https://kubernetes.default.svc.cluster.local".into(),
            pki_dir: folder.path().into(),
            names,
        };
        let front = Front::open(&config, registry, &pki, stop.clone()).await.unwrap();
        let server = apiserver::Server::with_front(config, front.clone(), &pki).unwrap();
        tokio::spawn(server.serve(listener, stop.clone()));
        let kubeconfig = folder.path().join("kubeconfig");
        let text = apiserver::pki::kubeconfig("test", &format!("https://127.0.0.1:{port}"), pki.ca_pem(), &pki.admin);
        std::fs::write(&kubeconfig, text).unwrap();
        let https = Https::new(client::kubeconfig::load_file(&kubeconfig).await.unwrap()).unwrap();
        let config = controllers::Config {
            ca_bundle: "PEM".into(),
            pod_range: "10.244.0.0/16".into(),
            node_mask: 24,
            service_range: "10.96.0.0/16".into(),
            api_service_ip: "10.96.0.1".into(),
            api_addresses: vec!["192.0.2.1".into()],
            api_port: 6443,
            dns_service_ip: "10.96.0.10".into(),
        };
        let manager =
            Client::new(front.transport(User::new("system:kube-controller-manager", ["system:authenticated"])));
        let losses = Arc::new(AtomicU64::new(0));
        let clients = move |name: &str| {
            let groups = ["system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"];
            let user = match name.contains(':') {
                true => User::new(name, ["system:masters", "system:authenticated"]),
                false => User::new(format!("system:serviceaccount:kube-system:{name}"), groups),
            };
            match flaky {
                true => Client::new(Arc::new(Flaky(front.transport(user), losses.clone()))),
                false => Client::new(front.transport(user)),
            }
        };
        let client = https.client();
        let clients: runner::Clients = Arc::new(clients);
        let launch = move |stop| {
            let runner = runner::Config { manager: manager.clone(), clients: clients.clone(), world: World::real() };
            tokio::spawn(runner::run(runner, controllers::table(&config).unwrap(), stop))
        };
        let running = launch(stop.child_token());
        let launch = Box::new(launch);
        Self { client, https, stop, launch, running, _folder: folder }
    }

    /// Ends the controllers and starts them anew; answers what was different when they had nothing to do any more.
    async fn restart(&mut self) -> Vec<String> {
        // Whatever is under way comes to its end first.
        let mut before = BTreeSet::new();
        while self.versions().await != before {
            before = self.versions().await;
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        let fresh = (self.launch)(self.stop.child_token());
        let old = std::mem::replace(&mut self.running, fresh);
        old.abort();
        tokio::time::sleep(Duration::from_millis(500)).await;
        self.versions().await.symmetric_difference(&before).cloned().collect()
    }

    /// All objects with their versions, but those that renew themselves.
    async fn versions(&self) -> BTreeSet<String> {
        let mut versions = BTreeSet::new();
        let kinds = api::KINDS.iter().filter(|k| k.verbs.contains(&"watch") && !["Lease", "Event"].contains(&k.kind));
        for kind in kinds {
            let list = self.client.dynamic(client::Resource::from(*kind)).list("", Options::default()).await.unwrap();
            let version = |o: &Arc<machinery::object::Object>| {
                let tree = o.tree();
                format!("{} {} {}", kind.kind, machinery::meta::key(&tree), o.revision())
            };
            versions.extend(list.items.iter().map(version));
        }
        versions
    }

    async fn end(self) {
        self.stop.cancel();
        self.running.await.unwrap().unwrap();
    }

    async fn create<T: client::Typed>(&self, tree: Value) -> Arc<T> {
        let object: T = serde_json::from_value(tree).unwrap();
        self.client.create(&object).await.unwrap()
    }
}

/// Waits until `look` finds something, and says how long that took.
async fn eventually<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look().await {
            println!("{what}: {:?}", begun.elapsed());
            return found;
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "{what} does not happen");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn deploy(cluster: &Cluster, namespace: &str, replicas: i32) {
    cluster
        .create::<Deployment>(json!({
            "metadata": { "name": "web", "namespace": namespace },
            "spec": {
                "replicas": replicas,
                "selector": { "matchLabels": { "app": "web" } },
                "template": {
                    "metadata": { "labels": { "app": "web" } },
                    "spec": { "containers": [{ "name": "c", "image": "nginx", "ports": [{ "name": "http", "containerPort": 80 }] }] },
                },
            },
        }))
        .await;
}

async fn pods(cluster: &Cluster, namespace: &str) -> Vec<Arc<Pod>> {
    cluster.client.list_all::<Pod>(namespace, Options::default()).await.unwrap().items
}

async fn node(cluster: &Cluster, name: &str) {
    cluster.create::<Node>(json!({ "metadata": { "name": name } })).await;
    let now = machinery::time::format(jiff::Timestamp::now());
    let ready = json!({ "type": "Ready", "status": "True", "lastHeartbeatTime": now, "lastTransitionTime": now });
    let status = json!({ "conditions": [ready] });
    cluster.client.patch_status::<Node>("", name, status).await.unwrap();
}

/// Plays the kubelet: binds a pod and calls it ready.
async fn run(cluster: &Cluster, pod: &Pod, node: &str, ip: &str) {
    let (namespace, name) = (pod.metadata.namespace.as_deref().unwrap(), pod.metadata.name.as_deref().unwrap());
    let binding = json!({ "apiVersion": "v1", "kind": "Binding", "metadata": { "name": name }, "target": { "kind": "Node", "name": node } });
    let pods = client::Resource::of::<Pod>();
    cluster.client.create_tree(&pods, namespace, name, "binding", binding).await.unwrap();
    let now = machinery::time::format(jiff::Timestamp::now());
    let ready = json!([{ "type": "Ready", "status": "True", "lastTransitionTime": now }]);
    let status = json!({ "phase": "Running", "podIP": ip, "podIPs": [{ "ip": ip }], "conditions": ready });
    cluster.client.patch_status::<Pod>(namespace, name, status).await.unwrap();
}

#[tokio::test]
async fn a_cluster_has_what_every_cluster_has() {
    let mut cluster = Cluster::start().await;
    let client = &cluster.client.clone();
    eventually("default account", async || client.get::<ServiceAccount>("default", "default").await.ok()).await;
    let map = eventually("root CA", async || client.get::<ConfigMap>("default", "kube-root-ca.crt").await.ok()).await;
    assert_eq!(map.data.as_ref().unwrap()["ca.crt"], "PEM");
    let service = eventually("kubernetes", async || client.get::<Service>("default", "kubernetes").await.ok()).await;
    assert_eq!(service.spec.as_ref().unwrap().cluster_ip.as_deref(), Some("10.96.0.1"));
    let dns = eventually("kube-dns", async || client.get::<Service>("kube-system", "kube-dns").await.ok()).await;
    assert_eq!(dns.spec.as_ref().unwrap().cluster_ip.as_deref(), Some("10.96.0.10"));
    eventually("its endpoints", async || client.get::<Endpoints>("default", "kubernetes").await.ok()).await;
    node(&cluster, "n1").await;
    eventually("pod range and no taints", async || {
        let node = client.get::<Node>("", "n1").await.ok()?;
        let spec = node.spec.as_ref()?;
        (spec.pod_cidr.as_deref() == Some("10.244.0.0/24") && spec.taints.is_none()).then_some(())
    })
    .await;
    eventually("DNS of the node", async || {
        let slice = client.get::<EndpointSlice>("kube-system", "kube-dns").await.ok()?;
        (slice.endpoints.as_ref()?.first()?.addresses == ["10.244.0.1"]).then_some(())
    })
    .await;
    deploy(&cluster, "default", 2).await;
    eventually("two pods", async || Some(pods(&cluster, "default").await).filter(|p| p.len() == 2)).await;
    assert_eq!(cluster.restart().await, Vec::<String>::new(), "a restart writes nothing");
    cluster.end().await;
}

#[tokio::test]
async fn a_deployment_becomes_pods_and_endpoints_and_goes() {
    let cluster = Cluster::start().await;
    let client = &cluster.client;
    node(&cluster, "n1").await;
    eventually("account", async || client.get::<ServiceAccount>("default", "default").await.ok()).await;
    cluster
        .create::<Service>(json!({
            "metadata": { "name": "web", "namespace": "default" },
            "spec": { "selector": { "app": "web" }, "ports": [{ "port": 80, "targetPort": "http" }] },
        }))
        .await;
    deploy(&cluster, "default", 3).await;
    let made = eventually("three pods", async || Some(pods(&cluster, "default").await).filter(|p| p.len() == 3)).await;
    for (at, pod) in made.iter().enumerate() {
        run(&cluster, pod, "n1", &format!("10.244.0.{}", at + 5)).await;
    }
    eventually("three endpoints", async || {
        let slices = client.list_all::<EndpointSlice>("default", Options::default()).await.unwrap().items;
        let slice = slices.iter().find(|s| s.metadata.generate_name.as_deref() == Some("web-"))?;
        let ready = slice.endpoints.iter().flatten().filter(|e| e.conditions.as_ref().unwrap().ready == Some(true));
        (ready.count() == 3 && slice.ports.as_ref()?[0].port == Some(80)).then_some(())
    })
    .await;
    eventually("Endpoints", async || {
        let endpoints = client.get::<Endpoints>("default", "web").await.ok()?;
        (endpoints.subsets.as_ref()?.first()?.addresses.as_ref()?.len() == 3).then_some(())
    })
    .await;
    eventually("available", async || {
        let deployment = client.get::<Deployment>("default", "web").await.ok()?;
        (deployment.status.as_ref()?.available_replicas == Some(3)).then_some(())
    })
    .await;
    eventually("event", async || {
        let events = client.list_all::<Event>("default", Options::default()).await.unwrap().items;
        events.iter().find(|event| event.message.as_deref().is_some_and(|m| m.ends_with("from 0 to 3"))).cloned()
    })
    .await;
    // A pod that is deleted is replaced.
    let name = made[0].metadata.name.as_deref().unwrap();
    let now = Options { grace_period_seconds: Some(0), ..Options::default() };
    client.delete::<Pod>("default", name, now).await.unwrap();
    eventually("replaced", async || Some(pods(&cluster, "default").await).filter(|p| p.len() == 3)).await;
    // The foreground: pods, then the set, then the Deployment.
    let foreground = Options { propagation: Some(Propagation::Foreground), ..Options::default() };
    client.delete::<Deployment>("default", "web", foreground).await.unwrap();
    eventually("all deleting", async || {
        let pods = pods(&cluster, "default").await;
        pods.iter().all(|pod| pod.metadata.deletion_timestamp.is_some()).then_some(())
    })
    .await;
    assert!(client.get::<Deployment>("default", "web").await.is_ok(), "it waits for its pods");
    for pod in pods(&cluster, "default").await {
        let now = Options { grace_period_seconds: Some(0), ..Options::default() };
        client.delete::<Pod>("default", pod.metadata.name.as_deref().unwrap(), now).await.unwrap();
    }
    eventually("gone", async || client.get::<Deployment>("default", "web").await.err()).await;
    assert!(client.list_all::<ReplicaSet>("default", Options::default()).await.unwrap().items.is_empty());
    cluster.end().await;
}

#[tokio::test]
async fn orphans_stay_and_are_adopted() {
    let cluster = Cluster::start().await;
    let client = &cluster.client;
    eventually("account", async || client.get::<ServiceAccount>("default", "default").await.ok()).await;
    let set = json!({
        "metadata": { "name": "frontend", "namespace": "default" },
        "spec": {
            "replicas": 3,
            "selector": { "matchLabels": { "tier": "frontend" } },
            "template": {
                "metadata": { "labels": { "tier": "frontend" } },
                "spec": { "containers": [{ "name": "c", "image": "nginx" }] },
            },
        },
    });
    cluster.create::<ReplicaSet>(set.clone()).await;
    eventually("three pods", async || Some(pods(&cluster, "default").await).filter(|p| p.len() == 3)).await;
    let orphan = Options { propagation: Some(Propagation::Orphan), ..Options::default() };
    client.delete::<ReplicaSet>("default", "frontend", orphan).await.unwrap();
    eventually("set gone", async || client.get::<ReplicaSet>("default", "frontend").await.err()).await;
    let owned = async |wanted: bool| {
        let pods = pods(&cluster, "default").await;
        (pods.len() == 3 && pods.iter().all(|pod| pod.metadata.owner_references.is_some() == wanted)).then_some(())
    };
    eventually("orphans", async || owned(false).await).await;
    cluster.create::<ReplicaSet>(set).await;
    eventually("adopted", async || owned(true).await).await;
    // Relabelled, one is let go and replaced.
    let name = pods(&cluster, "default").await[0].metadata.name.clone().unwrap();
    let labels = Patch::Merge(json!({ "metadata": { "labels": { "tier": "other" } } }));
    client.patch::<Pod>("default", &name, "", labels).await.unwrap();
    eventually("let go and replaced", async || Some(pods(&cluster, "default").await).filter(|p| p.len() == 4)).await;
    eventually("has no owner", async || {
        client.get::<Pod>("default", &name).await.ok()?.metadata.owner_references.is_none().then_some(())
    })
    .await;
    // In the background: the pods follow.
    client.delete::<ReplicaSet>("default", "frontend", Options::default()).await.unwrap();
    eventually("collected", async || Some(pods(&cluster, "default").await).filter(|p| p.len() == 1)).await;
    cluster.end().await;
}

#[tokio::test]
async fn a_namespace_takes_its_content_with_it() {
    let cluster = Cluster::start().await;
    let client = &cluster.client;
    cluster.create::<Namespace>(json!({ "metadata": { "name": "team" } })).await;
    eventually("account", async || client.get::<ServiceAccount>("team", "default").await.ok()).await;
    deploy(&cluster, "team", 2).await;
    eventually("two pods", async || Some(pods(&cluster, "team").await).filter(|p| p.len() == 2)).await;
    client.delete::<Namespace>("", "team", Options::default()).await.unwrap();
    eventually("gone", async || client.get::<Namespace>("", "team").await.err().filter(|s| s.is_not_found())).await;
    assert!(pods(&cluster, "team").await.is_empty());
    let maps = client.list_all::<ConfigMap>("team", Options::default()).await.unwrap().items;
    assert!(maps.is_empty());
    cluster.end().await;
}

#[tokio::test]
async fn nodes_that_come_and_go_are_told() {
    let cluster = Cluster::start().await;
    let client = &cluster.client;
    let told = async |reason: &str| {
        let events = client.list::<Event>("default", Options::default()).await.ok()?;
        let mut events = events.items.iter();
        let event = events.find(|event| event.reason.as_deref() == Some(reason))?;
        Some((event.message.clone()?, event.source.clone()?.component?))
    };
    node(&cluster, "n1").await;
    let expected = ("Node n1 event: Registered Node n1 in Controller".to_owned(), "node-controller".to_owned());
    assert_eq!(eventually("registered", async || told("RegisteredNode").await).await, expected);
    client.delete::<Node>("", "n1", Options::default()).await.unwrap();
    let expected = "Node n1 event: Removing Node n1 from Controller";
    assert_eq!(eventually("removed", async || told("RemovingNode").await).await.0, expected);
    cluster.end().await;
}

#[tokio::test]
async fn pods_of_a_node_that_is_gone_go() {
    let cluster = Cluster::start().await;
    let client = &cluster.client;
    eventually("account", async || client.get::<ServiceAccount>("default", "default").await.ok()).await;
    let secret = json!({
        "metadata": {
            "name": "old", "namespace": "default", "annotations": { "kubernetes.io/service-account.name": "nobody" },
        },
        "type": "kubernetes.io/service-account-token",
    });
    cluster.create::<Secret>(secret).await;
    eventually("token of nobody is gone", async || client.get::<Secret>("default", "old").await.err()).await;
    let pod = json!({
        "metadata": { "name": "unbound", "namespace": "default", "finalizers": ["x.io/hold"] },
        "spec": { "containers": [{ "name": "c", "image": "nginx" }] },
    });
    cluster.create::<Pod>(pod).await;
    client.delete::<Pod>("default", "unbound", Options::default()).await.unwrap();
    eventually("failed", async || {
        let pod = client.get::<Pod>("default", "unbound").await.ok()?;
        (pod.status.as_ref()?.phase.as_deref() == Some("Failed")).then_some(())
    })
    .await;
    cluster.end().await;
}

#[tokio::test]
async fn https_speaks_every_verb() {
    let cluster = Cluster::start().await;
    let client = &cluster.client;
    let map = json!({ "metadata": { "name": "m", "namespace": "default" }, "data": { "a": "1" } });
    let made = cluster.create::<ConfigMap>(map.clone()).await;
    let resource = client::Resource::of::<ConfigMap>();
    let maps = client.dynamic(resource);
    let from = made.metadata.resource_version.clone().unwrap();
    let options = Options { resource_version: from, field_selector: "metadata.name=m".into(), ..Options::default() };
    let mut events = maps.watch("default", options).await.unwrap();
    let again = client.create::<ConfigMap>(&serde_json::from_value(map).unwrap()).await.unwrap_err();
    assert_eq!((again.code, again.reason.as_str()), (409, "AlreadyExists"));
    assert_eq!(client.get::<ConfigMap>("default", "none").await.unwrap_err().message, "configmaps \"none\" not found");
    let patched = client.patch::<ConfigMap>("default", "m", "", Patch::Merge(json!({ "data": { "b": "2" } }))).await;
    let patched = patched.unwrap();
    assert_eq!(patched.data.as_ref().unwrap().len(), 2);
    let stale = client.update(&*made, "").await.unwrap_err();
    assert!(stale.is_conflict(), "{stale}");
    client.update(&*patched, "").await.unwrap();
    let unknown = json!({ "metadata": { "name": "w" }, "spec": 1 });
    let request =
        client::Resource::of::<ConfigMap>().request(machinery::request::Verb::Create, "default").body(unknown);
    let answer = client.call(request).await.unwrap();
    assert_eq!(answer.warnings, ["unknown field \"spec\""]);
    let all = Options { limit: Some(1), ..Options::default() };
    let page = client.list::<ConfigMap>("default", all).await.unwrap();
    assert!(page.items.len() == 1 && !page.continue_token.is_empty());
    assert!(client.list_all::<ConfigMap>("default", Options::default()).await.unwrap().items.len() >= 2);
    client.delete::<ConfigMap>("default", "m", Options::default()).await.unwrap();
    let mut seen = Vec::new();
    while seen.len() < 2 {
        seen.push(events.next().await.unwrap().unwrap().change);
    }
    assert_eq!(seen, [Change::Modified, Change::Deleted]);
    let raw = cluster.https.raw(http::Method::GET, "/version", "application/json", None).await.unwrap();
    assert_eq!(raw.code, 200);
    let none = cluster.https.connect(
        "/api/v1/namespaces/default/pods/none/exec?command=x&stdout=true",
        client::https::socket::REMOTE_COMMAND,
    );
    assert_eq!(none.await.err().unwrap().code, 404);
    cluster.end().await;
}

#[tokio::test]
async fn nothing_is_made_twice_when_answers_are_lost() {
    let cluster = Cluster::start_with(true).await;
    let client = &cluster.client;
    eventually("account", async || client.get::<ServiceAccount>("default", "default").await.ok()).await;
    deploy(&cluster, "default", 20).await;
    eventually("twenty pods", async || {
        let pods = pods(&cluster, "default").await;
        assert!(pods.len() <= 20, "{} pods", pods.len());
        (pods.len() == 20).then_some(())
    })
    .await;
    let scale = Patch::Merge(json!({ "spec": { "replicas": 7 } }));
    client.patch::<Deployment>("default", "web", "", scale).await.unwrap();
    eventually("seven pods", async || {
        let pods = pods(&cluster, "default").await;
        assert!(pods.len() >= 7, "{} pods", pods.len());
        (pods.len() == 7).then_some(())
    })
    .await;
    cluster.end().await;
}
