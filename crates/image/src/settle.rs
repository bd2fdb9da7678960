//! Layers on their way to the disk. Unpacking does not wait for it: a layer is marked as unsettled, durably, before its name
//! appears; a thread syncs the file system once and takes the mark away. A mark of an earlier boot means that the machine
//! went down in between: that layer may have holes, and is removed. A killed process loses nothing.
//! Not here: what a layer holds.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

const ENDING: &str = ".unsettled";

fn mark_of(layers: &Path, name: &str) -> PathBuf {
    layers.join(format!("{name}{ENDING}"))
}

fn boot() -> io::Result<String> {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
}

/// Marks a layer that is about to appear.
pub(crate) fn mark(layers: &Path, name: &str) -> io::Result<()> {
    let path = mark_of(layers, name);
    fs::write(&path, boot()?)?;
    fs::File::open(&path)?.sync_all()?;
    fs::File::open(layers)?.sync_all()
}

/// Syncs the file system in a thread of its own, and takes the marks away.
pub(crate) fn in_background(layers: PathBuf, names: Vec<String>) {
    std::thread::spawn(move || {
        if let Err(problem) = settle(&layers, &names) {
            // The marks stay: the next start tries again, or removes the layers after a crash.
            tracing::warn!(%problem, "layers are not on disk yet");
        }
    });
}

fn settle(layers: &Path, names: &[String]) -> io::Result<()> {
    rustix::fs::syncfs(fs::File::open(layers)?)?;
    for name in names {
        match fs::remove_file(mark_of(layers, name)) {
            Err(problem) if problem.kind() != io::ErrorKind::NotFound => return Err(problem),
            _ => {}
        }
    }
    Ok(())
}

/// Removes what a crash of the machine may have damaged, and settles the rest.
pub(crate) fn after_start(layers: &Path) -> io::Result<()> {
    let boot = boot()?;
    let mut unsettled = Vec::new();
    for entry in fs::read_dir(layers)?.flatten() {
        let file = entry.file_name().to_string_lossy().into_owned();
        let Some(name) = file.strip_suffix(ENDING) else { continue };
        if fs::read_to_string(entry.path())? == boot {
            unsettled.push(name.to_string());
            continue;
        }
        tracing::warn!(layer = name, "removing a layer that was being written when the machine went down");
        match fs::remove_dir_all(layers.join(name)) {
            Err(problem) if problem.kind() != io::ErrorKind::NotFound => return Err(problem),
            _ => fs::remove_file(entry.path())?,
        }
    }
    if !unsettled.is_empty() {
        in_background(layers.to_path_buf(), unsettled);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_of_another_boot_remove_the_layer() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["old", "new"] {
            fs::create_dir(folder.path().join(name)).unwrap();
            mark(folder.path(), name).unwrap();
        }
        fs::write(mark_of(folder.path(), "old"), "another boot").unwrap();
        after_start(folder.path()).unwrap();
        assert!(!folder.path().join("old").exists() && folder.path().join("new").exists());
        settle(folder.path(), &["new".to_string()]).unwrap();
        assert!(!mark_of(folder.path(), "new").exists());
    }
}
