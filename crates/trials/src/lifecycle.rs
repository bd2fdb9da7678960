//! `cargo xtask lifecycle`: what people do to clusters besides using them. Stopped and started again, started twice at
//! once, run by hand, deleted while starting, and two on one machine, of which one goes first.

use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use client::{Client, Options, Resource};
use cluster::progress;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::bed::Bed;
use crate::pods;

const NAMESPACE: &str = "default";
const PATIENCE: Duration = Duration::from_secs(120);
const FORWARDING: &str = "/proc/sys/net/ipv4/ip_forward";

/// Runs all of it.
pub async fn run(binary: PathBuf) -> Result<()> {
    Bed::with(binary, "first", async |bed| {
        stopped_and_started(bed).await.context("down and up")?;
        started_twice_at_once(bed).context("up twice at once")?;
        run_by_hand(bed).await.context("a server in the foreground")?;
        deleted_while_starting(bed).context("delete while up")?;
        two_on_one_machine(bed).await.context("two clusters")
    })
    .await?;
    println!("held");
    Ok(())
}

/// Pods come back as after a reboot of their node: the same objects, each container restarted once.
async fn stopped_and_started(bed: &Bed) -> Result<()> {
    bed.kybern(&["up"])?;
    bed.load("busybox")?;
    bed.load("nginx")?;
    let client = bed.client().await?;
    let command = ["sh", "-c", "echo started; trap exit TERM; while true; do sleep 1; done"];
    let always = json!({"containers": [{"name": "c", "image": "busybox:1.36", "command": command}]});
    let web = web();
    let mut never = always.clone();
    never["restartPolicy"] = "Never".into();
    for (name, spec) in [("always", always), ("web", web), ("never", never)] {
        create::<Pod>(&client, json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}))
            .await?;
    }
    create::<ConfigMap>(
        &client,
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kept"}, "data": {"a": "b"}}),
    )
    .await?;
    let before =
        pods::until(&client, NAMESPACE, |seen| seen.values().filter(|pod| pods::is_ready(pod)).count() == 3).await?;
    for round in 1..=2 {
        bed.kybern(&["down"])?;
        bed.kybern(&["down"]).context("down when it is down")?;
        ensure!(bed.kybern(&["status"]).is_err(), "status says that a stopped cluster runs");
        bed.kybern(&["up"])?;
        let said = bed.kybern(&["up"]).context("up when it is up")?;
        ensure!(said.contains("is running already"), "a second up says {said:?}");
        bed.kybern(&["status"])?;
        let client = bed.client().await?;
        let back = |seen: &std::collections::BTreeMap<String, std::sync::Arc<Value>>| {
            ["always", "web"]
                .iter()
                .all(|name| seen.get(*name).is_some_and(|pod| pods::is_ready(pod) && restarts(pod) == round))
                && seen.get("never").is_some_and(|pod| pod["status"]["phase"] == "Failed")
        };
        let after = pods::until(&client, NAMESPACE, back).await?;
        for (name, pod) in &after {
            ensure!(pod["metadata"]["uid"] == before[name]["metadata"]["uid"], "{name} is another pod");
            ensure!(name != "never" || restarts(pod) == 0, "a container that is never restarted was");
        }
        let last = &after["always"]["status"]["containerStatuses"][0]["lastState"]["terminated"];
        ensure!(last["exitCode"].is_i64(), "the end of the former container is not told: {last}");
        let kept = client.get::<ConfigMap>(NAMESPACE, "kept").await?;
        ensure!(kept.data.as_ref().is_some_and(|data| data.get("a").is_some_and(|value| value == "b")), "data is lost");
        answers(&after["web"]).await?;
    }
    bed.delete()
}

async fn create<T: client::typed::Typed>(client: &Client, tree: Value) -> Result<()> {
    client.create_tree(&Resource::of::<T>(), NAMESPACE, "", "", tree).await?;
    Ok(())
}

/// Ready when it listens: a container that was just started refuses connections still.
fn web() -> Value {
    let probe = json!({"tcpSocket": {"port": 80}, "periodSeconds": 1});
    json!({"containers": [
        {"name": "c", "image": "nginx", "imagePullPolicy": "IfNotPresent", "readinessProbe": probe},
    ]})
}

fn restarts(pod: &Value) -> i64 {
    pod["status"]["containerStatuses"][0]["restartCount"].as_i64().unwrap_or(-1)
}

async fn answers(pod: &Value) -> Result<()> {
    let address = pod["status"]["podIP"].as_str().context("a pod without address")?;
    let mut stream = TcpStream::connect(SocketAddrV4::new(address.parse()?, 80)).await.context("ask the pod")?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    ensure!(answer.contains(" 200 "), "the pod answers {answer:?}");
    Ok(())
}

