//! The map itself: what a transaction does to it. Synchronous, no clock: time is an argument.
//!
//! The driver ([`crate::embedded`]) decides durability: it plans a transaction here, makes the record
//! durable, and only then shows the new state to readers.

use std::collections::BTreeMap;

use bytes::Bytes;
use imbl::OrdMap;

use crate::frame::Record;
use crate::{Batch, Compare, Entry, Event, LeaseId, Op, Outcome, Revision, Txn};

/// A lease with the moment (milliseconds of the driver's clock) at which it ends.
#[derive(Clone, Debug)]
pub struct Lease {
    pub ttl_seconds: u64,
    pub ends_ms: u64,
    pub keys: BTreeMap<Bytes, ()>,
}

/// All keys at one revision. Cloning the map is a pointer copy.
#[derive(Clone, Default)]
pub struct State {
    pub revision: Revision,
    pub entries: OrdMap<Bytes, Entry>,
    pub leases: BTreeMap<LeaseId, Lease>,
    pub last_lease: LeaseId,
}

impl State {
    /// What the transaction would do: refused with the current entries, or a record to apply.
    pub fn plan(&self, txn: Txn) -> Result<Record, Outcome> {
        let holds = |c: &Compare| self.entries.get(&c.key).map_or(0, |e| e.mod_revision) == c.mod_revision;
        if !txn.compares.iter().all(holds) {
            let current = txn.compares.iter().map(|c| self.entries.get(&c.key).cloned()).collect();
            return Err(Outcome::Refused { current, revision: self.revision });
        }
        let changes = |op: &Op| matches!(op, Op::Put { .. }) || self.entries.contains_key(op.key());
        let ops: Vec<Op> = txn.ops.into_iter().filter(changes).collect();
        if ops.is_empty() {
            return Err(Outcome::Committed(self.revision));
        }
        Ok(Record::Commit { revision: self.revision + 1, ops })
    }

    /// The keys of a lease, as a transaction record that deletes them; `None` when it has none.
    pub fn plan_expiry(&self, lease: LeaseId) -> Option<Record> {
        let keys = &self.leases.get(&lease)?.keys;
        let ops: Vec<Op> = keys.keys().map(|key| Op::Delete { key: key.clone() }).collect();
        (!ops.is_empty()).then(|| Record::Commit { revision: self.revision + 1, ops })
    }

    /// Applies a record and says what changed. Leases start anew from `now_ms`.
    pub fn apply(&mut self, record: &Record, now_ms: u64) -> Option<Batch> {
        match record {
            Record::Commit { revision, ops } => {
                self.revision = *revision;
                let events = ops.iter().map(|op| self.apply_op(op)).collect();
                Some(Batch { revision: *revision, events })
            }
            Record::Grant { lease, ttl_seconds, .. } => {
                self.last_lease = self.last_lease.max(*lease);
                let ends_ms = now_ms + ttl_seconds * 1000;
                self.leases.insert(*lease, Lease { ttl_seconds: *ttl_seconds, ends_ms, keys: BTreeMap::new() });
                None
            }
            Record::Revoke { lease, .. } => {
                self.leases.remove(lease);
                None
            }
        }
    }

    fn apply_op(&mut self, op: &Op) -> Event {
        let previous = self.entries.get(op.key()).cloned();
        if let Some(old) = previous.as_ref().and_then(|p| p.lease).and_then(|l| self.leases.get_mut(&l)) {
            old.keys.remove(op.key());
        }
        match op {
            Op::Put { key, value, lease } => {
                let create_revision = previous.as_ref().map_or(self.revision, |p| p.create_revision);
                let entry = Entry {
                    key: key.clone(),
                    value: value.clone(),
                    create_revision,
                    mod_revision: self.revision,
                    lease: *lease,
                };
                if let Some(holder) = lease.and_then(|l| self.leases.get_mut(&l)) {
                    holder.keys.insert(key.clone(), ());
                }
                self.entries.insert(key.clone(), entry.clone());
                Event::Put { entry, previous }
            }
            Op::Delete { key } => {
                self.entries.remove(key);
                Event::Delete { key: key.clone(), previous }
            }
        }
    }

    /// The lease that ends first.
    pub fn next_expiry(&self) -> Option<(u64, LeaseId)> {
        self.leases.iter().map(|(id, lease)| (lease.ends_ms, *id)).min()
    }
}

impl Op {
    pub fn key(&self) -> &Bytes {
        match self {
            Op::Put { key, .. } | Op::Delete { key } => key,
        }
    }
}
