//! Secret files: written whole or not at all, readable by the owner only.

use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

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

/// Puts the text in place of the file in one step. The temporary name is fixed, so that a stop in the middle
/// leaves at most one stray file, which the next write replaces.
pub fn write(path: &Path, text: &str) -> Result<(), PkiError> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = Path::new(&temporary);
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(temporary).map_err(io("creating", temporary))?;
    file.write_all(text.as_bytes()).map_err(io("writing", temporary))?;
    // Without this a crash after the rename could leave an empty key under the right name.
    file.sync_data().map_err(io("syncing", temporary))?;
    std::fs::rename(temporary, path).map_err(io("renaming", temporary))
}
