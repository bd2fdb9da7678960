//! The objects at the newest revision seen, and the recent past. Synchronous: the driver is in [`super::feed`].

use std::collections::BTreeMap;
use std::sync::Arc;

use api::Kind;
use imbl::OrdMap;
use jiff::Timestamp;
use machinery::object::Object;
use store::{Batch, Entry, Event};

use super::held::{Held, Projection};
use super::history::{History, Limits, Turn};
use crate::keys;

/// The objects of one collection by `namespace/name`. Cloning is a pointer copy.
pub type Objects = OrdMap<Arc<str>, Arc<Held>>;

/// One collection, with the kind that says what is selectable in it.
#[derive(Clone, Default)]
struct Collection {
    kind: Option<&'static Kind>,
    objects: Objects,
}

pub struct State {
    revision: u64,
    seq: u64,
    collections: BTreeMap<Arc<str>, Collection>,
    history: History,
}

/// A list of the past cannot be made: the history starts after it.
#[derive(Debug, PartialEq, Eq)]
pub struct TooOld {
    pub floor: u64,
}

impl State {
    pub fn new(revision: u64, limits: Limits, kinds: impl Iterator<Item = &'static Kind>) -> Self {
        let mut collections = BTreeMap::new();
        for kind in kinds.filter(|kind| kind.stored_as.is_none()) {
            let collection = Collection { kind: Some(kind), objects: Objects::new() };
            collections.entry(Arc::from(keys::collection(kind))).or_insert(collection);
        }
        Self { revision, seq: 0, collections, history: History::new(revision, limits) }
    }

    pub fn revision(&self) -> u64 {
        self.revision
    }

    pub fn seq(&self) -> u64 {
        self.seq
    }

    pub fn history(&self) -> &History {
        &self.history
    }

    pub fn kind(&self, collection: &str) -> Option<&'static Kind> {
        self.collections.get(collection)?.kind
    }

    pub fn get(&self, collection: &str, key: &str) -> Option<&Arc<Held>> {
        self.collections.get(collection)?.objects.get(key)
    }

    pub fn objects(&self, collection: &str) -> Objects {
        self.collections.get(collection).map(|c| c.objects.clone()).unwrap_or_default()
    }

    /// The collection as it was at a revision, by undoing what came after.
    pub fn objects_at(&self, collection: &str, revision: u64) -> Result<Objects, TooOld> {
        let mut objects = self.objects(collection);
        let turns = self.history.back_to(revision).ok_or(TooOld { floor: self.history.floor() })?;
        for turn in turns.filter(|t| &*t.collection == collection) {
            match &turn.before {
                Some(before) => objects.insert(turn.key.clone(), before.clone()),
                None => objects.remove(&*turn.key),
            };
        }
        Ok(objects)
    }

    /// Takes an entry of the first range in; no history.
    pub fn load(&mut self, entry: &Entry) {
        let Some((collection, key)) = keys::parse(&entry.key) else { return };
        let Some(held) = hold(entry, None) else { return };
        self.collection_mut(collection).1.objects.insert(Arc::from(key), held);
    }

    /// Applies a batch; says what changed, in order. `hint` gives the projection that a writer of ours made.
    pub fn apply(
        &mut self,
        batch: &Batch,
        now: Timestamp,
        mut hint: impl FnMut(&Entry) -> Option<Projection>,
    ) -> Vec<Arc<Turn>> {
        self.revision = self.revision.max(batch.revision);
        let mut turns = Vec::with_capacity(batch.events.len());
        for event in &batch.events {
            let (stored, after) = match event {
                Event::Put { entry, .. } => (&entry.key, hold(entry, hint(entry))),
                Event::Delete { key, .. } => (key, None),
            };
            if let Some(turn) = self.turn(batch.revision, now, stored, after) {
                self.history.push(turn.clone());
                turns.push(turn);
            }
        }
        turns
    }

    fn turn(&mut self, revision: u64, now: Timestamp, stored: &[u8], after: Option<Arc<Held>>) -> Option<Arc<Turn>> {
        let (collection, key) = keys::parse(stored)?;
        let seq = self.seq + 1;
        let (name, collection) = self.collection_mut(collection);
        let key: Arc<str> = Arc::from(key);
        let before = match &after {
            Some(held) => collection.objects.insert(key.clone(), held.clone()),
            None => collection.objects.remove(&*key),
        };
        if before.is_none() && after.is_none() {
            return None;
        }
        let mut turn = Turn::new(seq, revision, now, (name, key));
        (turn.before, turn.after) = (before, after);
        self.seq = seq;
        Some(Arc::new(turn))
    }

    fn collection_mut(&mut self, name: &str) -> (Arc<str>, &mut Collection) {
        let name = match self.collections.get_key_value(name) {
            Some((known, _)) => known.clone(),
            None => Arc::from(name),
        };
        let collection = self.collections.entry(name.clone()).or_default();
        (name, collection)
    }
}

