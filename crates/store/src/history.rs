//! The committed batches still held, oldest first: what watches and reads of the past are served from.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use imbl::OrdMap;

use crate::{Batch, Entry, Event, Revision, StoreError};

/// A run of batches without gaps: everything after revision `before`.
#[derive(Default)]
pub struct History {
    /// The revision just before the oldest batch held.
    before: Revision,
    batches: VecDeque<Arc<Batch>>,
    bytes: usize,
}

impl History {
    pub fn starting_at(before: Revision) -> Self {
        Self { before, ..Self::default() }
    }

    /// Adds the newest batch and forgets the oldest ones over the budget.
    pub fn push(&mut self, batch: Arc<Batch>, budget_bytes: usize) {
        self.bytes += size(&batch);
        self.batches.push_back(batch);
        while self.bytes > budget_bytes && self.batches.len() > 1 {
            self.forget_one();
        }
    }

    pub fn compact(&mut self, revision: Revision) {
        while self.batches.front().is_some_and(|batch| batch.revision < revision) {
            self.forget_one();
        }
    }

    /// The first batch after `after`; `Ok(None)` when there is none yet.
    pub fn next(&self, after: Revision) -> Result<Option<Arc<Batch>>, StoreError> {
        if after < self.before {
            return Err(StoreError::Compacted { asked: after, oldest: self.before });
        }
        let at = self.batches.partition_point(|batch| batch.revision <= after);
        Ok(self.batches.get(at).cloned())
    }

    /// The map as it was at `at`, by undoing the batches since.
    pub fn undo(&self, mut now: OrdMap<Bytes, Entry>, at: Revision) -> Result<OrdMap<Bytes, Entry>, StoreError> {
        if at < self.before {
            return Err(StoreError::Compacted { asked: at, oldest: self.before });
        }
        for batch in self.batches.iter().rev().take_while(|batch| batch.revision > at) {
            for event in batch.events.iter().rev() {
                let (key, previous) = match event {
                    Event::Put { entry, previous } => (&entry.key, previous),
                    Event::Delete { key, previous } => (key, previous),
                };
                match previous {
                    Some(previous) => now.insert(key.clone(), previous.clone()),
                    None => now.remove(key),
                };
            }
        }
        Ok(now)
    }

    fn forget_one(&mut self) {
        if let Some(batch) = self.batches.pop_front() {
            self.before = batch.revision;
            self.bytes -= size(&batch);
        }
    }
}

/// What a batch costs: its new and its previous values, and a fixed share for the rest.
fn size(batch: &Batch) -> usize {
    const EVENT_BYTES: usize = 200;
    let value = |entry: &Option<Entry>| entry.as_ref().map_or(0, |e| e.value.len());
    let event = |event: &Event| match event {
        Event::Put { entry, previous } => EVENT_BYTES + entry.value.len() + value(previous),
        Event::Delete { previous, .. } => EVENT_BYTES + value(previous),
    };
    batch.events.iter().map(event).sum()
}
