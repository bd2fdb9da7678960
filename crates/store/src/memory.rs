//! A folder in memory that can lose power: it forgets all that was not synced, and fails after so many operations.
//!
//! For simulations and tests of what is above it. It is as forgetful as a [`Disk`] may be, and not more: what the
//! contract calls durable is kept.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::StoreError;
use crate::disk::{Disk, LogFile};

/// The same folder for all its clones.
#[derive(Clone)]
pub struct Memory(Arc<Mutex<Folder>>);

struct Folder {
    files: BTreeMap<String, File>,
    /// Removals are not synced: a crash undoes the latest of them.
    removed: Vec<(String, File)>,
    operations_left: usize,
}

#[derive(Clone, Default)]
struct File {
    synced: Vec<u8>,
    written: Vec<u8>,
}

impl Default for Memory {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Folder { files: BTreeMap::new(), removed: Vec::new(), operations_left: usize::MAX })))
    }
}

impl Memory {
    /// Lets this many more writing operations succeed; later ones fail, the first of them perhaps after its effect.
    pub fn fail_after(&self, operations: usize) {
        self.folder().operations_left = operations;
    }

    /// Only what was synced is left, and the power is back. Of the rest, so many bytes of each file made it too, and
    /// so many of the last removals did not happen.
    pub fn crash(&self, torn_bytes: usize, removals_undone: usize) {
        let mut folder = self.folder();
        let kept = folder.removed.len().saturating_sub(removals_undone);
        let undone = folder.removed.split_off(kept);
        folder.files.extend(undone);
        folder.removed.clear();
        folder.files.values_mut().for_each(|file| file.tear(torn_bytes));
        folder.operations_left = usize::MAX;
    }

    /// Changes the bytes of the files, each with its name: what a failing disk does.
    pub fn damage(&self, change: impl FnOnce(&mut BTreeMap<&str, &mut Vec<u8>>)) {
        let mut folder = self.folder();
        change(&mut folder.files.iter_mut().map(|(name, file)| (name.as_str(), &mut file.written)).collect());
    }

    fn folder(&self) -> MutexGuard<'_, Folder> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl File {
    fn tear(&mut self, torn_bytes: usize) {
        if self.written == self.synced {
            return;
        }
        let mut left = self.synced.clone();
        left.resize(left.len().max(self.written.len()), 0);
        let unsynced = self.written.iter().enumerate().filter(|(at, byte)| left[*at] != **byte);
        let made_it: Vec<(usize, u8)> = unsynced.take(torn_bytes).map(|(at, byte)| (at, *byte)).collect();
        made_it.into_iter().for_each(|(at, byte)| left[at] = byte);
        *self = Self { synced: left.clone(), written: left };
    }
}

impl Folder {
    fn spend(&mut self) -> Result<(), StoreError> {
        let left = self.operations_left.checked_sub(1);
        self.operations_left = left.ok_or_else(|| StoreError::Io {
            operation: "write",
            path: "memory".into(),
            what: "the power is gone".into(),
        })?;
        Ok(())
    }

    fn file(&mut self, name: &str) -> Result<&mut File, StoreError> {
        let absent = || StoreError::Io { operation: "open", path: name.into(), what: "it is not there".into() };
        self.files.get_mut(name).ok_or_else(absent)
    }
}

impl Disk for Memory {
    fn list(&self) -> Result<Vec<String>, StoreError> {
        Ok(self.folder().files.keys().cloned().collect())
    }

    fn read(&self, name: &str) -> Result<Vec<u8>, StoreError> {
        Ok(self.folder().file(name)?.written.clone())
    }

    fn create(&self, name: &str) -> Result<Box<dyn LogFile>, StoreError> {
        let mut folder = self.folder();
        folder.spend()?;
        folder.files.insert(name.into(), File::default());
        drop(folder);
        self.open(name)
    }

    fn open(&self, name: &str) -> Result<Box<dyn LogFile>, StoreError> {
        self.folder().file(name)?;
        Ok(Box::new(Handle { disk: self.clone(), name: name.into() }))
    }

    fn put(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let mut folder = self.folder();
        folder.spend()?;
        folder.files.insert(name.into(), File { synced: bytes.to_vec(), written: bytes.to_vec() });
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<(), StoreError> {
        let mut folder = self.folder();
        folder.spend()?;
        if let Some(file) = folder.files.remove(name) {
            folder.removed.push((name.into(), file));
        }
        Ok(())
    }
}

struct Handle {
    disk: Memory,
    name: String,
}

impl LogFile for Handle {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> Result<(), StoreError> {
        let mut folder = self.disk.folder();
        let spent = folder.spend();
        let written = &mut folder.file(&self.name)?.written;
        let (start, end) = (offset as usize, offset as usize + bytes.len());
        written.resize(written.len().max(end), 0);
        written[start..end].copy_from_slice(bytes);
        spent
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        let mut folder = self.disk.folder();
        folder.spend()?;
        let file = folder.file(&self.name)?;
        file.synced = file.written.clone();
        Ok(())
    }
}
