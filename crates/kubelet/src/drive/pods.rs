//! From the node's pods to one task per pod; and what the runtime has that no pod wants.
//!
//! Nothing is started or stopped before both full lists are here: the pods of this node from the API server,
//! the sandboxes from the runtime.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use client::cache::{Change, Subscription};
use futures::StreamExt;
use k8s_openapi::api::core::v1::{Node, Pod, PodSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use rpc::cri::{GetEventsRequest, PodSandbox};
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tonic::Request;

use super::context::Context;
use super::event::Event;
use super::hands::Hands;
use super::task::{self, Start};
use crate::plan::config::labels;
use crate::plan::{admit, container_status, spec};

/// The pause before a runtime that did not answer is asked again.
const RUNTIME_RETRY: Duration = Duration::from_millis(500);
/// How often a runtime without events is listed.
const RELIST: Duration = Duration::from_secs(1);

struct Pods {
    cx: Arc<Context>,
    hands: Arc<dyn Hands>,
    tasks: JoinSet<()>,
    /// Uids whose task broke once.
    broken: BTreeSet<String>,
    /// Whose task is which.
    uids: Vec<(Id, String)>,
    /// Uids of pods that were let in and have not ended, with their keys.
    admitted: BTreeMap<String, Arc<Pod>>,
    /// What is known to the runtime at the start: such pods are not judged again.
    adopted: BTreeSet<String>,
    stop: CancellationToken,
}

/// Runs the pods of this node until `stop`.
pub async fn run(cx: Arc<Context>, hands: Arc<dyn Hands>, stop: CancellationToken) {
    let mut changes = cx.pods.subscribe();
    tokio::select! {
        biased;
        () = stop.cancelled() => return,
        () = async { tokio::join!(cx.pods.synced(), cx.node.synced()); } => {}
    }
    let Some(sandboxes) = first_list(&cx, &stop).await else { return };
    let adopted = sandboxes.iter().filter_map(|s| s.labels.get(labels::POD_UID).cloned()).collect();
    let mut pods = Pods {
        cx,
        hands,
        tasks: JoinSet::new(),
        uids: Vec::new(),
        broken: BTreeSet::new(),
        admitted: BTreeMap::new(),
        adopted,
        stop,
    };
    while let Some(change) = changes.try_next() {
        pods.change(change);
    }
    pods.orphans(&sandboxes);
    sweep(&pods.cx);
    pods.serve(changes).await;
    while pods.tasks.join_next().await.is_some() {}
}

/// The runtime's sandboxes, asked for until it answers.
async fn first_list(cx: &Context, stop: &CancellationToken) -> Option<Vec<PodSandbox>> {
    loop {
        match cx.runtime.sandboxes(None).await {
            Ok(list) => return Some(list),
            Err(e) => tracing::warn!("the runtime did not list its sandboxes: {}", e.message()),
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return None,
            () = tokio::time::sleep(RUNTIME_RETRY) => {}
        }
    }
}

impl Pods {
    async fn serve(&mut self, mut changes: Subscription<Pod>) {
        let stop = self.stop.clone();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                change = changes.next() => self.change(change),
                Some(ended) = self.tasks.join_next_with_id() => self.ended(ended),
            }
        }
    }

    fn ended(&mut self, ended: Result<(Id, ()), JoinError>) {
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, ())| *id);
        let Some(at) = self.uids.iter().position(|(task, _)| *task == id) else { return };
        let (_, uid) = self.uids.swap_remove(at);
        self.cx.mailboxes.close(&uid);
        self.admitted.remove(&uid);
        if let Err(e) = ended {
            tracing::error!("the task of pod {uid} broke: {e}");
            if !self.broken.insert(uid.clone()) {
                // It would only break again; a change of the object is its next chance.
                return;
            }
            self.adopted.insert(uid.clone());
            let pods = self.cx.pods.snapshot();
            let again = pods.iter().find(|(_, pod)| spec::uid(pod) == uid).map(|(_, pod)| pod.clone());
            again.into_iter().for_each(|pod| self.apply(pod));
        }
    }

    fn change(&mut self, change: Change<Pod>) {
        let uid_of = |pod: &Pod| spec::uid(pod).to_owned();
        match change {
            Change::Applied { old, new, .. } => {
                if let Some(old) = old.filter(|old| uid_of(old) != uid_of(&new)) {
                    self.cx.mailboxes.tell(&uid_of(&old), Event::Gone);
                }
                self.apply(new);
            }
            Change::Deleted { old, .. } => {
                self.admitted.remove(&uid_of(&old));
                self.cx.mailboxes.tell(&uid_of(&old), Event::Gone);
            }
        }
    }

    fn apply(&mut self, pod: Arc<Pod>) {
        let uid = spec::uid(&pod).to_owned();
        let finished = matches!(phase(&pod), "Succeeded" | "Failed");
        if finished {
            self.admitted.remove(&uid);
        } else if let Some(held) = self.admitted.get_mut(&uid) {
            *held = pod.clone();
        }
        if self.cx.mailboxes.tell(&uid, Event::Pod(pod.clone())) {
            return;
        }
        let verdict = if finished || spec::deleted(&pod) { None } else { self.admit(&uid, &pod) };
        self.spawn(Start { pod, orphan: false, verdict });
    }

    /// Judges a pod that is new here; one that already ran keeps its place.
    fn admit(&mut self, uid: &str, pod: &Arc<Pod>) -> Option<crate::plan::seen::Verdict> {
        let known = self.adopted.contains(uid) || phase(pod) == "Running";
        let node: Option<Arc<Node>> = self.cx.node.get("", &self.cx.facts.name);
        let others = self.admitted.values().map(AsRef::as_ref);
        let verdict = node.filter(|_| !known).and_then(|node| admit::admit(pod, &node, others));
        match &verdict {
            Some(v) => self.cx.recorder.pod(
                pod,
                None,
                "Warning",
                &v.reason,
                v.message.trim_start_matches("Pod was rejected: "),
            ),
            None => drop(self.admitted.insert(uid.to_owned(), pod.clone())),
        }
        verdict
    }

    fn spawn(&mut self, start: Start) {
        let uid = spec::uid(&start.pod).to_owned();
        let inbox = self.cx.mailboxes.open(&uid);
        let (cx, hands, stop) = (self.cx.clone(), self.hands.clone(), self.stop.clone());
        let task = self.tasks.spawn(task::run(cx, hands, start, inbox, stop));
        self.uids.push((task.id(), uid));
    }

    /// What the runtime has of pods that are not in the API is stopped and removed.
    fn orphans(&mut self, sandboxes: &[PodSandbox]) {
        for sandbox in sandboxes {
            let label = |key: &str| sandbox.labels.get(key).cloned();
            let Some(uid) = label(labels::POD_UID).filter(|uid| !self.cx.mailboxes.has(uid)) else { continue };
            let now = container_status::time(self.cx.now());
            let pod = Pod {
                metadata: ObjectMeta {
                    name: label(labels::POD_NAME),
                    namespace: label(labels::POD_NAMESPACE),
                    uid: Some(uid),
                    deletion_timestamp: Some(now),
                    ..ObjectMeta::default()
                },
                spec: Some(PodSpec::default()),
                ..Pod::default()
            };
            self.spawn(Start { pod: Arc::new(pod), orphan: true, verdict: None });
        }
    }
}

