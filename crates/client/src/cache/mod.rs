//! A local copy of a collection, kept by one list and one watch, with declared indexes.
//!
//! ```text
//!   list ─▶ replace ─▶ watch ─▶ apply event ─▶ … ─▶ 410: list again, tell only the differences
//!                          │
//!                          ├─▶ Snapshot behind an atomic pointer (readers never wait)
//!                          └─▶ listeners, in revision order
//! ```
//!
//! It promises: after `synced` a reader sees one consistent state of the collection that only moves forward;
//! listeners hear of every difference between two states that they were told, deletions that happened while
//! the watch was broken included. It does not promise to show every intermediate version of an object.

mod reflector;
mod snapshot;
mod source;
mod subscription;

use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use machinery::key::Key;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

pub use snapshot::{Entry, Snapshot};
pub use source::{Decoded, Index, Source};
pub use subscription::{Change, Subscription};

use crate::{Client, World};

/// Called after every new state can be read, with the changes that made it (none: only the revision moved on).
/// Must return at once.
pub type Listener<T> = Box<dyn Fn(&[Change<T>]) + Send + Sync>;

struct Shared<T: ?Sized> {
    client: Client,
    world: World,
    source: Source<T>,
    state: ArcSwap<Snapshot<T>>,
    listeners: Mutex<Vec<Arc<Listener<T>>>>,
    synced: AtomicBool,
    first_list: Notify,
    relist: Notify,
    /// Lists begun so far.
    lists: AtomicU64,
}

/// The local copy. Cheap to clone; one clone's [`Cache::run`] must be running.
pub struct Cache<T: ?Sized> {
    shared: Arc<Shared<T>>,
}

impl<T: ?Sized> Clone for Cache<T> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<T: ?Sized + Send + Sync + 'static> Cache<T> {
    /// A cache of what `source` selects, empty until [`Cache::run`] has listed.
    pub fn new(client: Client, source: Source<T>, world: World) -> Self {
        let state = ArcSwap::from_pointee(Snapshot::empty(&source.indexes));
        let shared = Shared {
            client,
            world,
            source,
            state,
            listeners: Mutex::default(),
            synced: AtomicBool::new(false),
            first_list: Notify::new(),
            relist: Notify::new(),
            lists: AtomicU64::new(0),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Lists and watches until `stop`; never gives up.
    pub async fn run(&self, stop: CancellationToken) {
        reflector::run(&self.shared, &stop).await;
    }

    /// The state now, as of one revision; costs a reference count.
    pub fn snapshot(&self) -> Arc<Snapshot<T>> {
        self.shared.state.load_full()
    }

    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<T>> {
        self.snapshot().get(&Key::new(namespace, name)).cloned()
    }

    /// The revision up to which this cache has seen the collection.
    pub fn revision(&self) -> u64 {
        self.shared.state.load().revision()
    }

    pub fn is_synced(&self) -> bool {
        self.shared.synced.load(Ordering::SeqCst)
    }

    /// Waits for the first list.
    pub async fn synced(&self) {
        let mut listed = pin!(self.shared.first_list.notified());
        // Listening begins before looking: a list that comes in between is heard.
        listed.as_mut().enable();
        if !self.is_synced() {
            listed.await;
        }
    }

    /// Lists again as soon as possible: for a caller who waited too long for what must have come. Answers the
    /// number that [`Snapshot::lists`] has reached when a list that began after this call is in the snapshot.
    pub fn relist(&self) -> u64 {
        let fresh = self.shared.lists.load(Ordering::SeqCst) + 1;
        self.shared.relist.notify_one();
        fresh
    }

    /// Adds a listener. It hears changes from now on; what is there already it reads from the snapshot.
    pub fn listen(&self, listener: Listener<T>) {
        self.shared.listeners.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::new(listener));
    }

    /// A stream of changes that begins with everything that is there, as additions.
    pub fn subscribe(&self) -> Subscription<T> {
        subscription::subscribe(self)
    }
}

#[cfg(test)]
mod tests;
