//! How far the cache is, for those who wait for a revision. They are woken in the order in which they came, so that
//! a simulated cluster does the same again (tokio's `watch` wakes in random order).

use std::pin::pin;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

/// How far the cache is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    Revision(u64),
    /// The store is gone; nothing newer will come.
    Closed(u64),
}

impl Seen {
    pub fn revision(self) -> u64 {
        match self {
            Seen::Revision(revision) | Seen::Closed(revision) => revision,
        }
    }
}

pub struct Progress {
    seen: Mutex<Seen>,
    moved: Notify,
}

impl Progress {
    pub fn new(seen: Seen) -> Self {
        Self { seen: Mutex::new(seen), moved: Notify::new() }
    }

    pub fn get(&self) -> Seen {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves on and wakes all that wait.
    pub fn go_on(&self, next: impl FnOnce(Seen) -> Seen) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        *seen = next(*seen);
        drop(seen);
        self.moved.notify_waiters();
    }

    /// Waits until the revision is reached or nothing more will come.
    pub async fn reach(&self, revision: u64) -> Seen {
        loop {
            let mut moved = pin!(self.moved.notified());
            // Listening begins before looking: what moves in between is heard.
            moved.as_mut().enable();
            let seen = self.get();
            if seen.revision() >= revision || matches!(seen, Seen::Closed(_)) {
                return seen;
            }
            moved.await;
        }
    }
}
