//! The pods and Services that must not notice anything: where they answer, and who they are.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;

use anyhow::{Context, Result};
use client::{Client, Options, Resource};
use http::Method;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, Node, Pod, Service};
use serde_json::{Value, json};

use super::load::NAMESPACE;
use crate::bed::Bed;
use crate::pods;

const REPLICAS: usize = 3;
const PORT: u16 = 80;
/// Counts in its log.
const COUNTER: &str = "counter";

/// The applications as they were before the first kill.
pub struct Before {
    pub addresses: Vec<SocketAddrV4>,
    /// What must not change, by pod.
    identities: BTreeMap<String, Value>,
}

/// Starts them and waits until they are ready.
pub async fn start(bed: &Bed) -> Result<Before> {
    bed.load("nginx")?;
    bed.load("busybox")?;
    let client = bed.client().await?;
    create::<Namespace>(&client, "", json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}))
        .await?;
    let labels = json!({"app": "web"});
    let probe = json!({"httpGet": {"port": PORT}, "periodSeconds": 1});
    let container =
        json!({"name": "web", "image": "nginx", "imagePullPolicy": "IfNotPresent", "readinessProbe": probe});
    let template = json!({"metadata": {"labels": labels}, "spec": {"containers": [container]}});
    let spec = json!({"replicas": REPLICAS, "selector": {"matchLabels": labels}, "template": template});
    let metadata = json!({"name": "web"});
    create::<Deployment>(
        &client,
        NAMESPACE,
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}),
    )
    .await?;
    let spec = json!({"type": "NodePort", "selector": labels, "ports": [{"port": PORT}]});
    create::<Service>(
        &client,
        NAMESPACE,
        json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}),
    )
    .await?;
    let count = "i=0; while true; do echo $i; i=$((i+1)); sleep 0.2; done";
    let container = json!({"name": "count", "image": "busybox:1.28", "args": ["sh", "-c", count]});
    let counter =
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": COUNTER}, "spec": {"containers": [container]}});
    create::<Pod>(&client, NAMESPACE, counter).await?;
    pods::until(&client, NAMESPACE, |seen| seen.values().filter(|pod| pods::is_ready(pod)).count() == REPLICAS + 1)
        .await?;
    Ok(Before { addresses: addresses(&client).await?, identities: identities(&client).await? })
}

async fn create<T: client::typed::Typed>(client: &Client, namespace: &str, tree: Value) -> Result<()> {
    client.create_tree(&Resource::of::<T>(), namespace, "", "", tree).await?;
    Ok(())
}

/// Each web pod's own address, the Service's, and its port of the node.
async fn addresses(client: &Client) -> Result<Vec<SocketAddrV4>> {
    let service = client.get::<Service>(NAMESPACE, "web").await?;
    let spec = service.spec.as_ref().context("a Service without spec")?;
    let cluster = spec.cluster_ip.as_deref().context("a Service without address")?;
    let port = spec.ports.iter().flatten().find_map(|port| port.node_port).context("a Service without node port")?;
    let nodes = client.list::<Node>("", Options::default()).await?;
    let node = nodes.items.first().and_then(|node| node.status.as_ref()?.addresses.as_ref()?.first().cloned());
    let node = node.context("a node without address")?.address;
    let mut found =
        vec![SocketAddrV4::new(cluster.parse()?, PORT), SocketAddrV4::new(node.parse()?, u16::try_from(port)?)];
    let options = Options { label_selector: "app=web".into(), ..Options::default() };
    for pod in client.list::<Pod>(NAMESPACE, options).await?.items {
        let address =
            pod.status.as_ref().and_then(|status| status.pod_ip.as_deref()).context("a pod without address")?;
        found.push(SocketAddrV4::new(address.parse()?, PORT));
    }
    Ok(found)
}

async fn identities(client: &Client) -> Result<BTreeMap<String, Value>> {
    let list = client.dynamic(Resource::of::<Pod>()).list(NAMESPACE, Options::default()).await?;
    Ok(list
        .items
        .iter()
        .map(|pod| (pod.tree()["metadata"]["name"].as_str().unwrap_or_default().into(), pods::identity(&pod.tree())))
        .collect())
}

impl Before {
    /// What is otherwise now.
    pub async fn differences(&self, bed: &Bed) -> Result<Vec<String>> {
        let now = identities(&bed.client().await?).await?;
        let mut problems = Vec::new();
        if now != self.identities {
            problems.push(format!("the pods were {:#?}\nand are {now:#?}", self.identities));
        }
        let path = format!("/api/v1/namespaces/{NAMESPACE}/pods/{COUNTER}/log");
        let log = bed.https().await?.raw(Method::GET, &path, "*/*", None).await.context("the counter's log")?;
        let lines = String::from_utf8_lossy(&log.body).into_owned();
        let wrong = lines.lines().enumerate().find(|(at, line)| line.parse() != Ok(*at));
        problems.extend(wrong.map(|(at, line)| format!("line {at} of the counter's log is {line:?}")));
        Ok(problems)
    }
}
