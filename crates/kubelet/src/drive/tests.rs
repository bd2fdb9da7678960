//! Pods' tasks from the first plan to the last, with hands that work in memory and an API that is a map.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use machinery::object::Object;
use machinery::request::{Answer, Body, Content, Request, Verb};
use machinery::status::Status;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::context::Context;
use super::cri::Observed;
use super::event::Event;
use super::hands::{Failed, Hands, Outcome, Scene};
use super::task::{self, Start};
use crate::plan::node::Machine;
use crate::plan::seen::{Container, Sandbox, State};
use crate::plan::spec;
use crate::plan::step::Step;
use crate::{Config, Folders};

/// An API server that takes status patches.
#[derive(Default)]
struct Api {
    status: Mutex<Value>,
}

impl client::Transport for Api {
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Answer, Status>> {
        let answer = match (request.verb, request.resource.as_str(), request.body) {
            (Verb::Patch(_), "pods", Body::Tree(patch)) => {
                let mut status = self.status.lock().unwrap();
                for (key, value) in patch["status"].as_object().cloned().unwrap_or_default() {
                    status[key] = value;
                }
                Ok(json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "p", "resourceVersion": "1"}}))
            }
            _ => Err(Status::not_found("", &request.resource, &request.name)),
        };
        let object = answer.map(|tree| Content::Object(Object::from_tree(&tree)));
        futures::future::ready(object.map(|content| Answer { code: 200, warnings: Vec::new(), content })).boxed()
    }

    fn watch(&self, _: Request) -> BoxFuture<'_, Result<client::Events, Status>> {
        futures::future::ready(Ok(futures::stream::pending().boxed())).boxed()
    }
}

/// A runtime in memory: containers start at once, those named `bad` have no image.
#[derive(Default)]
struct Memory {
    seen: Mutex<Observed>,
    steps: Mutex<Vec<Step>>,
}

impl Memory {
    fn end(&self, name: &str, exit_code: i32) {
        for c in self.seen.lock().unwrap().containers.iter_mut().filter(|c| c.name == name && c.running()) {
            c.state = State::Exited;
            c.exit_code = exit_code;
            c.finished = Some(Timestamp::now());
        }
    }

    fn work(&self, scene: &Scene, step: &Step) -> Outcome {
        let mut seen = self.seen.lock().unwrap();
        match step {
            Step::CreateSandbox { attempt } => seen.sandboxes.insert(0, sandbox(*attempt)),
            Step::EnsureImage { container, .. } if container == "bad" => {
                return Outcome::Failed(Failed { reason: "ErrImagePull".into(), message: "no such image".into() });
            }
            Step::StartContainer { container, attempt, .. } => {
                seen.containers.insert(0, started(&scene.pod, container, &scene.sandbox, *attempt));
            }
            Step::StopContainer { id, .. } => {
                for c in seen.containers.iter_mut().filter(|c| c.id == *id) {
                    c.state = State::Exited;
                    c.finished = Some(Timestamp::now());
                }
            }
            Step::StopSandbox { id } => {
                seen.sandboxes.iter_mut().filter(|s| s.id == *id).for_each(|s| s.ready = false);
            }
            Step::RemoveSandbox { id } => seen.sandboxes.retain(|s| s.id != *id),
            _ => {}
        }
        Outcome::Done
    }
}

fn sandbox(attempt: u32) -> Sandbox {
    Sandbox {
        id: format!("s{attempt}"),
        attempt,
        ready: true,
        created: Timestamp::now(),
        host_network: false,
        ips: vec!["10.0.0.2".into()],
    }
}

fn started(pod: &Pod, name: &str, sandbox: &str, restarts: u32) -> Container {
    Container {
        id: format!("{name}-{restarts}"),
        name: name.into(),
        sandbox: sandbox.into(),
        state: State::Running,
        created: Timestamp::now(),
        started: Some(Timestamp::now()),
        finished: None,
        exit_code: 0,
        reason: String::new(),
        message: String::new(),
        image: "i".into(),
        image_id: "sha256:1".into(),
        hash: spec::hash(&spec::find(pod, name).unwrap()),
        restarts,
        log_path: String::new(),
        user: None,
    }
}

struct Shared(Arc<Memory>);

impl Hands for Shared {
    fn observe<'a>(&'a self, _: &'a str, _: &'a [Container]) -> BoxFuture<'a, Result<Observed, String>> {
        let seen = self.0.seen.lock().unwrap().clone();
        futures::future::ready(Ok(seen)).boxed()
    }

    fn carry_out(&self, scene: Scene, step: Step) -> BoxFuture<'static, Outcome> {
        let memory = self.0.clone();
        async move {
            memory.steps.lock().unwrap().push(step.clone());
            memory.work(&scene, &step)
        }
        .boxed()
    }
}

fn config() -> Config {
    Config {
        node_name: "n".into(),
        node_ips: vec!["192.0.2.1".parse().unwrap()],
        folders: Folders::default(),
        cluster_domain: "cluster.local".into(),
        cluster_dns: Vec::new(),
        resolv_conf: "/dev/null".into(),
        cgroup_root: "/none".into(),
        pods_max: 10,
        reserved: BTreeMap::new(),
        labels: BTreeMap::new(),
        port: 10250,
        serving: None,
        version: "v1.36.0".into(),
    }
}

