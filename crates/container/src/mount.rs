//! One mount of a container: made apart, with its attributes, and only then put in place, by descriptors and not by paths.
//! Not here: which mounts a container has, and how their targets are found.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, fstatfs};
use rustix::io::{Errno, Result};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
};

const PROC_SUPER_MAGIC: i64 = 0x9fa0;
const READ_ONLY: u64 = MountAttrFlags::MOUNT_ATTR_RDONLY.bits() as u64;

/// The options of a mount, sorted by who understands them.
#[derive(Debug, PartialEq, Eq)]
pub struct Options {
    attributes: MountAttrFlags,
    /// `MS_SHARED` and its like, for the whole tree.
    propagation: u64,
    is_recursive: bool,
    /// Read-only holds for what is mounted below too.
    is_read_only_below: bool,
    /// What the file system itself is told.
    data: Vec<String>,
}

impl Options {
    pub fn of(words: &[String]) -> Options {
        let mut options = Options {
            attributes: MountAttrFlags::empty(),
            propagation: 0,
            is_recursive: false,
            is_read_only_below: false,
            data: Vec::new(),
        };
        for word in words {
            match word.as_str() {
                "ro" => options.attributes |= MountAttrFlags::MOUNT_ATTR_RDONLY,
                "rro" => options.is_read_only_below = true,
                "nosuid" => options.attributes |= MountAttrFlags::MOUNT_ATTR_NOSUID,
                "nodev" => options.attributes |= MountAttrFlags::MOUNT_ATTR_NODEV,
                "noexec" => options.attributes |= MountAttrFlags::MOUNT_ATTR_NOEXEC,
                "strictatime" => options.attributes |= MountAttrFlags::MOUNT_ATTR_STRICTATIME,
                "rprivate" | "private" => options.propagation = libc::MS_PRIVATE,
                "rslave" | "slave" => options.propagation = libc::MS_SLAVE,
                "rshared" | "shared" => options.propagation = libc::MS_SHARED,
                "rbind" => options.is_recursive = true,
                "rw" | "relatime" | "bind" => {}
                other => options.data.push(other.to_string()),
            }
        }
        options
    }
}

/// A file system of its own, put on `target`.
pub fn file_system(kind: &str, options: &Options, target: BorrowedFd) -> Result<()> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    for option in &options.data {
        match option.split_once('=') {
            Some((key, value)) => fsconfig_set_string(&context, key, value)?,
            None => fsconfig_set_flag(&context, option.as_str())?,
        }
    }
    fsconfig_create(&context)?;
    let made = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, options.attributes)?;
    place(&made, target)
}

/// What is at `source`, with what is mounted below it if the options say so.
pub fn copy_of(source: &Path, options: &Options) -> Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    open_tree(CWD, source, if options.is_recursive { flags | OpenTreeFlags::AT_RECURSIVE } else { flags })
}

/// Puts a copy on `target`, with the options' attributes.
pub fn bind(copy: &OwnedFd, options: &Options, target: BorrowedFd) -> Result<()> {
    if !options.attributes.is_empty() {
        set(copy.as_fd(), options.attributes.bits().into(), 0, false)?;
    }
    if options.is_read_only_below {
        set(copy.as_fd(), READ_ONLY, 0, true)?;
    }
    if options.propagation != 0 {
        set(copy.as_fd(), 0, options.propagation, true)?;
    }
    place(copy, target)
}

/// Makes what is at a handle read-only from now on, seen from here: a mount of itself on itself.
pub fn read_only(target: BorrowedFd) -> Result<()> {
    let copy = tree_of(target, true)?;
    set(copy.as_fd(), READ_ONLY, 0, true)?;
    place(&copy, target)
}

/// A copy of the mount of what is at a handle.
pub fn tree_of(handle: BorrowedFd, is_recursive: bool) -> Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    open_tree(handle, "", if is_recursive { flags | OpenTreeFlags::AT_RECURSIVE } else { flags })
}

/// Puts a mount that is nowhere yet on what is at a handle.
pub fn place(made: &OwnedFd, target: BorrowedFd) -> Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(made, "", target, "", flags)
}

/// Makes the one mount at a handle read-only, also for what is done through it already.
pub fn make_read_only(mount: BorrowedFd) -> Result<()> {
    set(mount, READ_ONLY, 0, false)
}

fn set(mount: BorrowedFd, attributes: u64, propagation: u64, is_recursive: bool) -> Result<()> {
    // `struct mount_attr`: to set, to clear, propagation, user namespace.
    let wanted: [u64; 4] = [attributes, 0, propagation, 0];
    let recursive = if is_recursive { OpenTreeFlags::AT_RECURSIVE.bits() } else { 0 };
    let outcome = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            OpenTreeFlags::AT_EMPTY_PATH.bits() | recursive,
            wanted.as_ptr(),
            size_of_val(&wanted),
        )
    };
    match outcome {
        0 => Ok(()),
        _ => Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::INVAL)),
    }
}

/// Whether a handle is in a proc file system.
pub fn is_proc(handle: BorrowedFd) -> bool {
    fstatfs(handle).is_ok_and(|facts| facts.f_type == PROC_SUPER_MAGIC)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_sorted() {
        let words = ["rbind", "rslave", "ro", "nosuid", "rw", "mode=755"].map(str::to_string);
        let options = Options::of(&words);
        assert!(options.is_recursive);
        assert_eq!(options.attributes, MountAttrFlags::MOUNT_ATTR_RDONLY | MountAttrFlags::MOUNT_ATTR_NOSUID);
        assert_eq!((options.propagation, options.data), (libc::MS_SLAVE, vec!["mode=755".to_string()]));
        assert!(Options::of(&["rro".into()]).is_read_only_below);
    }
}
