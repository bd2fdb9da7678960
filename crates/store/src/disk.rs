//! The file layer below the embedded log: just what it needs, so that a test can drop all that was not synced.
//!
//! Names are plain file names in one folder. Nothing here knows what the bytes mean.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::StoreError;

/// A folder of files.
pub trait Disk: Send + Sync + 'static {
    fn list(&self) -> Result<Vec<String>, StoreError>;

    fn read(&self, name: &str) -> Result<Vec<u8>, StoreError>;

    /// Creates (or empties) a file for positioned writes; its directory entry is durable on return.
    fn create(&self, name: &str) -> Result<Box<dyn LogFile>, StoreError>;

    /// Opens an existing file for positioned writes.
    fn open(&self, name: &str) -> Result<Box<dyn LogFile>, StoreError>;

    /// Writes a whole file so that after a crash it is there entirely or not at all; durable on return.
    fn put(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError>;

    fn remove(&self, name: &str) -> Result<(), StoreError>;
}

/// A file under positioned writes.
pub trait LogFile: Send {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> Result<(), StoreError>;

    /// All that was written is durable on return.
    fn sync(&mut self) -> Result<(), StoreError>;
}

/// A folder of the file system, held by one process at a time; made with mode 0700 when absent.
pub struct Folder {
    path: PathBuf,
    _held: File,
}

const LOCK: &str = "lock";

impl Folder {
    /// # Errors
    /// The folder cannot be made, or another process holds it.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed("create folder", path))?;
        let lock = path.join(LOCK);
        let held = options().create(true).open(&lock).map_err(failed("open", &lock))?;
        rustix::fs::flock(&held, rustix::fs::FlockOperation::NonBlockingLockExclusive)
            .map_err(|error| failed("lock (held by another server?)", &lock)(error.into()))?;
        Ok(Self { path: path.to_owned(), _held: held })
    }

    fn sync_entries(&self) -> Result<(), StoreError> {
        let folder = File::open(&self.path).map_err(failed("open folder", &self.path))?;
        folder.sync_all().map_err(failed("sync folder", &self.path))
    }
}

impl Disk for Folder {
    fn list(&self) -> Result<Vec<String>, StoreError> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(failed("list", &self.path))? {
            let entry = entry.map_err(failed("list", &self.path))?;
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }

    fn read(&self, name: &str) -> Result<Vec<u8>, StoreError> {
        let path = self.path.join(name);
        fs::read(&path).map_err(failed("read", &path))
    }

    fn create(&self, name: &str) -> Result<Box<dyn LogFile>, StoreError> {
        let path = self.path.join(name);
        let file = options().create(true).truncate(true).open(&path).map_err(failed("create", &path))?;
        file.sync_all().map_err(failed("sync", &path))?;
        self.sync_entries()?;
        Ok(Box::new(OpenFile { path, file }))
    }

    fn open(&self, name: &str) -> Result<Box<dyn LogFile>, StoreError> {
        let path = self.path.join(name);
        let file = options().open(&path).map_err(failed("open", &path))?;
        Ok(Box::new(OpenFile { path, file }))
    }

    fn put(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.path.join(name);
        let staged = self.path.join(format!("{name}.new"));
        let mut file = options().create(true).truncate(true).open(&staged).map_err(failed("create", &staged))?;
        file.write_all(bytes).map_err(failed("write", &staged))?;
        file.sync_all().map_err(failed("sync", &staged))?;
        fs::rename(&staged, &path).map_err(failed("rename", &path))?;
        self.sync_entries()
    }

    fn remove(&self, name: &str) -> Result<(), StoreError> {
        let path = self.path.join(name);
        fs::remove_file(&path).map_err(failed("remove", &path))
    }
}

struct OpenFile {
    path: PathBuf,
    file: File,
}

impl LogFile for OpenFile {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> Result<(), StoreError> {
        self.file.write_all_at(bytes, offset).map_err(failed("write", &self.path))
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        self.file.sync_data().map_err(failed("sync", &self.path))
    }
}

/// Secrets are in these files: nobody but the owner reads them.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    options
}

fn failed<'a>(operation: &'static str, path: &'a Path) -> impl FnOnce(std::io::Error) -> StoreError + 'a {
    move |error| StoreError::Io { operation, path: path.display().to_string(), what: error.to_string() }
}
