//! What all parts of the kubelet share: configuration, doors to the API and the runtime, caches.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use client::cache::Cache;
use client::{Client, World};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod, Service};
use tokio::sync::{Notify, mpsc, watch};

use super::cri::Runtime;
use super::event::Event;
use super::recorder::Recorder;
use super::refs::References;
use super::tokens::Keyring;
use crate::Config;
use crate::plan::config::facts;
use crate::plan::config::facts::Refs;
use crate::plan::volumes::Names;

/// Where to send what a pod's task should hear, by uid.
#[derive(Clone, Default)]
pub struct Mailboxes {
    by_uid: Arc<Mutex<BTreeMap<String, mpsc::UnboundedSender<Event>>>>,
}

impl Mailboxes {
    fn table(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, mpsc::UnboundedSender<Event>>> {
        self.by_uid.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells one pod's task; false when there is none.
    pub fn tell(&self, uid: &str, event: Event) -> bool {
        self.table().get(uid).is_some_and(|mailbox| mailbox.send(event).is_ok())
    }

    pub fn tell_all(&self, event: &Event) {
        self.table().values().for_each(|mailbox| drop(mailbox.send(event.clone())));
    }

    pub fn open(&self, uid: &str) -> mpsc::UnboundedReceiver<Event> {
        // Unbounded, because its senders must not wait and what they send is bounded by what happens to one pod.
        let (sender, inbox) = mpsc::unbounded_channel();
        self.table().insert(uid.to_owned(), sender);
        inbox
    }

    pub fn close(&self, uid: &str) {
        self.table().remove(uid);
    }

    pub fn has(&self, uid: &str) -> bool {
        self.table().contains_key(uid)
    }
}

pub struct Context {
    pub config: Config,
    pub world: World,
    pub client: Client,
    pub runtime: Runtime,
    /// `kybern`, as the runtime names itself.
    pub runtime_name: String,
    pub facts: facts::Node,
    pub recorder: Recorder,
    pub references: References,
    pub pods: Cache<Pod>,
    pub node: Cache<Node>,
    pub services: Cache<Service>,
    pub tokens: Keyring,
    pub mailboxes: Mailboxes,
    /// Something that the node's status tells may have changed: images, the runtime itself.
    pub node_changed: Notify,
    /// Counts the runtime's events, for those who wait for any.
    pub runtime_events: watch::Sender<u64>,
}

impl Context {
    /// The ConfigMaps and Secrets of these names, and the Services that pods of the namespace know.
    pub async fn refs(&self, namespace: &str, names: &Names) -> Refs {
        self.services.synced().await;
        let mut refs = self.references.read(namespace, names).await;
        let snapshot = self.services.snapshot();
        refs.services = snapshot.in_namespace(namespace).cloned().collect();
        if namespace != "default" {
            refs.services.extend(self.services.get("default", "kubernetes"));
        }
        refs
    }

    pub fn now(&self) -> Timestamp {
        (self.world.now)()
    }
}
