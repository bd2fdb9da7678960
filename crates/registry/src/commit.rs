//! One transaction: the object, what is allocated for it, and the wait until the cache has seen it.

use std::time::Duration;

use api::Kind;
use bytes::Bytes;
use machinery::object::Object;
use machinery::status::Status;
use serde_json::Value;
use std::sync::Arc;
use store::{Compare, Entry, LeaseId, Op, Outcome, Txn};

use crate::cache::Projection;
use crate::{Registry, errors, keys};

/// After its commit a write waits this long for the cache; the outcome is known, only reads would be stale.
const SEEN_WAIT: Duration = Duration::from_secs(10);

/// Another object that goes with a write: an address, a port. All are written in one transaction.
#[derive(Clone, Debug, PartialEq)]
pub struct Side {
    pub collection: &'static str,
    pub key: String,
    pub change: SideChange,
}

#[derive(Clone, Debug, PartialEq)]
pub enum SideChange {
    /// Must not exist yet.
    Take(Value),
    /// Goes, if it is there.
    Release,
}

/// What is to be written at one key.
pub struct Write<'a> {
    pub kind: &'static Kind,
    pub namespace: &'a str,
    pub name: &'a str,
    /// The revision that the key must be at; 0: it must not exist.
    pub expect: u64,
    /// The tree in the kind's form; `None` deletes.
    pub tree: Option<&'a Value>,
    pub lease: Option<LeaseId>,
    pub sides: &'a [Side],
}

pub enum Committed {
    At(u64, Option<Arc<Object>>),
    /// Somebody else was faster: the entry as it is.
    Changed(Option<Entry>),
    /// Something allocated was taken meanwhile; the cache has seen by whom.
    SideTaken,
}

impl Registry {
    /// # Errors
    /// The outcome is not known, or the cache did not see it in time.
    pub(crate) async fn commit(&self, write: Write<'_>) -> Result<Committed, Status> {
        let collection = keys::collection(write.kind);
        let key = keys::key(write.namespace, write.name);
        let stored = keys::stored(&collection, &key);
        let value = write.tree.map(|tree| self.encode(write.kind, tree, &stored));
        let txn = transaction(&write, &stored, value.clone());
        let outcome = self.store.txn(txn).await;
        let (revision, refused) = match outcome {
            Ok(Outcome::Committed(revision)) => (revision, None),
            Ok(Outcome::Refused { current, revision }) => (revision, Some(current)),
            Err(error) => {
                self.cache.unexpect(&stored);
                return Err(errors::unknown_outcome(error));
            }
        };
        if let Some(current) = refused {
            self.cache.unexpect(&stored);
            let main = current.into_iter().next().flatten();
            if main.as_ref().map_or(0, |entry| entry.mod_revision) != write.expect {
                return Ok(Committed::Changed(main));
            }
            self.seen(revision).await?;
            return Ok(Committed::SideTaken);
        }
        self.seen(revision).await?;
        let object = value.and_then(|value| self.cache.committed((&collection, &key), revision, &value));
        Ok(Committed::At(revision, object))
    }

    /// The bytes as stored, with the projection given to the cache in advance.
    fn encode(&self, kind: &'static Kind, tree: &Value, stored: &Bytes) -> Bytes {
        let own;
        let tree = match &kind.stored_as {
            None => tree,
            Some(form) => {
                own = (form.to_stored)(tree.clone());
                &own
            }
        };
        let value = Object::encode(tree);
        self.cache.expect(stored.clone(), value.clone(), Projection::of(Some(keys::storing(kind)), tree));
        value
    }

    async fn seen(&self, revision: u64) -> Result<(), Status> {
        self.cache.reach(revision, SEEN_WAIT).await.map_err(|_| {
            Status::timeout(format!("the request was carried out at revision {revision}, but is not visible yet"))
        })
    }
}

fn transaction(write: &Write<'_>, stored: &Bytes, value: Option<Bytes>) -> Txn {
    let mut txn = Txn {
        compares: vec![Compare { key: stored.clone(), mod_revision: write.expect }],
        ops: vec![match value {
            Some(value) => Op::Put { key: stored.clone(), value, lease: write.lease },
            None => Op::Delete { key: stored.clone() },
        }],
    };
    for side in write.sides {
        let key = keys::stored(side.collection, &side.key);
        match &side.change {
            SideChange::Take(tree) => {
                txn.compares.push(Compare { key: key.clone(), mod_revision: 0 });
                txn.ops.push(Op::Put { key, value: Object::encode(tree), lease: None });
            }
            SideChange::Release => txn.ops.push(Op::Delete { key }),
        }
    }
    txn
}
