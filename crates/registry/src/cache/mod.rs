//! The current state of everything stored, as a cache of one watch over the whole prefix.
//!
//! ```text
//!   store ──watch──▶ feed ──▶ State (objects, history) ──▶ lists, gets
//!                        └──▶ Fan (lanes) ──▶ Sink per watcher ──▶ Tail
//! ```
//!
//! Only the feed writes. A writer waits until its revision was seen here, so that a read after a write finds
//! it. No lock is held while anything waits.

mod fan;
mod feed;
mod held;
mod history;
mod progress;
mod state;
mod tail;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use api::Kind;
use bytes::Bytes;
use machinery::object::Object;

pub use fan::Lane;
pub use feed::{feed, open};
pub use held::{Held, Projection};
pub use history::{Limits, Turn};
use progress::{Progress, Seen};
pub use state::{Objects, State};
pub use tail::{Ended, From, Tail};

use crate::world::World;

/// Why a revision was not reached.
#[derive(Debug, PartialEq, Eq)]
pub enum NotSeen {
    TimedOut { current: u64 },
    Closed,
}

pub struct Cache {
    state: RwLock<State>,
    fan: Mutex<fan::Fan>,
    hints: Mutex<BTreeMap<Bytes, (Bytes, Projection)>>,
    seen: Progress,
    world: World,
}

impl Cache {
    fn new(state: State, world: World) -> Self {
        let seen = Progress::new(Seen::Revision(state.revision()));
        Self { state: RwLock::new(state), fan: Mutex::default(), hints: Mutex::default(), seen, world }
    }

    pub fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn fan(&self) -> MutexGuard<'_, fan::Fan> {
        self.fan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hints(&self) -> MutexGuard<'_, BTreeMap<Bytes, (Bytes, Projection)>> {
        self.hints.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest revision that was applied and handed to all watchers.
    pub fn revision(&self) -> u64 {
        self.seen.get().revision()
    }

    pub fn get(&self, collection: &str, key: &str) -> Option<Arc<Held>> {
        self.read().get(collection, key).cloned()
    }

    /// All objects of a collection and the revision at which they are so.
    pub fn snapshot(&self, collection: &str) -> (Objects, u64) {
        let state = self.read();
        (state.objects(collection), state.revision())
    }

    pub fn kind(&self, collection: &str) -> Option<&'static Kind> {
        self.read().kind(collection)
    }

    /// Waits until a revision was applied and handed to all watchers.
    pub async fn reach(&self, revision: u64, timeout: std::time::Duration) -> Result<(), NotSeen> {
        if self.revision() >= revision {
            return Ok(());
        }
        tokio::select! {
            biased;
            reached = self.seen.reach(revision) => match reached {
                Seen::Closed(at) if at < revision => Err(NotSeen::Closed),
                _ => Ok(()),
            },
            () = (self.world.sleep)(timeout) => Err(NotSeen::TimedOut { current: self.revision() }),
        }
    }

    /// Gives the projection of bytes about to be written, so that the feed need not parse them.
    pub fn expect(&self, key: Bytes, value: Bytes, projection: Projection) {
        self.hints().insert(key, (value, projection));
    }

    /// Takes back what [`Cache::expect`] gave and nobody used.
    pub fn unexpect(&self, key: &Bytes) {
        self.hints().remove(key);
    }

    /// The cached object at this revision, or one made from what was written: a later write may be faster.
    pub fn committed(&self, place: (&str, &str), revision: u64, written: &Bytes) -> Option<Arc<Object>> {
        match self.get(place.0, place.1) {
            Some(held) if held.revision() == revision => Some(held.object.clone()),
            _ => Object::from_stored(written.clone(), revision).ok(),
        }
    }
}
