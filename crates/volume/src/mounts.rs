//! Mounting, unmounting, and the kernel's table of mounts of this process.

use std::ffi::CString;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};

use crate::{Error, Result, at};

/// A line of the mount table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    pub target: PathBuf,
    pub file_system: String,
    pub shared: bool,
}

/// All mounts that this process sees, in the order in which they were made.
///
/// # Errors
/// `/proc` is not there.
pub fn table() -> Result<Vec<Mount>> {
    let path = Path::new("/proc/self/mountinfo");
    let text = at("read", path, fs::read(path))?;
    Ok(text.split(|b| *b == b'\n').filter_map(line).collect())
}

fn line(line: &[u8]) -> Option<Mount> {
    let mut words = line.split(|b| *b == b' ');
    let target = unescape(words.nth(4)?);
    let rest: Vec<_> = words.skip(1).collect();
    let dash = rest.iter().position(|w| *w == b"-")?;
    let shared = rest[..dash].iter().any(|w| w.starts_with(b"shared:"));
    let file_system = String::from_utf8_lossy(rest.get(dash + 1)?).into_owned();
    Some(Mount { target: PathBuf::from(std::ffi::OsString::from_vec(target)), file_system, shared })
}

/// `\040` is how the kernel writes a space.
fn unescape(word: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(word.len());
    let mut rest = word;
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.get(..3).filter(|_| first == b'\\');
        let byte = digits.and_then(|d| std::str::from_utf8(d).ok()).and_then(|d| u8::from_str_radix(d, 8).ok());
        out.push(byte.unwrap_or(first));
        rest = if byte.is_some() { &after[3..] } else { after };
    }
    out
}

/// Whether something is mounted exactly there.
///
/// # Errors
/// The table cannot be read.
pub fn mounted(target: &Path) -> Result<bool> {
    Ok(table()?.iter().any(|m| m.target == target))
}

/// Whether a folder is the root of another file system than its parent: cheaper than the whole table, and enough
/// where nothing but that file system is ever mounted.
fn is_root(folder: &Path) -> Result<bool> {
    let device = |path: &Path| at("look at", path, fs::metadata(path)).map(|m| m.dev());
    match folder.parent() {
        Some(parent) => Ok(device(folder)? != device(parent)?),
        None => Ok(true),
    }
}

/// Mounts a tmpfs, of at most `bytes` when given, unless there is a mount already.
///
/// # Errors
/// The kernel refuses.
pub fn tmpfs(target: &Path, bytes: Option<u64>, mode: u32) -> Result<()> {
    at("create", target, fs::create_dir_all(target))?;
    if is_root(target)? {
        return Ok(());
    }
    let size = bytes.map(|b| format!(",size={b}")).unwrap_or_default();
    let options = CString::new(format!("mode={mode:o}{size}")).unwrap_or_default();
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    at("mount tmpfs on", target, rustix::mount::mount("tmpfs", target, "tmpfs", flags, options.as_c_str()))
}

/// Binds a file or folder with all mounts below it.
///
/// # Errors
/// The kernel refuses.
pub fn bind(source: &Path, target: &Path) -> Result<()> {
    at("bind to", target, rustix::mount::mount_bind_recursive(source, target))
}

/// Makes mounts below a folder spread both ways: the folder becomes a shared mount of its own.
///
/// # Errors
/// The kernel refuses.
pub fn share(folder: &Path) -> Result<()> {
    at("create", folder, fs::create_dir_all(folder))?;
    if !mounted(folder)? {
        bind(folder, folder)?;
    }
    let flags = MountPropagationFlags::SHARED | MountPropagationFlags::REC;
    at("share", folder, rustix::mount::mount_change(folder, flags))
}

/// Unmounts all that is mounted there, however often; what is busy vanishes when its last user goes.
///
/// # Errors
/// The kernel refuses.
pub fn unmount(target: &Path) -> Result<()> {
    loop {
        match rustix::mount::unmount(target, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
            Ok(()) => {}
            Err(Errno::INVAL | Errno::NOENT) => return Ok(()),
            Err(e) => return at("unmount", target, Err(e)),
        }
    }
}

/// Unmounts everything at and below a folder, the innermost first.
///
/// # Errors
/// The kernel refuses.
pub fn unmount_below(folder: &Path) -> Result<()> {
    let below: Vec<_> = table()?.into_iter().filter(|m| m.target.starts_with(folder)).collect();
    below.iter().rev().try_for_each(|m| unmount(&m.target))?;
    if !below.is_empty() && table()?.iter().any(|m| m.target.starts_with(folder)) {
        return Err(Error::Refused(format!("{} still holds a mount", folder.display())));
    }
    Ok(())
}

/// Unmounts everything below a folder and removes it. A folder that still holds a mount is left and told.
///
/// # Errors
/// A mount stayed, or the file system refuses.
pub fn remove_tree(folder: &Path) -> Result<()> {
    unmount_below(folder)?;
    match fs::remove_dir_all(folder) {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        other => at("remove", folder, other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_table() {
        let text = b"36 35 98:0 /mnt1 /mnt/a\\040b rw,noatime master:1 shared:7 - ext3 /dev/root rw,errors=continue";
        let mount = line(text).unwrap();
        assert_eq!(mount.target, Path::new("/mnt/a b"));
        assert_eq!((mount.file_system.as_str(), mount.shared), ("ext3", true));
    }

    #[test]
    fn a_tmpfs_comes_once_and_goes_with_its_tree() {
        let dir = std::env::temp_dir().join(format!("volume-mounts-{}", std::process::id()));
        let inner = dir.join("in ner");
        if let Err(e) = tmpfs(&inner, Some(1 << 20), 0o777) {
            // Without the right to mount there is nothing to test.
            assert!(e.to_string().contains("not permitted"), "{e}");
            return;
        }
        tmpfs(&inner, Some(1 << 20), 0o777).unwrap();
        assert!(mounted(&inner).unwrap());
        fs::write(inner.join("x"), "x").unwrap();
        remove_tree(&dir).unwrap();
        assert!(!dir.exists() && !mounted(&inner).unwrap());
        remove_tree(&dir).unwrap();
    }
}
