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

/// As the kernel's own limit.
const LINKS_MAX: u32 = 40;

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
    /// `None` if there is none. A link may lead into another layer, not out of the root; those of folders on the way
    /// hold within their layer.
    pub fn read(&self, path: &str) -> Option<String> {
        let mut path = path.to_string();
        for _ in 0..LINKS_MAX {
            match self.find(&path)? {
                Found::File(file) => return read_regular(file),
                Found::Link(target) => path = target,
            }
        }
        None
    }

    fn find(&self, path: &str) -> Option<Found> {
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
                Ok(file) => return Some(Found::File(file.into())),
                // Another kind of failure hides what is below: a whiteout is a device that cannot be opened.
                Err(rustix::io::Errno::NOENT) => match link_in(&root, relative) {
                    Some(target) => return Some(Found::Link(target)),
                    None => continue,
                },
                Err(_) => return None,
            }
        }
        None
    }
}

enum Found {
    File(fs::File),
    /// A link whose target is not in its own layer.
    Link(String),
}

/// Where a link in a layer leads, seen from the container's root.
fn link_in(layer: &fs::File, path: &str) -> Option<String> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let link = rustix::fs::openat2(layer, path, flags, Mode::empty(), resolve).ok()?;
    let target = rustix::fs::readlinkat(&link, "", Vec::new()).ok()?.into_string().ok()?;
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    // `openat2` takes care of the dots, and of those that would lead out.
    Some(if target.starts_with('/') { target } else { format!("{folder}/{target}") })
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_link_leads_into_another_layer() {
        let folder = std::env::temp_dir().join(format!("image-links-{}", std::process::id()));
        for path in ["lower/etc", "lower/share", "upper/etc"] {
            fs::create_dir_all(folder.join(path)).unwrap();
        }
        fs::write(folder.join("lower/share/passwd"), "shared").unwrap();
        fs::write(folder.join("lower/etc/passwd"), "hidden").unwrap();
        symlink("../share/passwd", folder.join("upper/etc/passwd")).unwrap();
        symlink("/share/passwd", folder.join("upper/etc/absolute")).unwrap();
        symlink("endless", folder.join("upper/etc/endless")).unwrap();
        symlink("/../../lower/../none", folder.join("upper/etc/out")).unwrap();
        let rootfs = Rootfs {
            layers_dir: folder.clone(),
            layers: vec!["lower".into(), "upper".into()],
            upper: folder.join("unused"),
            work: folder.join("unused"),
        };
        assert_eq!(rootfs.read("/etc/passwd").as_deref(), Some("shared"));
        assert_eq!(rootfs.read("/etc/absolute").as_deref(), Some("shared"));
        assert_eq!((rootfs.read("/etc/endless"), rootfs.read("/etc/out"), rootfs.read("/none")), (None, None, None));
        fs::remove_dir_all(folder).unwrap();
    }
}
