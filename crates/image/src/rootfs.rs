//! The root file system of one container: read-only layers and a writable one, joined by overlayfs.
//! Not here: making the folders, and the mount namespace in which [`Rootfs::mount`] is called.

use std::ffi::CString;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// `mount(2)` takes one page of options.
const OPTIONS_LENGTH_MAX: usize = 4096;
/// Larger than any passwd file that a program reads line by line.
const FILE_LENGTH_MAX: u64 = 4 << 20;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rootfs {
    pub layers_dir: PathBuf,
    /// Folders below `layers_dir`, lowest first.
    pub layers: Vec<String>,
    pub upper: PathBuf,
    pub work: PathBuf,
}

impl Rootfs {
    /// Mounts at `target`. Changes the calling process's folder, since relative names keep the options short.
    pub fn mount(&self, target: &Path) -> Result<()> {
        let what = || format!("cannot mount the root file system at {}", target.display());
        std::env::set_current_dir(&self.layers_dir).map_err(|source| Error::io(what(), source))?;
        let lower: Vec<&str> = self.layers.iter().rev().map(String::as_str).collect();
        let lower = if lower.is_empty() { ".empty".to_string() } else { lower.join(":") };
        let options = format!("lowerdir={lower},upperdir={},workdir={}", self.upper.display(), self.work.display());
        if options.len() >= OPTIONS_LENGTH_MAX {
            return Err(Error::Invalid(format!("{}: too many layers ({})", what(), self.layers.len())));
        }
        let options = CString::new(options).map_err(|_| Error::Invalid(what()))?;
        rustix::mount::mount("overlay", target, "overlay", rustix::mount::MountFlags::empty(), Some(options.as_c_str()))
            .map_err(|source| Error::io(what(), source))
    }

    /// The content of a regular file of the image, as the container would see it before its first write.
    /// `None` if there is none; symbolic links are not followed from layer to layer.
    pub fn read(&self, path: &str) -> Option<String> {
        let relative = path.trim_start_matches('/');
        for layer in self.layers.iter().rev() {
            let root = fs::File::open(self.layers_dir.join(layer)).ok()?;
            let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
            let found = rustix::fs::openat2(
                &root,
                relative,
                flags,
                Mode::empty(),
                ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
            );
            match found {
                Ok(file) => return read_regular(file.into()),
                // Another kind of failure hides what is below: a whiteout is a device that cannot be opened.
                Err(rustix::io::Errno::NOENT) => continue,
                Err(_) => return None,
            }
        }
        None
    }
}

fn read_regular(file: fs::File) -> Option<String> {
    let meta = file.metadata().ok()?;
    if !meta.is_file() {
        return None;
    }
    let mut text = Vec::new();
    file.take(FILE_LENGTH_MAX).read_to_end(&mut text).ok()?;
    Some(String::from_utf8_lossy(&text).into_owned())
}

/// Makes a folder and its parents inside a root, following the root's own links but never leaving it.
pub fn make_dir_in(root: &Path, path: &str, uid: u32, gid: u32) -> Result<()> {
    let what = |problem: rustix::io::Errno| Error::io(format!("cannot make {path} in the container"), problem);
    let root = fs::File::open(root).map_err(|source| Error::io(format!("cannot open {}", root.display()), source))?;
    let mut done = String::from(".");
    for part in path.split('/').filter(|part| !part.is_empty() && *part != ".") {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let parent = rustix::fs::openat2(&root, done.as_str(), flags, Mode::empty(), resolve).map_err(what)?;
        match rustix::fs::mkdirat(&parent, part, Mode::from_raw_mode(0o755)) {
            Ok(()) => {
                let (uid, gid) = (rustix::fs::Uid::from_raw(uid), rustix::fs::Gid::from_raw(gid));
                rustix::fs::chownat(&parent, part, Some(uid), Some(gid), rustix::fs::AtFlags::SYMLINK_NOFOLLOW)
                    .map_err(what)?;
            }
            Err(rustix::io::Errno::EXIST) => {}
            Err(problem) => return Err(what(problem)),
        }
        done = format!("{done}/{part}");
    }
    Ok(())
}
