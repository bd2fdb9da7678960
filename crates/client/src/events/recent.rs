//! A map that forgets what was not touched longest. Pure.

use std::collections::BTreeMap;

/// Remembered entries; the one not touched longest goes first.
const REMEMBERED_MAX: usize = 4096;

pub(super) struct Recent<T> {
    entries: BTreeMap<String, (u64, T)>,
    order: BTreeMap<u64, String>,
    clock: u64,
}

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), order: BTreeMap::new(), clock: 0 }
    }
}

impl<T> Recent<T> {
    pub fn get_mut(&mut self, key: &str) -> Option<&mut T> {
        let (touched, value) = self.entries.get_mut(key)?;
        self.clock += 1;
        self.order.remove(touched);
        self.order.insert(self.clock, key.to_owned());
        *touched = self.clock;
        Some(value)
    }

    pub fn put(&mut self, key: String, value: T) {
        self.make_room();
        self.clock += 1;
        if let Some((touched, _)) = self.entries.insert(key.clone(), (self.clock, value)) {
            self.order.remove(&touched);
        }
        self.order.insert(self.clock, key);
    }

    pub fn get_or(&mut self, key: &str, fresh: impl FnOnce() -> T) -> &mut T {
        if !self.entries.contains_key(key) {
            self.make_room();
        }
        self.clock += 1;
        let (touched, value) = self.entries.entry(key.to_owned()).or_insert_with(|| (0, fresh()));
        self.order.remove(touched);
        self.order.insert(self.clock, key.to_owned());
        *touched = self.clock;
        value
    }

    pub fn remove(&mut self, key: &str) -> Option<T> {
        let (touched, value) = self.entries.remove(key)?;
        self.order.remove(&touched);
        Some(value)
    }

    fn make_room(&mut self) {
        while self.entries.len() >= REMEMBERED_MAX {
            let Some((_, oldest)) = self.order.pop_first() else { return };
            self.entries.remove(&oldest);
        }
    }
}
