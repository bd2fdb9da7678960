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
                tail.read_history(Start::Revision(revision))?;
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
            match self.take() {
                Some(turn) => return turn,
                None => self.sink.wake.notified().await,
            }
        }
    }

    /// The next turn, if it is here already.
    pub fn take(&mut self) -> Option<Result<Arc<Turn>, Ended>> {
        loop {
            if let Some(turn) = self.ready.pop_front() {
                return Some(Ok(turn));
            }
            match self.sink.take() {
                Arrived::Turns(turns) => self.keep(turns),
                Arrived::Lagging => {
                    if let Err(ended) = self.catch_up() {
                        return Some(Err(ended));
                    }
                }
                Arrived::Closed => return Some(Err(Ended::Closed)),
                Arrived::Nothing => return None,
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
        self.read_history(Start::Turn(self.seq))
    }

    /// Takes the collection's turns out of the history; only those are copied.
    fn read_history(&mut self, start: Start) -> Result<(), Ended> {
        let state = self.cache.read();
        let (history, newest) = (state.history(), state.seq());
        let ours = |turn: &&Arc<Turn>| turn.collection == self.collection;
        let turns: Option<VecDeque<Arc<Turn>>> = match start {
            Start::Revision(revision) => history.after_revision(revision).map(|t| t.filter(ours).cloned().collect()),
            Start::Turn(seq) => history.after_seq(seq).map(|t| t.filter(ours).cloned().collect()),
        };
        let turns = turns.ok_or(Ended::TooOld { floor: history.floor() });
        drop(state);
        self.keep(turns?);
        self.seq = newest;
        Ok(())
    }
}

/// What of the history was taken already.
enum Start {
    Revision(u64),
    Turn(u64),
}

impl Drop for Tail {
    fn drop(&mut self) {
        self.cache.fan().remove(&self.collection, &self.lane, &self.sink);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use store::{Batch, Entry, Event};

    use super::*;
    use crate::cache::{Limits, State};
    use crate::world::World;

    fn cache(history_bytes: usize) -> Arc<Cache> {
        let limits = Limits { bytes: history_bytes, age_seconds: 3600 };
        Arc::new(Cache::new(State::new(1, limits, std::iter::empty()), World::real()))
    }

    fn write(cache: &Cache, revisions: std::ops::Range<u64>) {
        for revision in revisions {
            let key = Bytes::from(format!("/registry/core/configmaps/ns/m{}", revision % 100));
            let value = Bytes::from_static(b"{\"kind\":\"A\",\"apiVersion\":\"v1\",\"metadata\":{}}");
            let entry = Entry { key, value, create_revision: revision, mod_revision: revision, lease: None };
            cache.apply(&[Batch { revision, events: vec![Event::Put { entry, previous: None }] }]);
        }
    }

    #[tokio::test]
    async fn a_tail_that_fell_behind_reads_the_history() {
        let cache = cache(64 << 20);
        let (mut tail, _) = Tail::open(cache.clone(), "core/configmaps", Lane::All, From::Now).unwrap();
        write(&cache, 2..50);
        assert_eq!(tail.next().await.unwrap().revision, 2);
        write(&cache, 50..20_000);
        assert_eq!(tail.idle_revision(), None);
        for revision in 3..20_000 {
            assert_eq!(tail.next().await.unwrap().revision, revision);
        }
        assert_eq!(tail.idle_revision(), Some(19_999));
    }

    #[tokio::test]
    async fn a_tail_behind_the_history_is_told() {
        let cache = cache(100_000);
        let (mut tail, _) = Tail::open(cache.clone(), "core/configmaps", Lane::All, From::Now).unwrap();
        write(&cache, 2..20_000);
        assert!(matches!(tail.next().await, Err(Ended::TooOld { .. })));
    }

    #[tokio::test]
    async fn a_closed_tail_leaves_its_lane() {
        let cache = cache(1 << 20);
        let lane = Lane::Key("ns/m5".into());
        let (mut tail, _) = Tail::open(cache.clone(), "core/configmaps", lane, From::Revision(1)).unwrap();
        write(&cache, 2..200);
        assert_eq!(tail.next().await.unwrap().revision, 5);
        assert_eq!(tail.next().await.unwrap().revision, 105);
        drop(tail);
        assert!(cache.fan().is_empty());
    }
}
