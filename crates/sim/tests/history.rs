//! The same seed is the same history; and a roll-out whose controllers and scheduler are killed again and again holds
//! its bounds and comes to the same end.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use client::cache::{Cache, Source};
use client::{Client, Options, Patch};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;
use sim::cluster::Cluster;
use sim::world;
use tokio_util::sync::CancellationToken;

const REPLICAS: usize = 6;
const SURGE: usize = 1;
const UNAVAILABLE: usize = 1;
/// Seeds of the randomized roll-outs; more are tried with `KYBERN_SIM_SEEDS`.
const SEEDS: u64 = 12;

fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(work)
}

fn deployment(version: &str) -> Deployment {
    let pod = json!({
        "terminationGracePeriodSeconds": 0,
        "containers": [{ "name": "c", "image": "nginx", "env": [{ "name": "VERSION", "value": version }] }],
    });
    let rolling = json!({ "maxSurge": SURGE, "maxUnavailable": UNAVAILABLE });
    serde_json::from_value(json!({
        "metadata": { "name": "web", "namespace": "default" },
        "spec": {
            "replicas": REPLICAS,
            "selector": { "matchLabels": { "app": "web" } },
            "strategy": { "type": "RollingUpdate", "rollingUpdate": rolling },
            "template": { "metadata": { "labels": { "app": "web" } }, "spec": pod },
        },
    }))
    .unwrap()
}

async fn cluster(seed: u64, nodes: usize) -> Cluster {
    let mut cluster = Cluster::start(seed).await.unwrap();
    for _ in 0..nodes {
        cluster.add_node().await.unwrap();
    }
    cluster
}

/// Whether the newest template has all the pods, and they are available.
async fn is_complete(admin: &Client) -> bool {
    let web = admin.get::<Deployment>("default", "web").await.unwrap();
    let Some(status) = &web.status else { return false };
    let all = i32::try_from(REPLICAS).ok();
    status.observed_generation == web.metadata.generation
        && [status.replicas, status.updated_replicas, status.available_replicas].iter().all(|count| *count == all)
}

async fn complete(admin: &Client) {
    let done = async {
        while !is_complete(admin).await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(600), done).await.expect("the roll-out does not end");
}

async fn roll_out(admin: &Client, version: &str) {
    let patch = serde_json::to_value(deployment(version)).unwrap();
    admin.patch::<Deployment>("default", "web", "", Patch::Merge(patch)).await.unwrap();
}

/// All objects with their versions; without those that renew themselves, when these do not matter.
async fn versions(admin: &Client, renewed: bool) -> BTreeSet<String> {
    let mut versions = BTreeSet::new();
    let kinds = api::KINDS.iter().filter(|k| k.verbs.contains(&"watch"));
    for kind in kinds.filter(|kind| renewed || !["Lease", "Event", "Node"].contains(&kind.kind)) {
        let list = admin.dynamic(client::Resource::from(*kind)).list("", Options::default()).await.unwrap();
        versions.extend(list.items.iter().map(|object| {
            let tree = object.tree();
            let (key, uid) = (machinery::meta::key(&tree), machinery::meta::uid(&tree));
            format!("{:06} {} {key} {uid}", object.revision(), kind.kind)
        }));
    }
    versions
}

/// A roll-out in which a kubelet, the scheduler and the controllers are killed, and all that is there after it.
async fn history(seed: u64) -> Vec<String> {
    let mut cluster = cluster(seed, 2).await;
    let admin = cluster.admin();
    admin.create(&deployment("one")).await.unwrap();
    complete(&admin).await;
    roll_out(&admin, "two").await;
    tokio::time::sleep(Duration::from_millis(30)).await;
    cluster.kill_controllers();
    cluster.kill_scheduler();
    cluster.restart_kubelet("node-2").unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    cluster.start_scheduler();
    cluster.start_controllers().unwrap();
    complete(&admin).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    versions(&admin, true).await.into_iter().collect()
}

