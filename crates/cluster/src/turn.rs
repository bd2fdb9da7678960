//! One command at a time: a folder is locked while its cluster is started or stopped, and the folder of all clusters
//! while they settle whose the kernel's switches are.
//!
//! The lock is on the folder itself, so it needs no file that would be left over; the kernel drops it with its holder.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, Result};
use rustix::fs::{FlockOperation, flock};

/// Held until dropped, or until its holder removes the folder: that must be the last thing done.
pub struct Turn {
    _folder: File,
}

/// Waits for the turn; makes the folder when it is absent.
pub fn take(folder: &Path) -> Result<Turn> {
    loop {
        match std::fs::create_dir_all(folder) {
            // Who held it before removed it between two looks of `create_dir_all`.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && !folder.is_file() => continue,
            other => other.with_context(|| format!("create {}", folder.display()))?,
        }
        let file = match File::open(folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            other => other.with_context(|| format!("open {}", folder.display()))?,
        };
        flock(&file, FlockOperation::LockExclusive).with_context(|| format!("lock {}", folder.display()))?;
        // Who held it before may have removed the folder: then the lock is on what nobody else can find.
        let held = file.metadata()?;
        if std::fs::metadata(folder).is_ok_and(|now| (now.dev(), now.ino()) == (held.dev(), held.ino())) {
            return Ok(Turn { _folder: file });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn one_at_a_time_even_when_the_holder_removes_the_folder() {
        let folder = std::env::temp_dir().join(format!("kybern-turn-{}", std::process::id()));
        let inside = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let turn = take(&folder).unwrap();
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        inside.fetch_sub(1, Ordering::SeqCst);
                        std::fs::remove_dir(&folder).unwrap();
                        drop(turn);
                    }
                });
            }
        });
        assert!(!folder.exists());
    }
}
