//! The recent changes, oldest first: what watches start from and past lists are rebuilt from.
//!
//! Bounded by bytes and by age. Everything after revision `floor` is here; what is older gets 410.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use machinery::object::Object;

use super::held::Held;

/// What one turn costs besides its object.
const TURN_BYTES: usize = 200;

/// The bounds of the history.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub bytes: usize,
    pub age_seconds: i64,
}

/// One change of one object. `seq` counts the changes that this cache has seen, without gaps.
#[derive(Debug)]
pub struct Turn {
    pub seq: u64,
    pub revision: u64,
    pub collection: Arc<str>,
    pub key: Arc<str>,
    pub before: Option<Arc<Held>>,
    /// `None` for a deletion.
    pub after: Option<Arc<Held>>,
    at: Timestamp,
    gone: OnceLock<Arc<Object>>,
}

impl Turn {
    pub fn new(seq: u64, revision: u64, at: Timestamp, place: (Arc<str>, Arc<str>)) -> Self {
        let (collection, key) = place;
        Self { seq, revision, collection, key, before: None, after: None, at, gone: OnceLock::new() }
    }

    /// The last state before this turn, at this turn's revision: what a DELETED event carries. Made once for
    /// all watchers.
    pub fn gone(&self) -> Option<Arc<Object>> {
        let before = self.before.as_ref()?;
        Some(self.gone.get_or_init(|| before.object.at_revision(self.revision)).clone())
    }

    fn bytes(&self) -> usize {
        let size = |held: &Option<Arc<Held>>| held.as_ref().map_or(0, |h| h.object.stored().len());
        TURN_BYTES + if self.after.is_some() { size(&self.after) } else { size(&self.before) }
    }
}

/// The turns after revision `floor`.
pub struct History {
    turns: VecDeque<Arc<Turn>>,
    bytes: usize,
    floor: u64,
    limits: Limits,
}

impl History {
    pub fn new(floor: u64, limits: Limits) -> Self {
        Self { turns: VecDeque::new(), bytes: 0, floor, limits }
    }

    pub fn floor(&self) -> u64 {
        self.floor
    }

    pub fn push(&mut self, turn: Arc<Turn>) {
        self.bytes += turn.bytes();
        let now = turn.at;
        self.turns.push_back(turn);
        while self.turns.len() > 1 && self.must_forget(now) {
            self.forget_revision();
        }
    }

    /// The turns after a revision; `None` when some of them are forgotten.
    pub fn after_revision(&self, revision: u64) -> Option<impl Iterator<Item = &Arc<Turn>>> {
        if revision < self.floor {
            return None;
        }
        let at = self.turns.partition_point(|t| t.revision <= revision);
        Some(self.turns.range(at..))
    }

    /// The turns after a sequence number; `None` when some of them are forgotten.
    pub fn after_seq(&self, seq: u64) -> Option<impl Iterator<Item = &Arc<Turn>>> {
        if self.turns.front().is_some_and(|oldest| oldest.seq > seq + 1) {
            return None;
        }
        let at = self.turns.partition_point(|t| t.seq <= seq);
        Some(self.turns.range(at..))
    }

    /// Newest first, down to (not including) a revision; `None` when some of them are forgotten.
    pub fn back_to(&self, revision: u64) -> Option<impl Iterator<Item = &Arc<Turn>>> {
        let turns = || self.turns.iter().rev().take_while(move |t| t.revision > revision);
        (revision >= self.floor).then(turns)
    }

    fn must_forget(&self, now: Timestamp) -> bool {
        let old = |t: &Arc<Turn>| now.as_second() - t.at.as_second() > self.limits.age_seconds;
        self.bytes > self.limits.bytes || self.turns.front().is_some_and(old)
    }

    /// Forgets a whole revision: half of one would make a resumed watch miss the rest.
    fn forget_revision(&mut self) {
        let Some(revision) = self.turns.front().map(|t| t.revision) else { return };
        while let Some(turn) = self.turns.pop_front_if(|t| t.revision == revision) {
            self.bytes -= turn.bytes();
        }
        self.floor = revision;
    }
}
