//! Secret files: written whole or not at all, readable by the owner only.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::PkiError;

fn io<'a>(operation: &'static str, path: &'a Path) -> impl FnOnce(std::io::Error) -> PkiError + 'a {
    move |source| PkiError::Io { operation, path: path.display().to_string(), source }
}

pub fn make_dir(dir: &Path) -> Result<(), PkiError> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(io("creating", dir))
}

/// The file's text, or `None` when it is not there.
pub fn read(path: &Path) -> Result<Option<String>, PkiError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(io("reading", path)(e)),
    }
}

/// Files to be put in place together: on disks where a sync takes milliseconds, one after the other would eat the
/// start-up time.
#[derive(Default)]
pub struct Batch(Vec<(PathBuf, String)>);

impl Batch {
    pub fn add(&mut self, path: &Path, text: &str) {
        self.0.push((path.to_owned(), text.to_owned()));
    }

    /// Writes all under other names, syncs them at once, and then renames them in the order in which they were
    /// added. A stop in the middle leaves stray files at most, which the next batch replaces.
    pub fn commit(self) -> Result<(), PkiError> {
        let mut files = Vec::new();
        for (path, text) in &self.0 {
            let temporary = temporary(path);
            let mut options = std::fs::OpenOptions::new();
            options.write(true).create(true).truncate(true).mode(0o600);
            let mut file = options.open(&temporary).map_err(io("creating", &temporary))?;
            file.write_all(text.as_bytes()).map_err(io("writing", &temporary))?;
            files.push((temporary, file));
        }
        // Without this a crash after the rename could leave an empty key under the right name.
        sync_all(&files)?;
        for (path, _) in &self.0 {
            std::fs::rename(temporary(path), path).map_err(io("renaming", path))?;
        }
        let Some(dir) = self.0.first().and_then(|(path, _)| path.parent()) else { return Ok(()) };
        File::open(dir).and_then(|folder| folder.sync_all()).map_err(io("syncing", dir))
    }
}

fn temporary(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

/// The file system commits syncs that wait together in one go.
fn sync_all(files: &[(PathBuf, File)]) -> Result<(), PkiError> {
    std::thread::scope(|scope| {
        let syncing: Vec<_> = files.iter().map(|(path, file)| (path, scope.spawn(|| file.sync_data()))).collect();
        for (path, thread) in syncing {
            let outcome = thread.join().unwrap_or_else(|_| Err(std::io::Error::other("the syncing thread panicked")));
            outcome.map_err(io("syncing", path))?;
        }
        Ok(())
    })
}