#[test]
fn the_same_seed_is_the_same_history() {
    let mut last = Vec::new();
    for seed in 7..10 {
        let (first, second) = (run(history(seed)), run(history(seed)));
        let differs = first.iter().zip(&second).find(|(one, other)| one != other);
        assert_eq!(differs, None, "seed {seed}");
        assert_eq!(first.len(), second.len(), "seed {seed}");
        assert_ne!(first, last, "another seed is another history");
        last = first;
    }
}

/// What is not as it may be, whenever a pod changes.
fn watch_bounds(pods: &Cache<Pod>) -> Arc<Mutex<Vec<String>>> {
    let broken: Arc<Mutex<Vec<String>>> = Arc::default();
    let (told, cache) = (broken.clone(), pods.clone());
    pods.listen(Box::new(move |_| {
        let snapshot = cache.snapshot();
        let alive: Vec<_> = snapshot.iter().filter(|(_, pod)| pod.metadata.deletion_timestamp.is_none()).collect();
        let available = alive.iter().filter(|(_, pod)| is_ready(pod)).count();
        if alive.len() > REPLICAS + SURGE || available + UNAVAILABLE < REPLICAS {
            told.lock().unwrap().push(format!("{}: {available} of {}", world::now(), alive.len()));
        }
    }));
    broken
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().filter_map(|status| status.conditions.as_ref()).flatten();
    conditions.into_iter().any(|c| c.type_ == "Ready" && c.status == "True")
}

/// Kills and starts minds at random moments until the roll-out is complete.
async fn torment(cluster: &mut Cluster, admin: &Client) {
    for _ in 0..200 {
        tokio::time::sleep(Duration::from_millis(world::random() % 150)).await;
        match world::random() % 6 {
            0 => cluster.kill_controllers(),
            1 => cluster.kill_scheduler(),
            2 => cluster.restart_kubelet("node-1").unwrap(),
            3 => cluster.start_scheduler(),
            _ => cluster.start_controllers().unwrap(),
        }
        if is_complete(admin).await {
            break;
        }
    }
    cluster.start_scheduler();
    cluster.start_controllers().unwrap();
}

async fn tormented(seed: u64) {
    let mut cluster = cluster(seed, 3).await;
    let admin = cluster.admin();
    admin.create(&deployment("one")).await.unwrap();
    complete(&admin).await;
    let pods = Cache::new(admin.clone(), Source::<Pod>::typed(), world::of_clients());
    let (running, stop) = (pods.clone(), CancellationToken::new());
    tokio::spawn(async move { running.run(stop).await });
    pods.synced().await;
    let broken = watch_bounds(&pods);
    roll_out(&admin, "two").await;
    torment(&mut cluster, &admin).await;
    complete(&admin).await;
    assert_eq!(*broken.lock().unwrap(), Vec::<String>::new(), "seed {seed}: bounds");
    // What was left half done is settled, and then nothing is written any more.
    tokio::time::sleep(Duration::from_secs(30)).await;
    let sets = admin.list_all::<ReplicaSet>("default", Options::default()).await.unwrap().items;
    let mut sizes: Vec<_> = sets.iter().map(|set| set.status.as_ref().unwrap().replicas).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [0, i32::try_from(REPLICAS).unwrap()], "seed {seed}: ReplicaSets");
    assert_eq!(pods.snapshot().iter().count(), REPLICAS, "seed {seed}: pods");
    let settled = versions(&admin, false).await;
    cluster.kill_controllers();
    cluster.kill_scheduler();
    cluster.start_controllers().unwrap();
    cluster.start_scheduler();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(versions(&admin, false).await, settled, "seed {seed}: started again, the minds have nothing to write");
    cluster.end();
}

#[test]
fn a_roll_out_whose_minds_are_killed_holds_its_bounds_and_comes_to_its_end() {
    let seeds = std::env::var("KYBERN_SIM_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(SEEDS);
    for seed in 0..seeds {
        run(tormented(seed));
    }
}
