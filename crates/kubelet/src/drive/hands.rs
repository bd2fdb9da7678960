//! The hands of a plan: carry a step out, and tell what came of it.
//!
//! The trait is the border to a simulation, which carries the same steps out in memory.

use std::sync::Arc;

use futures::future::BoxFuture;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container as Spec, Pod};
use k8s_openapi::api::node::v1::RuntimeClass;
use machinery::request::Options;
use rpc::cri::{RemoveContainerRequest, RemovePodSandboxRequest, RunPodSandboxRequest, StopPodSandboxRequest};
use tonic::Request;

use super::context::Context;
use super::cri::Observed;
use super::{cgroup, images, start, stop, volumes};
use crate::plan::config::{facts, resources, sandbox};
use crate::plan::seen::{Container, Seen};
use crate::plan::step::Step;
use crate::plan::{qos, spec};

/// Why a step failed, as a waiting container shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    pub reason: String,
    pub message: String,
}

/// What came of a step; what the runtime shows is observed afterwards.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    Done,
    /// Volumes are ready; their tokens are due then.
    Volumes(Option<Timestamp>),
    Failed(Failed),
}

/// What a step needs to know of the pod as it was when the step was planned.
#[derive(Clone)]
pub struct Scene {
    pub pod: Arc<Pod>,
    /// The id and attempt of the sandbox in use, when there is one.
    pub sandbox: String,
    pub attempt: u32,
    pub pod_ips: Vec<String>,
    pub containers: Vec<(String, String)>,
}

impl Scene {
    pub fn of(pod: &Arc<Pod>, seen: &Seen) -> Self {
        let sandbox = seen.sandbox();
        Self {
            pod: pod.clone(),
            sandbox: sandbox.map(|s| s.id.clone()).unwrap_or_default(),
            attempt: sandbox.map_or(0, |s| s.attempt),
            pod_ips: sandbox.map(|s| s.ips.clone()).unwrap_or_default(),
            containers: seen.containers.iter().rev().map(|c| (c.name.clone(), c.id.clone())).collect(),
        }
    }

    /// The pod's addresses: the node's in its network.
    pub fn ips(&self, node: &facts::Node) -> Vec<String> {
        if spec::host_network(&self.pod) { node.ips.clone() } else { self.pod_ips.clone() }
    }

    /// The id of the container whose processes an ephemeral one wants to see.
    pub fn target(&self, container: &Spec) -> Option<String> {
        let ephemeral = spec::spec(&self.pod).ephemeral_containers.iter().flatten();
        let name = ephemeral.into_iter().find(|e| e.name == container.name)?.target_container_name.as_deref()?;
        self.containers.iter().rev().find(|(n, _)| n == name).map(|(_, id)| id.clone())
    }
}

pub trait Hands: Send + Sync + 'static {
    /// What the runtime has of a pod now; `known` containers that have ended need not be asked for again.
    fn observe<'a>(&'a self, uid: &'a str, known: &'a [Container]) -> BoxFuture<'a, Result<Observed, String>>;

    /// Carries a step out.
    fn carry_out(&self, scene: Scene, step: Step) -> BoxFuture<'static, Outcome>;
}

/// Hands over the CRI, the file system and the API.
pub struct Real(pub Arc<Context>);

impl Hands for Real {
    fn observe<'a>(&'a self, uid: &'a str, known: &'a [Container]) -> BoxFuture<'a, Result<Observed, String>> {
        Box::pin(async move { self.0.runtime.observe(uid, known).await.map_err(|e| e.message().to_owned()) })
    }

    fn carry_out(&self, scene: Scene, step: Step) -> BoxFuture<'static, Outcome> {
        let cx = self.0.clone();
        Box::pin(async move { carry_out(&cx, &scene, step).await })
    }
}

fn outcome(result: Result<(), String>) -> Outcome {
    result.map_or_else(|message| Outcome::Failed(Failed { reason: String::new(), message }), |()| Outcome::Done)
}

async fn carry_out(cx: &Arc<Context>, scene: &Scene, step: Step) -> Outcome {
    let pod = scene.pod.as_ref();
    match step {
        Step::CreateSandbox { attempt } => outcome(create_sandbox(cx, pod, attempt).await),
        Step::PrepareVolumes => match volumes::prepare(cx, pod).await {
            Ok(due) => Outcome::Volumes(due),
            Err(problems) => {
                problems.iter().for_each(|p| cx.recorder.pod(pod, None, "Warning", "FailedMount", p));
                outcome(Err(problems.join("; ")))
            }
        },
        Step::EnsureImage { container, .. } => match spec::find(pod, &container) {
            Some(container) => {
                images::ensure(cx, pod, &container).await.map_or_else(Outcome::Failed, |()| Outcome::Done)
            }
            None => Outcome::Done,
        },
        Step::StartContainer { container, attempt, .. } => {
            start::start(cx, scene, &container, attempt).await.map_or_else(Outcome::Failed, |()| Outcome::Done)
        }
        Step::StopContainer { id, container, grace_s, message, .. } => {
            outcome(stop::stop(cx, scene, &id, &container, grace_s, &message).await)
        }
        Step::RemoveContainer { id, container } => outcome(remove_container(cx, pod, &id, &container).await),
        Step::StopSandbox { id } => {
            let request = StopPodSandboxRequest { pod_sandbox_id: id };
            outcome(gone_is_fine(cx.runtime.service.stop_pod_sandbox(Request::new(request)).await))
        }
        Step::RemoveSandbox { id } => outcome(remove_sandbox(cx, scene, id).await),
        Step::TearDown => outcome(tear_down(cx, pod).await),
        Step::Forget => outcome(forget(cx, pod).await),
    }
}

