//! Crashes: a disk that forgets all that was not synced, at every write; torn and flipped bytes.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use proptest::prelude::*;
use store::disk::{Disk, LogFile};
use store::embedded::{Config, Embedded};
use store::{Op, Outcome, Range, Store, StoreError, Txn};

#[derive(Clone, Default)]
struct File {
    synced: Vec<u8>,
    written: Vec<u8>,
}

/// A folder in memory. After `budget` operations it fails; `crash` drops what was not synced.
#[derive(Clone, Default)]
struct Forgetful {
    files: Arc<Mutex<BTreeMap<String, File>>>,
    budget: Arc<Mutex<usize>>,
}

impl Forgetful {
    fn spend(&self) -> Result<(), StoreError> {
        let mut budget = self.budget.lock().unwrap();
        *budget = budget.checked_sub(1).ok_or(StoreError::Closed("the power is gone".into()))?;
        Ok(())
    }

    /// Only what was synced is left; `torn` bytes of the unsynced rest of each file made it too.
    fn crash(&self, torn: usize) {
        for file in self.files.lock().unwrap().values_mut() {
            let mut left = file.synced.clone();
            let mut kept = 0;
            left.resize(left.len().max(file.written.len()), 0);
            for (at, byte) in file.written.iter().enumerate() {
                if left[at] != *byte && kept < torn {
                    left[at] = *byte;
                    kept += 1;
                }
            }
            *file = File { synced: left.clone(), written: left };
        }
        *self.budget.lock().unwrap() = usize::MAX;
    }
}

impl Disk for Forgetful {
    fn list(&self) -> Result<Vec<String>, StoreError> {
        Ok(self.files.lock().unwrap().keys().cloned().collect())
    }

    fn read(&self, name: &str) -> Result<Vec<u8>, StoreError> {
        Ok(self.files.lock().unwrap()[name].written.clone())
    }

    fn create(&self, name: &str) -> Result<Box<dyn LogFile>, StoreError> {
        self.spend()?;
        self.files.lock().unwrap().insert(name.into(), File::default());
        self.open(name)
    }

    fn open(&self, name: &str) -> Result<Box<dyn LogFile>, StoreError> {
        Ok(Box::new(Handle { disk: self.clone(), name: name.into() }))
    }

    fn put(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.spend()?;
        let file = File { synced: bytes.to_vec(), written: bytes.to_vec() };
        self.files.lock().unwrap().insert(name.into(), file);
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<(), StoreError> {
        self.spend()?;
        self.files.lock().unwrap().remove(name);
        Ok(())
    }
}

struct Handle {
    disk: Forgetful,
    name: String,
}

impl LogFile for Handle {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> Result<(), StoreError> {
        let spent = self.disk.spend();
        let mut files = self.disk.files.lock().unwrap();
        let written = &mut files.get_mut(&self.name).unwrap().written;
        let (start, end) = (offset as usize, offset as usize + bytes.len());
        written.resize(written.len().max(end), 0);
        written[start..end].copy_from_slice(bytes);
        spent
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        self.disk.spend()?;
        let mut files = self.disk.files.lock().unwrap();
        let file = files.get_mut(&self.name).unwrap();
        file.synced = file.written.clone();
        Ok(())
    }
}

fn config() -> Config {
    Config { segment_bytes: 2_000, history_bytes: 1 << 20 }
}

async fn contents(store: &Embedded) -> BTreeMap<Bytes, Bytes> {
    let range = Range { start: Bytes::from_static(b"/"), end: Bytes::from_static(b"0"), limit: None, at: None };
    store.range(range).await.unwrap().entries.into_iter().map(|e| (e.key, e.value)).collect()
}

/// Writes until the power goes; gives what was acknowledged and the write under way.
async fn write(store: &Embedded) -> (BTreeMap<Bytes, Bytes>, Option<(Bytes, Bytes)>) {
    let mut acknowledged = BTreeMap::new();
    for i in 0..60u8 {
        let (key, value) = (Bytes::from(format!("/{}", i % 7)), Bytes::from(vec![i; 150]));
        let op = Op::Put { key: key.clone(), value: value.clone(), lease: None };
        match store.txn(Txn { compares: vec![], ops: vec![op] }).await {
            Ok(Outcome::Committed(_)) => acknowledged.insert(key, value),
            _ => return (acknowledged, Some((key, value))),
        };
    }
    (acknowledged, None)
}

#[tokio::test]
async fn every_acknowledged_write_survives_a_crash_at_any_operation() {
    for torn in [0, 5, 100] {
        for budget in 3..160 {
            let disk = Forgetful::default();
            *disk.budget.lock().unwrap() = budget;
            let Ok(store) = Embedded::open_on(Arc::new(disk.clone()), config()) else { continue };
            let (acknowledged, under_way) = write(&store).await;
            store.close();
            disk.crash(torn);
            let store = Embedded::open_on(Arc::new(disk.clone()), config()).unwrap();
            let mut found = contents(&store).await;
            if let Some((key, value)) = under_way
                && found.get(&key) == Some(&value)
            {
                match acknowledged.get(&key) {
                    Some(before) => found.insert(key, before.clone()),
                    None => found.remove(&key),
                };
            }
            assert_eq!(found, acknowledged, "budget {budget}, torn {torn}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_flipped_bit_before_the_last_commit_stops_the_start(at in any::<prop::sample::Index>(), bit in 0..8u8) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let disk = Forgetful::default();
        disk.crash(0);
        let store = Embedded::open_on(Arc::new(disk.clone()), Config::default()).unwrap();
        let (acknowledged, _) = runtime.block_on(write(&store));
        store.close();
        let mut files = disk.files.lock().unwrap();
        let (name, file) = files.iter_mut().next().unwrap();
        let name = name.clone();
        let end = file.written.iter().rposition(|b| *b != 0).unwrap();
        let last = 190;
        let at = at.index(end - last);
        file.written[at] ^= 1 << bit;
        drop(files);
        match Embedded::open_on(Arc::new(disk.clone()), Config::default()) {
            Err(StoreError::Damaged { file, .. }) => prop_assert_eq!(file, name),
            Err(other) => prop_assert!(false, "{other}"),
            // Padding between frames means nothing; what was acknowledged is there.
            Ok(store) => prop_assert_eq!(runtime.block_on(contents(&store)), acknowledged),
        }
    }
}
