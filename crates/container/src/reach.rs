//! Finding, and where needed making, a path below a folder that may hold anything: every step is one name, taken from the
//! folder before, and links are followed here, so that none leads out. Not here: what is done with what was found.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path};

use rustix::fs::{FileType, Mode, OFlags, fstat, mkdirat, openat, readlinkat};
use rustix::io::Errno;

/// As the kernel's own limit.
const LINKS_MAX: u32 = 40;
const HANDLE: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// What is made where there is nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Make {
    Nothing,
    Folder,
    File,
}

/// Whether links on the way are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    Follow,
    Refuse,
}

/// A handle (`O_PATH`) of `path` below `root`, whose folders and itself are made if `make` says so.
pub fn reach(root: BorrowedFd, path: &Path, make: Make, links: Links) -> rustix::io::Result<OwnedFd> {
    let mut way = vec![openat(root, ".", HANDLE, Mode::empty())?];
    let mut left = names(path);
    let mut links_left = if links == Links::Follow { LINKS_MAX } else { 0 };
    while let Some(name) = left.pop_front() {
        if name == ".." {
            // The root is its own parent.
            way.truncate(way.len().saturating_sub(1).max(1));
            continue;
        }
        let here = way.last().map_or(root, AsFd::as_fd);
        let found = match openat(here, &name, HANDLE, Mode::empty()) {
            Err(Errno::NOENT) => made(here, &name, make, left.is_empty())?,
            other => other?,
        };
        if FileType::from_raw_mode(fstat(&found)?.st_mode) != FileType::Symlink {
            way.push(found);
            continue;
        }
        links_left = links_left.checked_sub(1).ok_or(Errno::LOOP)?;
        let target = OsString::from_vec(readlinkat(&found, "", Vec::new())?.into_bytes());
        if target.as_bytes().starts_with(b"/") {
            way.truncate(1);
        }
        let mut rest = names(Path::new(&target));
        rest.append(&mut left);
        left = rest;
    }
    way.pop().ok_or(Errno::INVAL)
}

fn made(folder: BorrowedFd, name: &OsStr, make: Make, is_last: bool) -> rustix::io::Result<OwnedFd> {
    match make {
        Make::Nothing => return Err(Errno::NOENT),
        Make::File if is_last => {
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::WRONLY;
            drop(openat(folder, name, flags, Mode::from_raw_mode(0o644))?);
        }
        Make::File | Make::Folder => mkdirat(folder, name, Mode::from_raw_mode(0o755))?,
    }
    openat(folder, name, HANDLE, Mode::empty())
}

fn names(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_os_string()),
            Component::ParentDir => Some("..".into()),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_stay_below_the_root() {
        let folder = std::env::temp_dir().join(format!("reach-{}", std::process::id()));
        let root = folder.join("root");
        fs::create_dir_all(root.join("etc")).unwrap();
        symlink("/outside", root.join("absolute")).unwrap();
        symlink("../../../outside", root.join("etc/relative")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        symlink("../run/conf", root.join("etc/dangling")).unwrap();
        let handle = fs::File::open(&root).unwrap();
        let to = |path: &str, make, links| reach(handle.as_fd(), Path::new(path), make, links);
        for path in ["/absolute/a", "/etc/relative/b", "../../outside/c"] {
            to(path, Make::Folder, Links::Follow).unwrap();
        }
        to("/etc/dangling", Make::File, Links::Follow).unwrap();
        assert!(["a", "b", "c"].iter().all(|name| root.join("outside").join(name).is_dir()));
        assert!(root.join("run/conf").is_file());
        assert!(!folder.join("outside").exists());
        assert_eq!(to("/loop", Make::Folder, Links::Follow).unwrap_err(), Errno::LOOP);
        assert_eq!(to("/absolute", Make::Folder, Links::Refuse).unwrap_err(), Errno::LOOP);
        assert_eq!(to("/none", Make::Nothing, Links::Follow).unwrap_err(), Errno::NOENT);
        fs::remove_dir_all(folder).unwrap();
    }
}