/// Folders and cgroups of pods that neither the API nor the runtime has: left by a kubelet that was killed.
fn sweep(cx: &Context) {
    let folder = format!("{}/pods", cx.config.folders.kubelet);
    let names = std::fs::read_dir(folder).into_iter().flatten().flatten();
    for uid in names.filter_map(|e| e.file_name().into_string().ok()).filter(|uid| !cx.mailboxes.has(uid)) {
        let path = cx.config.folders.pod(&uid);
        let removed = volume::mounts::remove_tree(std::path::Path::new(&path)).map_err(|e| e.to_string());
        let removed = removed.and_then(|()| super::cgroup::remove(&cx.config.cgroup_root, &uid));
        if let Err(e) = removed {
            tracing::warn!("what is left of pod {uid} stays: {e}");
        }
    }
}

fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|s| s.phase.as_deref()).unwrap_or_default()
}

/// Listens to the runtime's events and pokes the pods that they are about. A runtime without events is relisted.
pub async fn listen(cx: Arc<Context>, stop: CancellationToken) {
    loop {
        let pause = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            pause = stream(&cx) => pause,
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        // What happened meanwhile was not told.
        cx.mailboxes.tell_all(&Event::Runtime);
        cx.runtime_events.send_modify(|count| *count += 1);
    }
}

/// Passes events on until the stream ends; answers how long to wait before the next one.
async fn stream(cx: &Context) -> Duration {
    let mut events = match cx.runtime.service.get_container_events(Request::new(GetEventsRequest {})).await {
        Ok(events) => events.into_inner(),
        Err(e) if e.code() == tonic::Code::Unimplemented => return RELIST,
        Err(e) => {
            tracing::warn!("the runtime tells no events: {}", e.message());
            return RUNTIME_RETRY;
        }
    };
    cx.mailboxes.tell_all(&Event::Runtime);
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => {
                cx.runtime_events.send_modify(|count| *count += 1);
                let meta = event.pod_sandbox_status.and_then(|s| s.metadata);
                match meta {
                    Some(meta) => {
                        let _ = cx.mailboxes.tell(&meta.uid, Event::Runtime);
                    }
                    None => cx.mailboxes.tell_all(&Event::Runtime),
                }
            }
            Err(e) => {
                tracing::warn!("the runtime's events broke off: {}", e.message());
                break;
            }
        }
    }
    cx.node_changed.notify_one();
    RUNTIME_RETRY
}