struct World {
    api: Arc<Api>,
    memory: Arc<Memory>,
    cx: Arc<Context>,
    pod: Arc<Pod>,
    task: tokio::task::JoinHandle<()>,
}

fn pod(spec: Value) -> Pod {
    let tree = json!({"metadata": {"name": "p", "namespace": "d", "uid": "u"}, "spec": spec, "status": {}});
    serde_json::from_value(tree).unwrap()
}

fn start(spec: Value) -> World {
    let api = Arc::new(Api { status: Mutex::new(json!({})) });
    let runtime = super::remote::connect("/nonexistent".into());
    let machine = Machine::default();
    let (cx, events) = super::context(
        config(),
        client::Client::new(api.clone()),
        runtime,
        "kybern".into(),
        client::World::real(),
        &machine,
    );
    tokio::spawn(events);
    let (memory, pod) = (Arc::new(Memory::default()), Arc::new(pod(spec)));
    let inbox = cx.mailboxes.open("u");
    let begin = Start { pod: pod.clone(), orphan: false, verdict: None };
    let hands = Arc::new(Shared(memory.clone()));
    let task = tokio::spawn(task::run(cx.clone(), hands, begin, inbox, CancellationToken::new()));
    World { api, memory, cx, pod, task }
}

impl World {
    async fn until(&self, what: &str, holds: impl Fn(&Value) -> bool) {
        for _ in 0..2000 {
            if holds(&self.api.status.lock().unwrap()) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        panic!("{what} never came: {:#}", self.api.status.lock().unwrap());
    }
}

#[tokio::test]
async fn a_pod_runs_is_restarted_and_is_forgotten_when_deleted() {
    let world = start(json!({"terminationGracePeriodSeconds": 3, "containers": [{"name": "c", "image": "i"}]}));
    world.until("running", |s| s["phase"] == "Running" && s["podIP"] == "10.0.0.2").await;
    world.memory.end("c", 1);
    world.cx.mailboxes.tell("u", Event::Runtime);
    world.until("the restart", |s| s["containerStatuses"][0]["restartCount"] == 1).await;
    let mut deleted = (*world.pod).clone();
    deleted.metadata.deletion_timestamp = Some(crate::plan::container_status::time(Timestamp::now()));
    deleted.metadata.deletion_grace_period_seconds = Some(3);
    world.cx.mailboxes.tell("u", Event::Pod(Arc::new(deleted)));
    world.until("the last status", |s| s["phase"] == "Succeeded").await;
    let forgets = || world.memory.steps.lock().unwrap().iter().filter(|s| matches!(s, Step::Forget)).count();
    world.until("the deletion", |_| forgets() == 1).await;
    assert!(world.memory.seen.lock().unwrap().sandboxes.iter().all(|s| !s.ready));
    world.cx.mailboxes.tell("u", Event::Gone);
    world.task.await.unwrap();
    assert!(world.memory.seen.lock().unwrap().sandboxes.is_empty());
    let steps = world.memory.steps.lock().unwrap();
    let graces: Vec<_> = steps
        .iter()
        .filter_map(|s| if let Step::StopContainer { grace_s, .. } = s { Some(*grace_s) } else { None })
        .collect();
    assert_eq!(graces, [3]);
    assert_eq!(steps.iter().filter(|s| matches!(s, Step::Forget)).count(), 1, "told once, whatever happens after it");
}

#[tokio::test]
async fn a_missing_image_is_told_and_its_pull_backs_off() {
    let world = start(json!({"containers": [{"name": "bad", "image": "i"}]}));
    let reason = |s: &Value| s["containerStatuses"][0]["state"]["waiting"]["reason"].clone();
    world.until("the error", |s| reason(s) == "ErrImagePull").await;
    world.until("the back-off", |s| reason(s) == "ImagePullBackOff").await;
    let pulls = world.memory.steps.lock().unwrap().iter().filter(|s| matches!(s, Step::EnsureImage { .. })).count();
    assert_eq!(pulls, 1);
}

#[tokio::test]
async fn what_is_left_of_a_pod_that_nobody_wants_is_removed() {
    let world = start(json!({"containers": [{"name": "c", "image": "i"}]}));
    world.until("running", |s| s["phase"] == "Running").await;
    world.cx.mailboxes.tell("u", Event::Gone);
    world.task.await.unwrap();
    assert!(world.memory.seen.lock().unwrap().sandboxes.is_empty());
    let steps = world.memory.steps.lock().unwrap();
    assert!(!steps.iter().any(|s| matches!(s, Step::Forget)), "the object was gone already");
}

#[test]
fn the_kubelets_folder_is_closed_to_others() {
    use std::os::unix::fs::PermissionsExt;
    let folder = std::env::temp_dir().join(format!("kubelet-private-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    super::keep_private(folder.to_str().unwrap()).unwrap();
    assert_eq!(std::fs::metadata(&folder).unwrap().permissions().mode() & 0o7777, 0o750);
    std::fs::remove_dir(&folder).unwrap();
    assert!(super::keep_private(folder.to_str().unwrap()).is_err());
}
