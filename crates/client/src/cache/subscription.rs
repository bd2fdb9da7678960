//! A stream of changes for one reader at its own pace.
//!
//! What the reader has not fetched yet is merged per object, so that a slow reader costs at most one entry per
//! object and always gets the newest state. `old` is what this reader was told last. An object deleted and
//! made again under its name while the reader slept is one `Applied` whose `old` has another uid.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use machinery::key::Key;
use tokio::sync::Notify;

use super::Cache;

/// A difference between two states of a collection.
pub enum Change<T: ?Sized> {
    /// Added (no `old`) or changed.
    Applied { key: Key, old: Option<Arc<T>>, new: Arc<T> },
    /// Gone; the last version known.
    Deleted { key: Key, old: Arc<T> },
}

impl<T: ?Sized> Clone for Change<T> {
    fn clone(&self) -> Self {
        match self {
            Change::Applied { key, old, new } => {
                Change::Applied { key: key.clone(), old: old.clone(), new: new.clone() }
            }
            Change::Deleted { key, old } => Change::Deleted { key: key.clone(), old: old.clone() },
        }
    }
}

impl<T: ?Sized> Change<T> {
    pub fn key(&self) -> &Key {
        match self {
            Change::Applied { key, .. } | Change::Deleted { key, .. } => key,
        }
    }

    pub fn old(&self) -> Option<&Arc<T>> {
        match self {
            Change::Applied { old, .. } => old.as_ref(),
            Change::Deleted { old, .. } => Some(old),
        }
    }

    pub fn current(&self) -> Option<&Arc<T>> {
        match self {
            Change::Applied { new, .. } => Some(new),
            Change::Deleted { .. } => None,
        }
    }
}

/// What one object went through since the reader last heard of it.
struct Pending<T: ?Sized> {
    told: Option<Arc<T>>,
    now: Option<Arc<T>>,
}

struct Inbox<T: ?Sized> {
    order: VecDeque<Key>,
    pending: BTreeMap<Key, Pending<T>>,
    /// The reader has been told nothing yet: whatever a change calls old, it does not know.
    opening: bool,
}

struct Mailbox<T: ?Sized> {
    inbox: Mutex<Inbox<T>>,
    arrived: Notify,
}

/// One reader's stream. Dropping it ends it.
pub struct Subscription<T: ?Sized> {
    mailbox: Arc<Mailbox<T>>,
}

pub(super) fn subscribe<T: ?Sized + Send + Sync + 'static>(cache: &Cache<T>) -> Subscription<T> {
    let inbox = Mutex::new(Inbox { order: VecDeque::new(), pending: BTreeMap::new(), opening: true });
    let mailbox = Arc::new(Mailbox { inbox, arrived: Notify::new() });
    let weak = Arc::downgrade(&mailbox);
    // Listening first and reading the state after it means that a change between the two is seen twice,
    // which merges away, instead of never.
    cache.listen(Box::new(move |changes| {
        if let Some(mailbox) = weak.upgrade() {
            changes.iter().for_each(|change| mailbox.put(change));
        }
    }));
    for (key, object) in cache.snapshot().iter() {
        mailbox.seed(key, object);
    }
    mailbox.inbox.lock().unwrap_or_else(PoisonError::into_inner).opening = false;
    mailbox.arrived.notify_one();
    Subscription { mailbox }
}

impl<T: ?Sized> Mailbox<T> {
    fn put(&self, change: &Change<T>) {
        let mut inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        let key = change.key();
        match inbox.pending.get_mut(key) {
            Some(pending) => pending.now = change.current().cloned(),
            None => {
                let told = if inbox.opening { None } else { change.old().cloned() };
                inbox.order.push_back(key.clone());
                inbox.pending.insert(key.clone(), Pending { told, now: change.current().cloned() });
            }
        }
        drop(inbox);
        self.arrived.notify_one();
    }

    fn seed(&self, key: &Key, object: &Arc<T>) {
        let mut inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        if !inbox.pending.contains_key(key) {
            inbox.order.push_back(key.clone());
            inbox.pending.insert(key.clone(), Pending { told: None, now: Some(object.clone()) });
        }
    }

    fn take(&self) -> Option<Change<T>> {
        let mut inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(key) = inbox.order.pop_front() {
            let pending = inbox.pending.remove(&key);
            match pending {
                Some(Pending { told, now: Some(new) }) => return Some(Change::Applied { key, old: told, new }),
                Some(Pending { told: Some(old), now: None }) => return Some(Change::Deleted { key, old }),
                // Came and went before the reader looked.
                Some(Pending { told: None, now: None }) | None => {}
            }
        }
        None
    }
}

impl<T: ?Sized> Subscription<T> {
    /// The next change; waits for one. Safe to drop and call again.
    pub async fn next(&mut self) -> Change<T> {
        loop {
            if let Some(change) = self.mailbox.take() {
                return change;
            }
            self.mailbox.arrived.notified().await;
        }
    }

    /// The next change if there is one already.
    pub fn try_next(&mut self) -> Option<Change<T>> {
        self.mailbox.take()
    }
}
