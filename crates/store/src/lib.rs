//! A revisioned, watchable map of bytes, with etcd's contract: compare-and-swap transactions, ranges at a
//! revision, one watch in revision order, compaction and leases.
//!
//! It never heard of Kubernetes. [`Store`] is the border: [`embedded`] is a durable log in this process;
//! a real etcd fits behind the same trait.

pub mod disk;
pub mod embedded;
mod frame;
mod history;
mod log;
pub mod memory;
mod snapshot;
mod state;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;

/// The version of the whole map; every committed transaction with at least one change is one revision.
pub type Revision = u64;

/// A lease: keys attached to it are deleted when its time to live runs out. Never 0.
pub type LeaseId = u64;

/// A key with its value as of some revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub key: Bytes,
    pub value: Bytes,
    pub create_revision: Revision,
    pub mod_revision: Revision,
    pub lease: Option<LeaseId>,
}

/// What must hold for a transaction to commit: the key's last modification; 0 means that it does not exist.
#[derive(Clone, Debug)]
pub struct Compare {
    pub key: Bytes,
    pub mod_revision: Revision,
}

#[derive(Clone, Debug)]
pub enum Op {
    Put { key: Bytes, value: Bytes, lease: Option<LeaseId> },
    Delete { key: Bytes },
}

/// All compares hold and all ops happen at one revision, or nothing happens.
#[derive(Clone, Debug, Default)]
pub struct Txn {
    pub compares: Vec<Compare>,
    pub ops: Vec<Op>,
}

#[derive(Clone, Debug)]
pub enum Outcome {
    /// Durable at this revision.
    Committed(Revision),
    /// A compare did not hold: the current entries of the compared keys, in order, and the revision seen.
    Refused { current: Vec<Option<Entry>>, revision: Revision },
}

/// Keys from `start` (inclusive) to `end` (exclusive).
#[derive(Clone, Debug)]
pub struct Range {
    pub start: Bytes,
    pub end: Bytes,
    pub limit: Option<usize>,
    /// `None` reads the newest committed revision.
    pub at: Option<Revision>,
}

#[derive(Clone, Debug)]
pub struct Page {
    pub entries: Vec<Entry>,
    /// The revision that was read.
    pub revision: Revision,
    pub more: bool,
}

#[derive(Clone, Debug)]
pub enum Event {
    Put { entry: Entry, previous: Option<Entry> },
    Delete { key: Bytes, previous: Option<Entry> },
}

/// All that one revision changed, in the order of its ops. An empty batch is progress: nothing up to it is missing.
#[derive(Clone, Debug)]
pub struct Batch {
    pub revision: Revision,
    pub events: Vec<Event>,
}

#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    #[error("revision {asked} was compacted; the oldest one held is {oldest}")]
    Compacted { asked: Revision, oldest: Revision },
    #[error("revision {asked} is in the future; the newest one is {newest}")]
    Future { asked: Revision, newest: Revision },
    #[error("no lease {0}")]
    NoLease(LeaseId),
    #[error("{file} is damaged at offset {offset}: {what}")]
    Damaged { file: String, offset: u64, what: String },
    /// The store is gone or going; whether a transaction under way was committed is not known.
    #[error("the store is closed: {0}")]
    Closed(String),
    #[error("{operation} {path}: {what}")]
    Io { operation: &'static str, path: String, what: String },
}

pub trait Store: Send + Sync + 'static {
    /// Commits or refuses; returns after the change is durable.
    fn txn(&self, txn: Txn) -> BoxFuture<'_, Result<Outcome, StoreError>>;

    fn range(&self, range: Range) -> BoxFuture<'_, Result<Page, StoreError>>;

    /// Every batch with a revision greater than `after`, in order, durable ones only, without end.
    fn watch(
        &self,
        prefix: Bytes,
        after: Revision,
    ) -> BoxFuture<'_, Result<BoxStream<'static, Result<Batch, StoreError>>, StoreError>>;

    /// Forgets history below `revision`.
    fn compact(&self, revision: Revision) -> BoxFuture<'_, Result<(), StoreError>>;

    fn grant(&self, ttl_seconds: u64) -> BoxFuture<'_, Result<LeaseId, StoreError>>;

    fn keep_alive(&self, lease: LeaseId) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Deletes the keys of the lease, and the lease.
    fn revoke(&self, lease: LeaseId) -> BoxFuture<'_, Result<(), StoreError>>;
}
