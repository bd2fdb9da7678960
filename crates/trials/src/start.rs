//! `cargo xtask start`: how long a cluster takes to be ready, and a pod after that to run and to resolve a name of the
//! cluster; from nothing, and with much in the data after the server was killed and after `kybern down`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use client::{Client, Resource};
use cluster::progress::{self, Said};
use cluster::{cgroup, supervise};
use futures::{StreamExt, TryStreamExt, stream};
use http::Method;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use serde_json::{Value, json};

use crate::bed::Bed;
use crate::pods;

const NAMESPACE: &str = "default";
const CONFIG_MAPS: usize = 4_000;
const VALUE_BYTES: usize = 512;
const PODS: usize = 50;
const ROUNDS: usize = 3;
const AT_ONCE: usize = 8;
const START_PATIENCE: Duration = Duration::from_secs(60);

/// Measures and prints.
pub async fn run(binary: PathBuf) -> Result<()> {
    Bed::with(binary, "start", async |bed| measure(bed).await).await
}

async fn measure(bed: &Bed) -> Result<()> {
    println!("{:<44} {:>9} {:>9}", "", "Ready", "resolved");
    for _ in 0..ROUNDS {
        let ready = up(bed)?;
        bed.load("busybox")?;
        let resolved = resolves(bed).await?;
        print("from nothing", ready, resolved);
        bed.delete()?;
    }
    up(bed)?;
    bed.load("busybox")?;
    fill(bed).await?;
    let large = format!("{CONFIG_MAPS} ConfigMaps, {PODS} pods");
    for _ in 0..ROUNDS {
        let ready = killed(bed)?;
        print(&format!("{large}, server killed"), ready, resolves(bed).await?);
    }
    for _ in 0..ROUNDS {
        bed.kybern(&["down"])?;
        let ready = up(bed)?;
        print(&format!("{large}, after down"), ready, resolves(bed).await?);
        let client = bed.client().await?;
        let back = Instant::now();
        pods::until(&client, NAMESPACE, |seen| seen.values().filter(|pod| pods::is_ready(pod)).count() == PODS).await?;
        println!("{:<44} {:>6} ms", "  all pods back besides", back.elapsed().as_millis());
    }
    Ok(())
}

fn print(what: &str, ready: Duration, resolved: Duration) {
    println!("{what:<44} {:>6} ms {:>6} ms", ready.as_millis(), resolved.as_millis());
}

fn up(bed: &Bed) -> Result<Duration> {
    let begun = Instant::now();
    bed.kybern(&["up"])?;
    Ok(begun.elapsed())
}

/// From the server's end until the next one is ready.
fn killed(bed: &Bed) -> Result<Duration> {
    let supervisor = supervise::living(&bed.home)?.context("no supervisor")?;
    let mark = progress::mark(&bed.home.progress());
    let begun = Instant::now();
    cgroup::end(&supervise::servers(&bed.home)?)?;
    let mut steps = Vec::new();
    progress::follow(&bed.home.progress(), mark, &supervisor, START_PATIENCE, |said| {
        if let Said::Step { what, at_ms } = said {
            steps.push(format!("{what} {at_ms}"));
        }
    })?;
    let ready = begun.elapsed();
    println!("  {}", steps.join(", "));
    Ok(ready)
}

/// From the creation of a pod until it ran and its `nslookup` succeeded; the pod is removed.
async fn resolves(bed: &Bed) -> Result<Duration> {
    let client = bed.client().await?;
    let command = ["nslookup", "kubernetes.default.svc.cluster.local"];
    let container = json!({"name": "c", "image": "busybox:1.36", "command": command});
    let spec = json!({"restartPolicy": "Never", "containers": [container]});
    let begun = Instant::now();
    create::<Pod>(&client, json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "asks"}, "spec": spec}))
        .await?;
    let ended = |pod: &Arc<Value>| pod["status"]["phase"] == "Succeeded" || pod["status"]["phase"] == "Failed";
    let seen = pods::until(&client, NAMESPACE, |seen| seen.get("asks").is_some_and(ended)).await?;
    let took = begun.elapsed();
    let log = bed.https().await?.raw(Method::GET, "/api/v1/namespaces/default/pods/asks/log", "*/*", None).await?;
    ensure!(
        seen["asks"]["status"]["phase"] == "Succeeded",
        "it does not resolve: {}",
        String::from_utf8_lossy(&log.body)
    );
    let now = client::Options { grace_period_seconds: Some(0), ..client::Options::default() };
    client.delete::<Pod>(NAMESPACE, "asks", now).await?;
    pods::until(&client, NAMESPACE, |seen| !seen.contains_key("asks")).await?;
    Ok(took)
}

async fn fill(bed: &Bed) -> Result<()> {
    let client = bed.client().await?;
    let value = "v".repeat(VALUE_BYTES);
    let maps = stream::iter(0..CONFIG_MAPS).map(|n| {
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("m{n}")}, "data": {"k": value}});
        create::<ConfigMap>(&client, map)
    });
    maps.buffer_unordered(AT_ONCE).try_collect::<()>().await?;
    let pods = stream::iter(0..PODS).map(|n| {
        let container = json!({"name": "c", "image": "busybox:1.36", "command": ["sleep", "1000000"]});
        let spec = json!({"terminationGracePeriodSeconds": 0, "containers": [container]});
        create::<Pod>(
            &client,
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": format!("p{n}")}, "spec": spec}),
        )
    });
    pods.buffer_unordered(AT_ONCE).try_collect::<()>().await?;
    pods::until(&client, NAMESPACE, |seen| seen.values().filter(|pod| pods::is_ready(pod)).count() == PODS).await?;
    Ok(())
}

async fn create<T: client::typed::Typed>(client: &Client, tree: Value) -> Result<()> {
    client.create_tree(&Resource::of::<T>(), NAMESPACE, "", "", tree).await?;
    Ok(())
}
