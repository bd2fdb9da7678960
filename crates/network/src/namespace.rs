//! Network namespaces: made, pinned to a path by a bind mount, entered, removed. Not what is inside of them.
//!
//! A process is never moved: whatever must happen inside a namespace happens in a thread of its own, which ends there.

use std::fs::{self, File, OpenOptions};
use std::os::fd::AsFd;
use std::path::Path;

use rustix::mount::UnmountFlags;
use rustix::thread::{LinkNameSpaceType, UnshareFlags};

use crate::{Error, Result};

/// `statfs` says this of a namespace file.
const NSFS_MAGIC: rustix::fs::FsWord = 0x6e73_6673;
/// A kill between mount and removal can leave a few mounts on top of each other, never more than this.
const STACKED_MOUNTS_MAX: usize = 16;

/// Makes a network namespace that lives at `path` until `remove`; its loopback link is up. The folder must exist.
/// A namespace that is already there is kept.
pub fn create(path: &Path) -> Result<()> {
    if exists(path) {
        return Ok(());
    }
    let failed = |step: &str, error: std::io::Error| Error::system(format!("{step} {}", path.display()), error);
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .map_err(|error| failed("create the namespace file", error))?;
    let target = path.to_owned();
    in_thread(move || {
        leave_for_a_new_one()?;
        crate::pod::raise_loopback()?;
        rustix::mount::mount_bind("/proc/thread-self/ns/net", &target)
            .map_err(|error| Error::system(format!("pin a network namespace at {}", target.display()), error))
    })
}

/// Lets go of the namespace at `path` and removes the file. What is not there is no error. The namespace itself ends
/// with the last process in it.
pub fn remove(path: &Path) -> Result<()> {
    for _ in 0..STACKED_MOUNTS_MAX {
        if rustix::mount::unmount(path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW).is_err() {
            break;
        }
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::system(format!("remove the namespace file {}", path.display()), error))
        }
        _ => Ok(()),
    }
}

/// Whether a namespace is pinned at `path`.
pub fn exists(path: &Path) -> bool {
    rustix::fs::statfs(path).is_ok_and(|stat| stat.f_type == NSFS_MAGIC)
}

/// Runs `work` in a thread of its own inside the namespace at `path`, and waits for it.
pub fn within<T: Send>(path: &Path, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let file = File::open(path).map_err(|error| Error::system(format!("open namespace {}", path.display()), error))?;
    in_thread(move || {
        rustix::thread::move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
            .map_err(|error| Error::system(format!("enter namespace {}", path.display()), error))?;
        work()
    })
}

/// Runs `work` in a thread of its own in a new network namespace, which ends with it: a place to try things.
pub fn apart<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    in_thread(move || {
        leave_for_a_new_one()?;
        work()
    })
}

fn in_thread<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("netns".into())
            .spawn_scoped(scope, work)
            .map_err(|error| Error::system("start a thread for a network namespace", error))?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[allow(unsafe_code)]
fn leave_for_a_new_one() -> Result<()> {
    // SAFETY: only the network namespace of this short-lived thread changes; file descriptors stay shared.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }
        .map_err(|error| Error::system("make a network namespace", error))
}
