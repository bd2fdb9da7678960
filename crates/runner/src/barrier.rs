//! The revision barrier: a key is not reconciled again before the caches show what was written for it.
//!
//! It takes the place of upstream's expectations, and counts nothing: a create or patch waits for the revision
//! that it returned, a delete for the uid to be gone or marked, an unknown outcome for a list that began after
//! it. Revisions are compared within one cache only.

use std::sync::{Arc, Mutex};

use client::cache::{Cache, Snapshot};
use machinery::key::Key;

use crate::hub::{Held, lock};
use crate::inbox::Inbox;

/// What a cache must show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Need {
    Revision(u64),
    /// Gone or marked.
    Gone {
        key: Key,
        uid: String,
    },
    /// Gone for good.
    Absent {
        key: Key,
        uid: String,
    },
    Listed(u64),
}

impl Need {
    fn is_met(&self, snapshot: &Snapshot<Held>) -> bool {
        match self {
            Need::Revision(revision) => snapshot.revision() >= *revision,
            Need::Listed(number) => snapshot.lists() >= *number,
            Need::Absent { key, uid } => snapshot.entry(key).is_none_or(|entry| *entry.uid != **uid),
            Need::Gone { key, uid } => {
                snapshot.entry(key).is_none_or(|entry| *entry.uid != **uid || entry.value.deleting)
            }
        }
    }
}

struct Waiter {
    need: Need,
    key: Key,
    turn: u64,
    inbox: Arc<Inbox>,
}

/// Those who wait for one cache.
#[derive(Default)]
pub struct Barrier {
    waiters: Mutex<Vec<Waiter>>,
}

impl Barrier {
    /// Sends `met` for the key's turn as soon as the cache shows what is needed, at once if it does already.
    pub fn wait(&self, cache: &Cache<Held>, need: Need, key: Key, turn: u64, inbox: &Arc<Inbox>) {
        let mut waiters = lock(&self.waiters);
        // The cache publishes a state before it asks for this lock: what is not in the snapshot now comes by.
        if need.is_met(&cache.snapshot()) {
            drop(waiters);
            inbox.met(key, turn);
        } else {
            waiters.push(Waiter { need, key, turn, inbox: inbox.clone() });
        }
    }

    /// Forgets what a key's turns waited for.
    pub fn forget(&self, key: &Key, inbox: &Arc<Inbox>) {
        lock(&self.waiters).retain(|waiter| waiter.key != *key || !Arc::ptr_eq(&waiter.inbox, inbox));
    }

    /// The cache has a new state.
    pub fn progress(&self, cache: &Cache<Held>) {
        let mut waiters = lock(&self.waiters);
        if waiters.is_empty() {
            return;
        }
        let snapshot = cache.snapshot();
        let met: Vec<Waiter> = waiters.extract_if(.., |waiter| waiter.need.is_met(&snapshot)).collect();
        drop(waiters);
        met.into_iter().for_each(|waiter| waiter.inbox.met(waiter.key, waiter.turn));
    }
}
