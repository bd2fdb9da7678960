//! One watcher's place in the stream of turns: nothing missed, nothing twice.

use std::collections::VecDeque;
use std::sync::Arc;

use super::Cache;
use super::fan::{Arrived, Lane, Sink};
use super::history::Turn;
use super::state::Objects;

/// Where a tail starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// After this revision.
    Revision(u64),
    /// After the state that [`Tail::open`] returns.
    Now,
}

/// Why a tail ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended {
    /// The history starts after where the tail is.
    TooOld { floor: u64 },
    /// The cache started anew, or the store is gone.
    Closed,
}

pub struct Tail {
    cache: Arc<Cache>,
    collection: Arc<str>,
    lane: Lane,
    sink: Arc<Sink>,
    ready: VecDeque<Arc<Turn>>,
    /// Everything up to this turn was taken.
    seq: u64,
}

impl Tail {
    /// A tail, and for [`From::Now`] the state that it continues.
    pub fn open(
        cache: Arc<Cache>,
        collection: &str,
        lane: Lane,
        from: From,
    ) -> Result<(Self, Option<(Objects, u64)>), Ended> {
        let kind = cache.kind(collection);
        // In the fan first, the state read afterwards: what is in both is told apart by its number.
        let sink = cache.fan().add(collection, kind, &lane);
        let mut tail = Self { cache, collection: Arc::from(collection), lane, sink, ready: VecDeque::new(), seq: 0 };
        match from {
            From::Revision(revision) => {
                tail.read_history(|history| history.after_revision(revision).map(|turns| turns.cloned().collect()))?;
                Ok((tail, None))
            }
            From::Now => {
                let state = tail.cache.read();
                let (objects, revision, seq) = (state.objects(collection), state.revision(), state.seq());
                drop(state);
                tail.seq = seq;
                Ok((tail, Some((objects, revision))))
            }
        }
    }

    /// The next turn; waits for it. Not every turn concerns the watcher: its selection decides.
    pub async fn next(&mut self) -> Result<Arc<Turn>, Ended> {
        loop {
            if let Some(turn) = self.ready.pop_front() {
                return Ok(turn);
            }
            match self.sink.take() {
                Arrived::Turns(turns) => self.keep(turns),
                Arrived::Lagging => self.catch_up()?,
                Arrived::Closed => return Err(Ended::Closed),
                Arrived::Nothing => self.sink.wake.notified().await,
            }
        }
    }

    /// The revision up to which everything was taken, when nothing is waiting.
    pub fn idle_revision(&mut self) -> Option<u64> {
        // The revision is read before the queue: what it covers was pushed before.
        let revision = self.cache.revision();
        if let Arrived::Turns(turns) = self.sink.take_if_whole() {
            self.keep(turns);
        }
        (self.ready.is_empty() && self.sink.is_idle()).then_some(revision)
    }

    fn keep(&mut self, turns: VecDeque<Arc<Turn>>) {
        for turn in turns {
            if turn.seq > self.seq {
                self.seq = turn.seq;
                self.ready.push_back(turn);
            }
        }
    }

    fn catch_up(&mut self) -> Result<(), Ended> {
        let seq = self.seq;
        self.read_history(|history| history.after_seq(seq).map(|turns| turns.cloned().collect()))
    }

    fn read_history(
        &mut self,
        read: impl FnOnce(&super::history::History) -> Option<VecDeque<Arc<Turn>>>,
    ) -> Result<(), Ended> {
        let state = self.cache.read();
        let (turns, newest, floor) = (read(state.history()), state.seq(), state.history().floor());
        drop(state);
        let mut turns = turns.ok_or(Ended::TooOld { floor })?;
        turns.retain(|turn| turn.collection == self.collection);
        self.keep(turns);
        self.seq = newest;
        Ok(())
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        self.cache.fan().remove(&self.collection, &self.lane, &self.sink);
    }
}
