//! Events: told once, counted when repeated.
//!
//! Recording never waits: a bounded queue and one task that writes. When the queue is full an event is dropped
//! and counted in the log, because events are hints and pods are not to be held up by them.

use std::collections::{BTreeMap, VecDeque};

use client::{Client, Patch, World};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSource, Node, ObjectReference, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use machinery::request::{Body, Verb};
use serde_json::json;
use tokio::sync::mpsc;

use crate::plan::spec;

const QUEUE_EVENTS_MAX: usize = 1000;
/// Events remembered for counting.
const REMEMBERED_EVENTS_MAX: usize = 2048;

/// What is told about an object.
#[derive(Clone, Debug)]
pub struct Note {
    pub about: ObjectReference,
    /// `Normal` or `Warning`.
    pub sort: &'static str,
    pub reason: String,
    pub message: String,
}

/// The queue's entrance. Cheap to clone.
#[derive(Clone)]
pub struct Recorder {
    queue: mpsc::Sender<Note>,
    node: String,
}

/// Names the pod, or one of its containers.
fn pod_reference(pod: &Pod, container: Option<&str>) -> ObjectReference {
    let field = container.map(|name| {
        let init = spec::init_containers(pod).iter().any(|c| c.name == name);
        let list = if init { "initContainers" } else { "containers" };
        format!("spec.{list}{{{name}}}")
    });
    ObjectReference {
        kind: Some("Pod".into()),
        api_version: Some("v1".into()),
        namespace: pod.metadata.namespace.clone(),
        name: pod.metadata.name.clone(),
        uid: pod.metadata.uid.clone(),
        resource_version: pod.metadata.resource_version.clone(),
        field_path: field,
    }
}

impl Recorder {
    /// The entrance and the task that writes.
    pub fn new(client: Client, world: World, node: &str) -> (Self, impl Future<Output = ()> + Send + 'static + use<>) {
        let (queue, inbox) = mpsc::channel(QUEUE_EVENTS_MAX);
        (Self { queue, node: node.to_owned() }, write(client, world, inbox, node.to_owned()))
    }

    pub fn pod(
        &self,
        pod: &Pod,
        container: Option<&str>,
        sort: &'static str,
        reason: &str,
        message: impl Into<String>,
    ) {
        self.tell(Note { about: pod_reference(pod, container), sort, reason: reason.into(), message: message.into() });
    }

    pub fn node(&self, sort: &'static str, reason: &str, message: impl Into<String>) {
        let about = ObjectReference {
            kind: Some(<Node as k8s_openapi::Resource>::KIND.into()),
            name: Some(self.node.clone()),
            uid: Some(self.node.clone()),
            ..ObjectReference::default()
        };
        self.tell(Note { about, sort, reason: reason.into(), message: message.into() });
    }

    fn tell(&self, note: Note) {
        if let Err(e) = self.queue.try_send(note) {
            tracing::warn!("an event was dropped: {e}");
        }
    }
}

/// What makes two notes the same event.
type Same = (String, String, String, String);

struct Written {
    namespace: String,
    name: String,
    count: i32,
}

/// The events written last, the oldest forgotten first.
#[derive(Default)]
struct Memory {
    known: BTreeMap<Same, Written>,
    order: VecDeque<Same>,
}

impl Memory {
    fn remember(&mut self, same: Same, written: Written) {
        if self.known.insert(same.clone(), written).is_none() {
            self.order.push_back(same);
        }
        while self.order.len() > REMEMBERED_EVENTS_MAX {
            let oldest = self.order.pop_front();
            oldest.into_iter().for_each(|o| drop(self.known.remove(&o)));
        }
    }
}

async fn write(client: Client, world: World, mut inbox: mpsc::Receiver<Note>, node: String) {
    let mut memory = Memory::default();
    let mut last_nanos = 0;
    while let Some(note) = inbox.recv().await {
        let now = (world.now)();
        let about = &note.about;
        let of = |s: &Option<String>| s.clone().unwrap_or_default();
        let same = (of(&about.uid), of(&about.field_path), note.reason.clone(), note.message.clone());
        if let Some(written) = memory.known.get_mut(&same) {
            written.count += 1;
            let patch = json!({"count": written.count, "lastTimestamp": machinery::time::format(now)});
            let patched = client.patch::<Event>(&written.namespace, &written.name, "", Patch::Merge(patch)).await;
            match patched {
                Ok(_) => continue,
                // Expired meanwhile: told anew.
                Err(e) if e.is_not_found() => {}
                Err(e) => {
                    tracing::warn!("an event could not be counted: {e}");
                    continue;
                }
            }
        }
        // Two events in the same nanosecond must not get one name.
        let nanos = now.as_nanosecond().max(last_nanos + 1);
        last_nanos = nanos;
        let event = event(&note, &node, now, nanos);
        let (namespace, name) = (of(&event.metadata.namespace), of(&event.metadata.name));
        match create(&client, &event).await {
            Ok(()) => memory.remember(same, Written { namespace, name, count: 1 }),
            Err(e) => tracing::warn!("event {} {:?} was not written: {e}", note.reason, note.message),
        }
    }
}

async fn create(client: &Client, event: &Event) -> Result<(), machinery::status::Status> {
    let namespace = event.metadata.namespace.as_deref().unwrap_or_default();
    let mut request = client::Resource::of::<Event>().request(Verb::Create, namespace);
    request.body = Body::Tree(client::typed::to_tree(event)?);
    client.call(request).await.map(drop)
}

fn event(note: &Note, node: &str, now: Timestamp, nanos: i128) -> Event {
    let name = note.about.name.clone().unwrap_or_default();
    let namespace = note.about.namespace.clone().filter(|n| !n.is_empty()).unwrap_or_else(|| "default".into());
    Event {
        metadata: ObjectMeta {
            name: Some(format!("{name}.{nanos:x}")),
            namespace: Some(namespace),
            ..ObjectMeta::default()
        },
        involved_object: note.about.clone(),
        reason: Some(note.reason.clone()),
        message: Some(note.message.clone()),
        type_: Some(note.sort.into()),
        count: Some(1),
        first_timestamp: Some(Time(now)),
        last_timestamp: Some(Time(now)),
        source: Some(EventSource { component: Some("kubelet".into()), host: Some(node.into()) }),
        reporting_component: Some("kubelet".into()),
        reporting_instance: Some(node.into()),
        ..Event::default()
    }
}
