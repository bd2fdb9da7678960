//! Drives the scheduler: feeds its mind from caches, carries its decisions out, tells events.
//!
//! ```text
//!   caches of pods and nodes ──▶ Scheduler::apply ──▶ decide ──▶ binding, or condition and event
//!              ▲ refused or unknown binding ─────────────┘
//! ```
//! It decides nothing. Bindings are under way while the next pods are decided.

use std::time::Duration;

use client::cache::{Cache, Change, Source};
use client::events::{Occurrence, Recorder, Series, Teller, recorder};
use client::{Client, Patch, Resource, World};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};
use machinery::status::Status;
use scheduler::{Binding, Decision, Event, Failure, Scheduler};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Decisions between two looks at what has changed.
const DECISIONS_AT_ONCE: usize = 64;
const BINDINGS_UNDER_WAY_MAX: usize = 256;
/// The longest note of an event.
const NOTE_BYTES_MAX: usize = 1024;
const CUT: &str = " ...";

/// Schedules the pods that name `scheduler_name`, until `stop`.
pub async fn run(client: Client, world: World, scheduler_name: &str, stop: CancellationToken) {
    let client = client.with_manager("kube-scheduler");
    let pods = Cache::<Pod>::new(client.clone(), unfinished_pods(), world);
    let nodes = Cache::<Node>::new(client.clone(), Source::typed(), world);
    let form = Series::new(Teller::here(scheduler_name));
    let (recorder, telling) = recorder(client.clone(), form, world, stop.clone());
    let driver = Driver { client, recorder, world, mind: Scheduler::new(scheduler_name), writes: JoinSet::new() };
    let caches = async { tokio::join!(pods.run(stop.clone()), nodes.run(stop.clone())) };
    tokio::join!(telling, caches, driver.run(&pods, &nodes, &stop));
}

/// Finished pods ask for nothing.
fn unfinished_pods() -> Source<Pod> {
    Source::typed().fields("status.phase!=Succeeded,status.phase!=Failed")
}

struct Driver {
    client: Client,
    recorder: Recorder,
    world: World,
    mind: Scheduler,
    writes: JoinSet<Written>,
}

/// A write that has ended.
enum Written {
    Bound(Binding, Result<(), Status>),
    Said(Failure, Result<(), Status>),
}

