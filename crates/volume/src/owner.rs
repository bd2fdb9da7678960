//! Giving a tree to a group: group ownership, group permissions, and set-group-id folders.

use std::fs::{self, Metadata, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown};
use std::path::Path;

use crate::{Result, at};

const GROUP_READ_WRITE: u32 = 0o660;
const GROUP_READ: u32 = 0o440;
const FOLDER: u32 = 0o2110;

/// Gives everything below `root`, and itself, to a group. With `only_if_needed` a root that is right already
/// is taken as a sign that all is.
///
/// # Errors
/// The file system refuses.
pub fn give(root: &Path, gid: u32, read_only: bool, only_if_needed: bool) -> Result<()> {
    let meta = at("look at", root, fs::symlink_metadata(root))?;
    if only_if_needed && meta.gid() == gid && meta.mode() & wanted(&meta, read_only) == wanted(&meta, read_only) {
        return Ok(());
    }
    walk(root, &meta, gid, read_only)
}

fn wanted(meta: &Metadata, read_only: bool) -> u32 {
    let access = if read_only { GROUP_READ } else { GROUP_READ_WRITE };
    access | if meta.is_dir() { FOLDER } else { 0 }
}

/// Children first: the root is right only when all below it is.
fn walk(path: &Path, meta: &Metadata, gid: u32, read_only: bool) -> Result<()> {
    if meta.is_dir() {
        for entry in at("read", path, fs::read_dir(path))? {
            let entry = at("read", path, entry)?;
            let child = at("look at", path, fs::symlink_metadata(entry.path()))?;
            walk(&entry.path(), &child, gid, read_only)?;
        }
    }
    at("change the group of", path, lchown(path, None, Some(gid)))?;
    if meta.is_symlink() {
        return Ok(());
    }
    let mode = (meta.mode() & 0o7777) | wanted(meta, read_only);
    at("set the mode of", path, fs::set_permissions(path, Permissions::from_mode(mode)))
}
