//! One state of a collection: a persistent map with its indexes. Clones share all but what differs.

use std::sync::Arc;

use imbl::OrdMap;
use machinery::key::Key;

use super::source::{Decoded, Index};

/// An object of a snapshot with its identity.
pub struct Entry<T: ?Sized> {
    pub uid: Arc<str>,
    pub revision: u64,
    pub value: Arc<T>,
}

impl<T: ?Sized> Clone for Entry<T> {
    fn clone(&self) -> Self {
        Self { uid: self.uid.clone(), revision: self.revision, value: self.value.clone() }
    }
}

/// Index value and key to object, so that the objects of one value are a range.
type Slots<T> = OrdMap<(Arc<str>, Key), Arc<T>>;

/// A state as of [`Snapshot::revision`].
pub struct Snapshot<T: ?Sized> {
    objects: OrdMap<Key, Entry<T>>,
    indexes: Vec<(Index<T>, Slots<T>)>,
    revision: u64,
    lists: u64,
}

impl<T: ?Sized> Clone for Snapshot<T> {
    fn clone(&self) -> Self {
        Self {
            objects: self.objects.clone(),
            indexes: self.indexes.clone(),
            revision: self.revision,
            lists: self.lists,
        }
    }
}

impl<T: ?Sized> Snapshot<T> {
    pub(super) fn empty(indexes: &[Index<T>]) -> Self {
        let indexes = indexes.iter().map(|i| (i.clone(), OrdMap::new())).collect();
        Self { objects: OrdMap::new(), indexes, revision: 0, lists: 0 }
    }

    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The number of the newest list that is in it; see [`super::Cache::relist`].
    pub fn lists(&self) -> u64 {
        self.lists
    }

    pub fn len(&self) -> usize {
        self.objects.len()
    }

    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    pub fn get(&self, key: &Key) -> Option<&Arc<T>> {
        self.objects.get(key).map(|entry| &entry.value)
    }

    pub fn entry(&self, key: &Key) -> Option<&Entry<T>> {
        self.objects.get(key)
    }

    /// All objects in key order.
    pub fn iter(&self) -> impl Iterator<Item = (&Key, &Arc<T>)> {
        self.objects.iter().map(|(key, entry)| (key, &entry.value))
    }

    /// The objects of a namespace in name order.
    pub fn in_namespace<'a>(&'a self, namespace: &str) -> impl Iterator<Item = &'a Arc<T>> {
        let start = Key::new(namespace, "");
        let namespace = start.namespace.clone();
        let from_start = self.objects.range(start..);
        from_start.take_while(move |(key, _)| key.namespace == namespace).map(|(_, entry)| &entry.value)
    }

    /// The objects found under a value of a declared index; none when the index was not declared.
    pub fn by<'a>(&'a self, index: &str, value: &str) -> impl Iterator<Item = &'a Arc<T>> {
        let start: (Arc<str>, Key) = (Arc::from(value), Key::default());
        let value = start.0.clone();
        let slots = self.indexes.iter().find(|(declared, _)| declared.name == index).map(|(_, slots)| slots);
        debug_assert!(slots.is_some(), "index {index} was not declared");
        let from_start = slots.into_iter().flat_map(move |slots| slots.range(start.clone()..));
        from_start.take_while(move |((at, _), _)| *at == value).map(|(_, object)| object)
    }

    pub(super) fn at(&mut self, revision: u64) {
        self.revision = revision;
    }

    pub(super) fn listed(&mut self, number: u64) {
        self.lists = number;
    }

    /// Puts a new version in; answers the one before.
    pub(super) fn insert(&mut self, decoded: Decoded<T>) -> Option<Arc<T>> {
        let Decoded { key, uid, revision, value } = decoded;
        let old =
            self.objects.insert(key.clone(), Entry { uid, revision, value: value.clone() }).map(|entry| entry.value);
        for (index, slots) in &mut self.indexes {
            let gone = old.as_deref().map(|old| (index.values)(old)).unwrap_or_default();
            gone.into_iter().for_each(|at| drop(slots.remove(&(Arc::from(at), key.clone()))));
            for at in (index.values)(&value) {
                slots.insert((Arc::from(at), key.clone()), value.clone());
            }
        }
        old
    }

    pub(super) fn remove(&mut self, key: &Key) -> Option<Arc<T>> {
        let old = self.objects.remove(key)?.value;
        for (index, slots) in &mut self.indexes {
            for at in (index.values)(&old) {
                slots.remove(&(Arc::from(at), key.clone()));
            }
        }
        Some(old)
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.objects.keys()
    }
}