fn gone_is_fine<T>(answer: Result<T, tonic::Status>) -> Result<(), String> {
    match answer {
        Err(e) if e.code() != tonic::Code::NotFound => Err(e.message().to_owned()),
        _ => Ok(()),
    }
}

async fn create_sandbox(cx: &Context, pod: &Pod, attempt: u32) -> Result<(), String> {
    let work = async {
        let config = sandbox::config(pod, attempt, &cx.facts, &cx.config.folders)?;
        let log = config.log_directory.clone();
        std::fs::create_dir_all(&log).map_err(|e| format!("create pod log directory {log} failed: {e}"))?;
        cgroup::create(&resources::cgroup(pod, &cx.facts), &resources::of_pod(pod))?;
        share_processors(cx)?;
        let runtime_handler = runtime_handler(cx, pod).await?;
        let request = RunPodSandboxRequest { config: Some(config), runtime_handler };
        let answer = cx.runtime.service.run_pod_sandbox(Request::new(request)).await;
        answer.map(drop).map_err(|e| format!("rpc error: code = {:?} desc = {}", e.code(), e.message()))
    };
    let done: Result<(), String> = work.await;
    if attempt > 0 {
        let message = "Pod sandbox changed, it will be killed and re-created.";
        cx.recorder.pod(pod, None, "Normal", "SandboxChanged", message);
    }
    if let Err(e) = &done {
        let message = format!("Failed to create pod sandbox: {e}");
        cx.recorder.pod(pod, None, "Warning", "FailedCreatePodSandBox", message);
    }
    done
}

/// Best-effort pods together get the least part of the processors, burstable ones what they ask for.
fn share_processors(cx: &Context) -> Result<(), String> {
    let pods = cx.pods.snapshot();
    let root = &cx.facts.cgroup_root;
    cgroup::set_shares(&format!("{root}/besteffort"), resources::shares(0))?;
    let ended = |p: &Pod| matches!(p.status.as_ref().and_then(|s| s.phase.as_deref()), Some("Succeeded" | "Failed"));
    let burstable = pods.iter().filter(|(_, p)| !ended(p) && qos::class(p) == "Burstable");
    let asked = burstable.map(|(_, p)| qos::pod_milli(p, "cpu", qos::requests)).sum();
    cgroup::set_shares(&format!("{root}/burstable"), resources::shares(asked))
}

/// The runtime's handler of the pod's RuntimeClass; the default one is empty.
async fn runtime_handler(cx: &Context, pod: &Pod) -> Result<String, String> {
    let Some(name) = spec::spec(pod).runtime_class_name.as_deref().filter(|n| !n.is_empty()) else {
        return Ok(String::new());
    };
    match cx.client.get::<RuntimeClass>("", name).await {
        Ok(class) => Ok(class.handler.clone()),
        Err(e) => Err(format!("failed to get sandbox runtime: {}", e.message)),
    }
}

async fn remove_container(cx: &Context, pod: &Pod, id: &str, name: &str) -> Result<(), String> {
    let status = rpc::cri::ContainerStatusRequest { container_id: id.to_owned(), verbose: false };
    let status = cx.runtime.service.container_status(Request::new(status)).await.ok();
    let log = status.and_then(|s| s.into_inner().status).map(|s| s.log_path);
    let request = RemoveContainerRequest { container_id: id.to_owned() };
    gone_is_fine(cx.runtime.service.remove_container(Request::new(request)).await)?;
    let link = cx.config.folders.log_link(spec::namespace(pod), spec::name(pod), name, id);
    remove_files([Some(link), log].into_iter().flatten());
    Ok(())
}

/// Files that are gone already are what is wanted.
fn remove_files(paths: impl IntoIterator<Item = String>) {
    for path in paths {
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => tracing::warn!("{path} stays: {e}"),
            _ => {}
        }
    }
}

/// Removes sandbox and containers, and of an object that is gone the logs too.
async fn remove_sandbox(cx: &Context, scene: &Scene, id: String) -> Result<(), String> {
    let stop = StopPodSandboxRequest { pod_sandbox_id: id.clone() };
    gone_is_fine(cx.runtime.service.stop_pod_sandbox(Request::new(stop)).await)?;
    let remove = RemovePodSandboxRequest { pod_sandbox_id: id };
    gone_is_fine(cx.runtime.service.remove_pod_sandbox(Request::new(remove)).await)?;
    let pod = scene.pod.as_ref();
    if !spec::deleted(pod) {
        return Ok(());
    }
    let (namespace, name, uid) = (spec::namespace(pod), spec::name(pod), spec::uid(pod));
    let folders = &cx.config.folders;
    remove_files(scene.containers.iter().map(|(container, id)| folders.log_link(namespace, name, container, id)));
    let logs = folders.pod_log(namespace, name, uid);
    match std::fs::remove_dir_all(&logs) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(format!("{logs} stays: {e}")),
        _ => Ok(()),
    }
}

async fn tear_down(cx: &Context, pod: &Pod) -> Result<(), String> {
    volumes::tear_down(cx, spec::uid(pod)).await?;
    cgroup::remove(&cx.facts.cgroup_root, spec::uid(pod))
}

async fn forget(cx: &Context, pod: &Pod) -> Result<(), String> {
    let options = Options {
        grace_period_seconds: Some(0),
        precondition_uid: Some(spec::uid(pod).to_owned()),
        ..Options::default()
    };
    match cx.client.delete::<Pod>(spec::namespace(pod), spec::name(pod), options).await {
        // Gone, or another pod has its name: either way this one is not there any more.
        Err(e) if !e.is_not_found() && !e.is_conflict() => Err(e.message),
        _ => Ok(()),
    }
}