/// Both succeed, and there is one cluster.
fn started_twice_at_once(bed: &Bed) -> Result<()> {
    let ups = (0..3).map(|_| bed.command(&["up"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn());
    for up in ups.collect::<std::io::Result<Vec<_>>>()? {
        let done = up.wait_with_output()?;
        ensure!(done.status.success(), "one of them failed: {}", String::from_utf8_lossy(&done.stderr));
    }
    ensure!(cluster::supervise::servers(&bed.home)?.len() == 1, "there is not one server");
    bed.delete()
}

/// A server in the foreground is the cluster's as the one that `up` starts: seen, not doubled, and ended with its pods.
async fn run_by_hand(bed: &Bed) -> Result<()> {
    bed.kybern(&["up"])?;
    bed.load("busybox")?;
    let always = json!({"containers": [{"name": "c", "image": "busybox:1.36", "command": ["sleep", "100000"]}]});
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "always"}, "spec": always});
    create::<Pod>(&bed.client().await?, pod).await?;
    pods::until(&bed.client().await?, NAMESPACE, |seen| seen.values().any(|pod| pods::is_ready(pod))).await?;
    for (restarted, ending) in [(1, "down"), (2, "delete")] {
        bed.kybern(&["down"])?;
        let mut server = foreground(bed)?;
        bed.kybern(&["status"])?;
        let said = bed.kybern(&["up"])?;
        ensure!(said.contains("is running already"), "up beside a server says {said:?}");
        let refused = bed.kybern(&["server"]).err().context("there are two servers")?;
        ensure!(format!("{refused:#}").contains("is running already"), "a second server is refused with {refused:#}");
        let servers = cluster::supervise::servers(&bed.home)?;
        ensure!(servers == [server.id()], "the servers are {servers:?}, and not {}", server.id());
        let back = |pod: &Value| pods::is_ready(pod) && restarts(pod) == restarted;
        pods::until(&bed.client().await?, NAMESPACE, |seen| seen.values().any(|pod| back(pod))).await?;
        bed.kybern(&[ending])?;
        let ended = server.wait()?;
        ensure!(ended.success(), "the server was not asked to end: {ended}");
        let left = cluster::cgroup::processes(&bed.home.kernel_name())?;
        ensure!(left.is_empty(), "{ending} leaves the processes {left:?}");
        ensure!(bed.kybern(&["status"]).is_err(), "status says that an ended server runs");
    }
    bed.delete()
}

/// A server of a stopped cluster, once it is ready.
fn foreground(bed: &Bed) -> Result<std::process::Child> {
    std::fs::create_dir_all(&bed.home.run).context("make the folder that is watched")?;
    let server = bed.command(&["server"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let pid = Pid::from_raw(i32::try_from(server.id())?).context("a server without a number")?;
    let handle = pidfd_open(pid, PidfdFlags::empty()).context("open the server")?;
    progress::follow(&bed.home.progress(), None, &handle, PATIENCE, |_| {})?;
    Ok(server)
}

/// The one that is too late fails with words, or is not too late; nothing is left.
fn deleted_while_starting(bed: &Bed) -> Result<()> {
    for _ in 0..5 {
        let up = bed.command(&["up"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        bed.kybern(&["delete"])?;
        let done = up.wait_with_output()?;
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        ensure!(done.status.success() || said.starts_with("error: "), "up ends with {} and {said:?}", done.status);
        // It may have begun after the deletion.
        bed.delete()?;
        let left = cluster::cgroup::processes(&bed.home.kernel_name())?;
        ensure!(left.is_empty(), "the processes {left:?} are left");
    }
    Ok(())
}

/// What belongs to both stays until the last one goes.
async fn two_on_one_machine(first: &Bed) -> Result<()> {
    std::fs::write(FORWARDING, "0").context("switch forwarding off")?;
    let second = first.beside("second");
    let apart = ["up", "--api-port", "16443", "--pod-cidr", "10.245.0.0/16", "--service-cidr", "10.97.0.0/16"];
    first.kybern(&["up"])?;
    let refused =
        second.kybern(&["up", "--api-port", "16443"]).err().context("two clusters have the same addresses")?;
    ensure!(format!("{refused:#}").contains("choose others than"), "overlapping ranges are refused with {refused:#}");
    second.kybern(&apart)?;
    second.load("nginx")?;
    let client = second.client().await?;
    let spec = web();
    create::<Pod>(&client, json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}, "spec": spec}))
        .await?;
    let seen = pods::until(&client, NAMESPACE, |seen| seen.values().any(|pod| pods::is_ready(pod))).await?;
    first.delete()?;
    ensure!(forwards()?, "the first cluster switched forwarding off under the second one");
    answers(&seen["web"]).await.context("after the other cluster was deleted")?;
    let pods = client.list::<Pod>(NAMESPACE, Options::default()).await?;
    ensure!(pods.items.len() == 1, "the second cluster lost its pod");
    second.delete()?;
    ensure!(!forwards()?, "the last cluster left forwarding on");
    Ok(())
}

fn forwards() -> Result<bool> {
    Ok(std::fs::read_to_string(Path::new(FORWARDING)).context("read ip_forward")?.trim() == "1")
}