/// What does not parse as an object was not written by any registry: it is left out, and said so.
fn hold(entry: &Entry, projection: Option<Projection>) -> Option<Arc<Held>> {
    match Object::from_stored(entry.value.clone(), entry.mod_revision) {
        Ok(object) => Some(Arc::new(Held::new(object, projection))),
        Err(status) => {
            tracing::error!(key = %String::from_utf8_lossy(&entry.key), %status, "a stored value is no object");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::json;

    use super::*;

    fn put(revision: u64, name: &str, text: &str) -> Batch {
        let tree = json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": name}, "data": {"t": text}});
        let key = keys::stored("core/configmaps", &keys::key("ns", name));
        let value = Object::encode(&tree);
        let entry = Entry { key, value, create_revision: revision, mod_revision: revision, lease: None };
        Batch { revision, events: vec![Event::Put { entry, previous: None }] }
    }

    fn delete(revision: u64, name: &str) -> Batch {
        let key = Bytes::from(format!("/registry/core/configmaps/ns/{name}"));
        Batch { revision, events: vec![Event::Delete { key, previous: None }] }
    }

    fn state(bytes: usize) -> State {
        State::new(1, Limits { bytes, age_seconds: 600 }, std::iter::empty())
    }

    #[test]
    fn the_past_is_rebuilt_by_undoing() {
        let mut state = state(1 << 20);
        for batch in [put(2, "a", "1"), put(3, "b", "1"), put(4, "a", "2"), delete(5, "b")] {
            state.apply(&batch, Timestamp::UNIX_EPOCH, |_| None);
        }
        let now = state.objects("core/configmaps");
        assert_eq!(now.len(), 1);
        let past = state.objects_at("core/configmaps", 3).unwrap();
        let seen: Vec<_> = past.iter().map(|(k, h)| (k.to_string(), h.revision())).collect();
        assert_eq!(seen, [("ns/a".to_owned(), 2), ("ns/b".to_owned(), 3)]);
        assert!(state.objects_at("core/configmaps", 1).unwrap().is_empty());
    }

    #[test]
    fn history_forgets_by_bytes_and_says_so() {
        let mut state = state(1000);
        for n in 2..20 {
            state.apply(&put(n, "a", "1"), Timestamp::UNIX_EPOCH, |_| None);
        }
        let floor = state.history().floor();
        assert!(floor > 10);
        assert_eq!(state.objects_at("core/configmaps", floor - 1).err(), Some(TooOld { floor }));
        assert!(state.history().after_revision(floor - 1).is_none());
        let kept: Vec<_> = state.history().after_revision(floor).unwrap().map(|t| t.revision).collect();
        assert_eq!(kept, (floor + 1..20).collect::<Vec<_>>());
    }

    #[test]
    fn a_deletion_carries_the_deletions_revision() {
        let mut state = state(1 << 20);
        state.apply(&put(2, "a", "1"), Timestamp::UNIX_EPOCH, |_| None);
        let turns = state.apply(&delete(7, "a"), Timestamp::UNIX_EPOCH, |_| None);
        assert_eq!(turns[0].gone().unwrap().revision(), 7);
        assert!(Arc::ptr_eq(&turns[0].gone().unwrap(), &turns[0].gone().unwrap()));
    }
}
