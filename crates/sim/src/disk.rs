//! A folder of files in memory, for the embedded log.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use store::StoreError;
use store::disk::{Disk, LogFile};

type Bytes = Arc<Mutex<Vec<u8>>>;

#[derive(Default)]
pub struct Memory {
    files: Mutex<BTreeMap<String, Bytes>>,
}

struct Open(Bytes);

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Memory {
    fn file(&self, name: &str) -> Result<Bytes, StoreError> {
        let absent = || StoreError::Io { operation: "open", path: name.to_owned(), what: "no such file".to_owned() };
        lock(&self.files).get(name).cloned().ok_or_else(absent)
    }

    fn set(&self, name: &str, bytes: Vec<u8>) -> Bytes {
        let file = Bytes::new(Mutex::new(bytes));
        lock(&self.files).insert(name.to_owned(), file.clone());
        file
    }
}

impl Disk for Memory {
    fn list(&self) -> Result<Vec<String>, StoreError> {
        Ok(lock(&self.files).keys().cloned().collect())
    }

    fn read(&self, name: &str) -> Result<Vec<u8>, StoreError> {
        Ok(lock(&*self.file(name)?).clone())
    }

    fn create(&self, name: &str) -> Result<Box<dyn LogFile>, StoreError> {
        Ok(Box::new(Open(self.set(name, Vec::new()))))
    }

    fn open(&self, name: &str) -> Result<Box<dyn LogFile>, StoreError> {
        Ok(Box::new(Open(self.file(name)?)))
    }

    fn put(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.set(name, bytes.to_vec());
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<(), StoreError> {
        lock(&self.files).remove(name);
        Ok(())
    }
}

impl LogFile for Open {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> Result<(), StoreError> {
        let mut file = lock(&self.0);
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let end = start.saturating_add(bytes.len());
        if file.len() < end {
            file.resize(end, 0);
        }
        file[start..end].copy_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}