impl Driver {
    async fn run(mut self, pods: &Cache<Pod>, nodes: &Cache<Node>, stop: &CancellationToken) {
        tokio::select! {
            biased;
            () = async { tokio::join!(pods.synced(), nodes.synced()); } => {}
            () = stop.cancelled() => return,
        }
        let (mut pod_changes, mut node_changes) = (pods.subscribe(), nodes.subscribe());
        loop {
            while let Some(change) = node_changes.try_next() {
                self.node(change);
            }
            while let Some(change) = pod_changes.try_next() {
                self.pod(change);
            }
            if self.writes.len() < BINDINGS_UNDER_WAY_MAX {
                let decisions = self.mind.decide((self.world.now)(), DECISIONS_AT_ONCE);
                let is_full = decisions.len() == DECISIONS_AT_ONCE;
                decisions.into_iter().for_each(|decision| self.carry(decision));
                if is_full {
                    continue;
                }
            }
            let due = self.due();
            tokio::select! {
                biased;
                Some(ended) = self.writes.join_next() => if let Ok(written) = ended { self.written(written) },
                change = pod_changes.next() => self.pod(change),
                change = node_changes.next() => self.node(change),
                () = tokio::time::sleep(due.unwrap_or_default()), if due.is_some() => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// How long until a waiting pod is due.
    fn due(&self) -> Option<Duration> {
        let wake = self.mind.wake()?;
        if self.writes.len() >= BINDINGS_UNDER_WAY_MAX {
            return None;
        }
        Some((self.world.now)().duration_until(wake).try_into().unwrap_or(Duration::ZERO))
    }

    fn pod(&mut self, change: Change<Pod>) {
        let now = (self.world.now)();
        if let Some(old) = change.old()
            && change.current().is_none_or(|new| new.metadata.uid != old.metadata.uid)
        {
            self.mind.apply(Event::PodGone { uid: old.metadata.uid.clone().unwrap_or_default() }, now);
        }
        if let Some(new) = change.current() {
            self.mind.apply(Event::Pod(new.clone()), now);
        }
    }

    fn node(&mut self, change: Change<Node>) {
        let now = (self.world.now)();
        match change.current() {
            Some(node) => self.mind.apply(Event::Node(node.clone()), now),
            None => self.mind.apply(Event::NodeGone { name: change.key().name.to_string() }, now),
        }
    }

    fn carry(&mut self, decision: Decision) {
        let (client, now) = (self.client.clone(), (self.world.now)());
        match decision {
            Decision::Bind(binding) => self.writes.spawn(async move {
                let outcome = bind(&client, &binding).await;
                Written::Bound(binding, outcome)
            }),
            Decision::Fail(failure) => {
                let about = about(&failure.namespace, &failure.name, &failure.uid);
                self.tell(about, true, "FailedScheduling", "Scheduling", &failure.message);
                if failure.known {
                    return;
                }
                self.writes.spawn(async move {
                    let outcome = say(&client, &failure, now).await;
                    Written::Said(failure, outcome)
                })
            }
        };
    }

    fn written(&mut self, written: Written) {
        match written {
            Written::Bound(b, Ok(())) => {
                let message = format!("Successfully assigned {}/{} to {}", b.namespace, b.name, b.node);
                self.tell(about(&b.namespace, &b.name, &b.uid), false, "Scheduled", "Binding", &message);
            }
            Written::Bound(b, Err(error)) => {
                tracing::warn!(pod = %b.name, namespace = %b.namespace, node = %b.node, %error, "binding failed");
                self.mind.apply(Event::BindingFailed { uid: b.uid }, (self.world.now)());
            }
            // The next attempt says it again; a pod that is gone needs no condition.
            Written::Said(failure, Err(error)) if !error.is_not_found() => {
                tracing::warn!(pod = %failure.name, namespace = %failure.namespace, %error, "condition not written");
            }
            Written::Said(..) => {}
        }
    }

    fn tell(&self, about: Value, warning: bool, reason: &str, action: &str, message: &str) {
        let message = short(message);
        let (reason, action) = (reason.to_owned(), action.to_owned());
        self.recorder.record(Occurrence { about, warning, reason, action, message });
    }
}

/// As much of a message as an event takes; the condition has it whole.
fn short(message: &str) -> String {
    if message.len() <= NOTE_BYTES_MAX {
        return message.to_owned();
    }
    let mut end = NOTE_BYTES_MAX - CUT.len();
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{CUT}", &message[..end])
}

fn about(namespace: &str, name: &str, uid: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "namespace": namespace, "name": name, "uid": uid})
}

/// `POST pods/NAME/binding`, for exactly the pod that was decided for.
async fn bind(client: &Client, binding: &Binding) -> Result<(), Status> {
    let tree = json!({
        "apiVersion": "v1", "kind": "Binding",
        "metadata": {"name": binding.name, "namespace": binding.namespace, "uid": binding.uid},
        "target": {"apiVersion": "v1", "kind": "Node", "name": binding.node},
    });
    let pods = Resource::of::<Pod>();
    client.create_tree(&pods, &binding.namespace, &binding.name, "binding", tree).await.map(drop)
}

/// The condition PodScheduled says why not.
async fn say(client: &Client, failure: &Failure, now: Timestamp) -> Result<(), Status> {
    let mut condition = json!({
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": failure.message,
    });
    if failure.is_first {
        condition["lastTransitionTime"] = machinery::time::format(now).into();
    }
    let patch = json!({"metadata": {"uid": failure.uid}, "status": {"conditions": [condition]}});
    let patch = Patch::Strategic(patch);
    client.patch::<Pod>(&failure.namespace, &failure.name, "status", patch).await.map(drop)
}
