//! What reaches a controller's task from the caches: keys to look at, and barriers that came down.
//!
//! Marks of one key merge, so that it holds at most one entry per key.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use control::Resource;
use jiff::Timestamp;
use machinery::key::Key;
use tokio::sync::Notify;

use crate::hub::lock;

/// When a timed kind last changed, per key.
pub type Changed = BTreeMap<Key, BTreeMap<Resource, Timestamp>>;

#[derive(Default)]
pub struct Arrived {
    pub marked: BTreeSet<Key>,
    pub changed: Changed,
    /// Needs that were met: key and the turn that they belong to.
    pub met: Vec<(Key, u64)>,
}

#[derive(Default)]
pub struct Inbox {
    arrived: Mutex<Arrived>,
    bell: Notify,
}

impl Inbox {
    pub fn mark(&self, key: Key, changed: Option<(Resource, Timestamp)>) {
        let mut arrived = lock(&self.arrived);
        if let Some((resource, at)) = changed {
            arrived.changed.entry(key.clone()).or_default().insert(resource, at);
        }
        arrived.marked.insert(key);
        drop(arrived);
        self.bell.notify_one();
    }

    pub fn met(&self, key: Key, turn: u64) {
        lock(&self.arrived).met.push((key, turn));
        self.bell.notify_one();
    }

    pub fn take(&self) -> Arrived {
        std::mem::take(&mut *lock(&self.arrived))
    }

    pub async fn rung(&self) {
        self.bell.notified().await;
    }
}
