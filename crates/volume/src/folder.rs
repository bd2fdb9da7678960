//! A folder whose files change all at once: readers see the old set or the new one, never a mixture.
//!
//! ```text
//! folder/key        -> ..data/key           (links that never change while the key exists)
//! folder/..data     -> ..2026_11_21_….123   (the one link that is swapped by rename)
//! folder/..2026_…/key                       (the files)
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, lchown, symlink};
use std::path::{Component, Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::{Error, Result, at};

const DATA: &str = "..data";
const DATA_NEW: &str = "..data_tmp";
const FOLDER_MODE: u32 = 0o755;

/// One file of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    pub content: Vec<u8>,
    pub mode: u32,
    /// The owner, when it is not root.
    pub uid: Option<u32>,
    pub gid: Option<u32>,
}

/// Makes `folder` hold exactly these files, by relative path. Answers whether anything changed.
///
/// # Errors
/// A path is absolute or leaves the folder, or the file system refuses.
pub fn replace(folder: &Path, files: &BTreeMap<String, File>) -> Result<bool> {
    files.keys().try_for_each(|name| check(name))?;
    at("create", folder, fs::create_dir_all(folder))?;
    let current = fs::read_link(folder.join(DATA)).ok().map(|name| folder.join(name));
    let same = current.as_deref().is_some_and(|dir| same(dir, files));
    if same && linked(folder, files) {
        return Ok(false);
    }
    if !same {
        let fresh = write_new(folder, files)?;
        swap(folder, &fresh)?;
    }
    link(folder, files)?;
    sweep(folder, files)?;
    Ok(true)
}

fn check(name: &str) -> Result<()> {
    let path = Path::new(name);
    let plain = path.components().all(|c| matches!(c, Component::Normal(_))) && !name.is_empty();
    if plain && !name.starts_with("..") { Ok(()) } else { Err(Error::Refused(format!("invalid path: {name:?}"))) }
}

/// The links at the top: the first part of every path.
fn tops(files: &BTreeMap<String, File>) -> BTreeSet<&str> {
    files.keys().filter_map(|name| name.split('/').next()).collect()
}

fn linked(folder: &Path, files: &BTreeMap<String, File>) -> bool {
    tops(files).iter().all(|top| fs::read_link(folder.join(top)).is_ok())
}

/// Whether the current set is this one, modes and owners included.
fn same(dir: &Path, files: &BTreeMap<String, File>) -> bool {
    let mut found = BTreeSet::new();
    if walk(dir, Path::new(""), &mut found).is_err() || !found.iter().eq(files.keys()) {
        return false;
    }
    files.iter().all(|(name, file)| {
        let path = dir.join(name);
        fs::read(&path).is_ok_and(|content| content == file.content)
            && fs::metadata(&path).is_ok_and(|m| m.permissions().mode() & 0o7777 == file.mode)
    })
}

fn walk(root: &Path, below: &Path, found: &mut BTreeSet<String>) -> std::io::Result<()> {
    for entry in fs::read_dir(root.join(below))? {
        let entry = entry?;
        let path = below.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            walk(root, &path, found)?;
        } else {
            found.insert(path.to_string_lossy().into_owned());
        }
    }
    Ok(())
}

fn write_new(folder: &Path, files: &BTreeMap<String, File>) -> Result<PathBuf> {
    // Unique among what is there is enough: one writer works on a folder at a time.
    let stamp = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let fresh = folder.join(format!("..{}.{:09}", stamp.as_secs(), stamp.subsec_nanos()));
    at("create", &fresh, fs::create_dir(&fresh))?;
    at("set the mode of", &fresh, fs::set_permissions(&fresh, Permissions::from_mode(FOLDER_MODE)))?;
    for (name, file) in files {
        let path = fresh.join(name);
        let parent = path.parent().unwrap_or(&fresh);
        at("create", parent, fs::create_dir_all(parent))?;
        at("write", &path, fs::write(&path, &file.content))?;
        if file.uid.is_some() || file.gid.is_some() {
            at("change the owner of", &path, lchown(&path, file.uid, file.gid))?;
        }
        // After the owner: a change of owner takes set-id bits away.
        at("set the mode of", &path, fs::set_permissions(&path, Permissions::from_mode(file.mode)))?;
    }
    Ok(fresh)
}

fn swap(folder: &Path, fresh: &Path) -> Result<()> {
    let (new, data) = (folder.join(DATA_NEW), folder.join(DATA));
    let target = fresh.file_name().unwrap_or_default();
    // A link left by a writer that was killed.
    let _ = fs::remove_file(&new);
    at("link", &new, symlink(target, &new))?;
    at("rename", &data, fs::rename(&new, &data))
}

fn link(folder: &Path, files: &BTreeMap<String, File>) -> Result<()> {
    for top in tops(files) {
        let path = folder.join(top);
        if fs::read_link(&path).is_err() {
            at("link", &path, symlink(Path::new(DATA).join(top), &path))?;
        }
    }
    Ok(())
}

/// Removes links of names that are gone and the sets that were replaced, also by a writer that was killed.
fn sweep(folder: &Path, files: &BTreeMap<String, File>) -> Result<()> {
    let current = fs::read_link(folder.join(DATA)).unwrap_or_default();
    let tops = tops(files);
    for entry in at("read", folder, fs::read_dir(folder))? {
        let entry = at("read", folder, entry)?;
        let name = entry.file_name();
        let text = name.to_string_lossy();
        let path = entry.path();
        if text == DATA || Path::new(&name) == current || tops.contains(text.as_ref()) {
            continue;
        }
        if text.starts_with("..") && path.is_dir() && fs::read_link(&path).is_err() {
            at("remove", &path, fs::remove_dir_all(&path))?;
        } else if fs::read_link(&path).is_ok() {
            at("remove", &path, fs::remove_file(&path))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> File {
        File { content: text.into(), mode: 0o644, uid: None, gid: None }
    }

    fn scratch(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("volume-folder-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        dir
    }

    #[test]
    fn sets_are_replaced_whole() {
        let dir = scratch("replace");
        let first = [("a".to_owned(), file("1")), ("d/e".to_owned(), file("2"))].into();
        assert!(replace(&dir, &first).unwrap());
        assert!(!replace(&dir, &first).unwrap(), "the same again changes nothing");
        assert_eq!(fs::read_to_string(dir.join("d/e")).unwrap(), "2");
        let second = [("a".to_owned(), file("3"))].into();
        assert!(replace(&dir, &second).unwrap());
        assert_eq!(fs::read_to_string(dir.join("a")).unwrap(), "3");
        assert!(!dir.join("d").exists());
        let left: Vec<_> = fs::read_dir(&dir).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left.len(), 3, "{left:?}");
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn paths_that_leave_are_refused() {
        let dir = scratch("refuse");
        for name in ["../x", "/x", "a/../../x", "", "..x"] {
            assert!(replace(&dir, &[(name.to_owned(), file(""))].into()).is_err(), "{name}");
        }
    }

    #[test]
    fn a_killed_writer_leaves_nothing_behind() {
        let dir = scratch("killed");
        fs::create_dir_all(dir.join("..1.000000001")).unwrap();
        symlink("nowhere", dir.join(DATA_NEW)).unwrap();
        replace(&dir, &[("a".to_owned(), file("1"))].into()).unwrap();
        assert!(!dir.join("..1.000000001").exists() && fs::read_link(dir.join(DATA_NEW)).is_err());
        fs::remove_dir_all(&dir).unwrap();
    }
}
