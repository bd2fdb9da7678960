//! A path inside a folder that cannot leave it, whatever links somebody puts in its way.
//!
//! The kernel resolves the path (`openat2` with `RESOLVE_BENEATH`), so there is no moment between a check and
//! a use. What is bound to a container is the opened thing, not the name.

use std::fs;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::{Error, Result, at, mounts};

/// Opens `path` below `root`; missing folders on the way are made, like `root`, when `create` is given.
///
/// # Errors
/// The path is absolute, climbs, leaves `root` by a link, or does not exist.
pub fn open(root: &Path, path: &str, create: bool) -> Result<OwnedFd> {
    let relative = Path::new(path);
    if relative.components().any(|c| !matches!(c, Component::Normal(_) | Component::CurDir)) {
        return Err(Error::Refused(format!("{path:?} is not a path inside its volume")));
    }
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let base = at("open", root, rustix::fs::open(root, flags | OFlags::DIRECTORY, Mode::empty()))?;
    match resolve(&base, relative, flags) {
        Err(Errno::NOENT) if create => make(&base, root, relative)?,
        Err(e) => return refused(root, path, e),
        Ok(fd) => return Ok(fd),
    }
    resolve(&base, relative, flags).or_else(|e| refused(root, path, e))
}

fn refused<T>(root: &Path, path: &str, e: Errno) -> Result<T> {
    match e {
        Errno::XDEV | Errno::LOOP => Err(Error::Refused(format!("{path:?} leaves its volume"))),
        e => at("open", &root.join(path), Err(e)),
    }
}

fn resolve(base: &OwnedFd, path: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let how = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    loop {
        match rustix::fs::openat2(base, path, flags, Mode::empty(), how) {
            // The kernel saw a rename on the way and could not be sure.
            Err(Errno::AGAIN) => {}
            other => return other,
        }
    }
}

/// Makes the missing folders one by one, each inside the last one opened.
fn make(base: &OwnedFd, root: &Path, path: &Path) -> Result<()> {
    let flags = OFlags::PATH | OFlags::CLOEXEC | OFlags::DIRECTORY;
    let mut done = PathBuf::new();
    let like = at("look at", root, fs::metadata(root))?.permissions();
    let mode = Mode::from_raw_mode(like.mode() & 0o7777);
    for part in path.components() {
        let parent = resolve(base, &done, flags).or_else(|e| refused(root, &done.to_string_lossy(), e))?;
        match rustix::fs::mkdirat(parent.as_fd(), part.as_os_str(), mode) {
            // Once more, as the process's mask took bits away.
            Ok(()) => {
                let made = rustix::fs::chmodat(parent.as_fd(), part.as_os_str(), mode, AtFlags::empty());
                at("set the mode of", &root.join(path), made)?;
            }
            Err(Errno::EXIST) => {}
            Err(e) => return at("create", &root.join(path), Err(e)),
        }
        done.push(part);
    }
    Ok(())
}

/// Binds what `path` is below `root` to `target`, which is made as a folder or a file like it.
///
/// # Errors
/// As [`open`], or the kernel refuses the mount.
pub fn bind(root: &Path, path: &str, target: &Path) -> Result<()> {
    let opened = open(root, path, true)?;
    let source = PathBuf::from(format!("/proc/self/fd/{}", opened.as_raw_fd()));
    let meta = at("look at", &source, fs::metadata(&source))?;
    mounts::unmount(target)?;
    let parent = target.parent().unwrap_or(target);
    if meta.is_dir() {
        at("create", target, fs::create_dir_all(target))?;
    } else {
        at("create", parent, fs::create_dir_all(parent))?;
        at("create", target, fs::File::options().create(true).append(true).open(target))?;
    }
    mounts::bind(&source, target)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_out_of_the_folder_are_refused() {
        let dir = std::env::temp_dir().join(format!("volume-beneath-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(dir.join("in")).unwrap();
        symlink("/etc", dir.join("out")).unwrap();
        symlink("in", dir.join("link")).unwrap();
        assert!(open(&dir, "in", false).is_ok());
        assert!(open(&dir, "link", false).is_ok());
        assert!(open(&dir, "", false).is_ok());
        for path in ["out", "out/passwd", "../x", "/etc"] {
            assert!(matches!(open(&dir, path, true), Err(Error::Refused(_))), "{path}");
        }
        assert!(open(&dir, "new/deep", true).is_ok() && dir.join("new/deep").is_dir());
        assert!(open(&dir, "missing", false).is_err());
        fs::remove_dir_all(&dir).unwrap();
    }
}
