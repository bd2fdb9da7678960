//! One layer's tar stream into a folder, so that nothing escapes it.
//!
//! Every path is resolved by the kernel below the folder (`openat2` with `RESOLVE_IN_ROOT`), and the last name is never
//! followed. Deletions of lower layers become overlayfs' own marks: a 0:0 device, or the `opaque` attribute.
//! Not here: checking the digest, and putting the finished folder in its place.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use crate::{Error, Result};

const WHITEOUT: &str = ".wh.";
const OPAQUE: &str = ".wh..wh..opq";
/// Attributes come as PAX records under this prefix.
const PAX_XATTR: &str = "SCHILY.xattr.";
/// A bound on what one layer may unpack to, against archives that blow up.
const LAYER_BYTES_MAX: u64 = 64 << 30;

/// Unpacks `stream` into the existing, empty folder `into`. `below` are the layers under it, lowest first: a parent
/// folder that the stream does not mention takes its owner and mode from there. Returns the bytes of its files, and
/// how many inodes it has.
pub(crate) fn unpack(stream: impl Read, into: &Path, below: &[PathBuf]) -> Result<(u64, u64)> {
    let root = File::open(into).map_err(|source| Error::io(format!("cannot open {}", into.display()), source))?;
    let mut layer = Layer { root, below, times: BTreeMap::new(), bytes: 0, inodes: 0 };
    let mut archive = tar::Archive::new(stream);
    let entries = archive.entries().map_err(|source| Error::io("cannot read the layer", source))?;
    for entry in entries {
        let mut entry = entry.map_err(|source| Error::io("cannot read the layer", source))?;
        layer.entry(&mut entry)?;
    }
    layer.set_times();
    Ok((layer.bytes, layer.inodes))
}

struct Layer<'a> {
    root: File,
    below: &'a [PathBuf],
    /// Times of folders, set at the end: what is put into a folder changes them.
    times: BTreeMap<String, i64>,
    bytes: u64,
    inodes: u64,
}

/// A path of the archive, checked: relative, without `..`. `None` is the root itself.
fn checked(path: &[u8]) -> Result<Option<String>> {
    let text = std::str::from_utf8(path).map_err(|_| Error::Invalid("a path in the layer is not UTF-8".into()))?;
    let mut parts = Vec::new();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => return Err(Error::Invalid(format!("the layer's path {text:?} leaves the root"))),
            part => parts.push(part),
        }
    }
    Ok(if parts.is_empty() { None } else { Some(parts.join("/")) })
}

fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or((".", path))
}

impl Layer<'_> {
    fn entry<R: Read>(&mut self, entry: &mut tar::Entry<'_, R>) -> Result<()> {
        let Some(path) = checked(&entry.path_bytes())? else {
            return self.metadata(entry, CWD, None);
        };
        let (parent_path, name) = split(&path);
        let at = |problem: Errno| Error::io(format!("cannot unpack {path}"), problem);
        let parent = self.parent(parent_path)?;
        if name == OPAQUE {
            return self.make_opaque(parent_path).map_err(at);
        }
        if let Some(hidden) = name.strip_prefix(WHITEOUT) {
            clear(&parent, hidden, false).map_err(at)?;
            return rustix::fs::mknodat(&parent, hidden, FileType::CharacterDevice, Mode::empty(), 0).map_err(at);
        }
        if self.create(entry, &parent, name, &path)? {
            self.inodes += 1;
            self.metadata(entry, parent.as_fd(), Some((name, &path)))?;
        }
        Ok(())
    }

    /// Makes what the entry names; `false` where it has no attributes of its own.
    fn create<R: Read>(
        &mut self,
        entry: &mut tar::Entry<'_, R>,
        parent: &OwnedFd,
        name: &str,
        path: &str,
    ) -> Result<bool> {
        let at = |problem: Errno| Error::io(format!("cannot unpack {path}"), problem);
        let kind = entry.header().entry_type();
        let keep_folder = kind.is_dir();
        if matches!(kind, tar::EntryType::XGlobalHeader) {
            return Ok(false);
        }
        clear(parent, name, keep_folder).map_err(at)?;
        match kind {
            tar::EntryType::Directory => match rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(problem) => return Err(at(problem)),
            },
            tar::EntryType::Regular | tar::EntryType::Continuous | tar::EntryType::GNUSparse => {
                self.write_file(entry, parent, name, path)?;
            }
            tar::EntryType::Symlink => {
                let target =
                    entry.link_name_bytes().ok_or_else(|| Error::Invalid(format!("{path}: a link to nothing")))?;
                rustix::fs::symlinkat(target.as_ref(), parent, name).map_err(at)?;
            }
            tar::EntryType::Link => {
                let target = entry.link_name_bytes().unwrap_or_default();
                let target = checked(&target)?.ok_or_else(|| Error::Invalid(format!("{path}: a link to the root")))?;
                let (folder, file) = split(&target);
                let folder = self.open(folder, OFlags::PATH | OFlags::DIRECTORY).map_err(at)?;
                rustix::fs::linkat(&folder, file, parent, name, AtFlags::empty()).map_err(at)?;
                return Ok(false);
            }
            tar::EntryType::Char => self.node(entry, parent, name, FileType::CharacterDevice).map_err(at)?,
            tar::EntryType::Block => self.node(entry, parent, name, FileType::BlockDevice).map_err(at)?,
            tar::EntryType::Fifo => self.node(entry, parent, name, FileType::Fifo).map_err(at)?,
            other => return Err(Error::Invalid(format!("{path}: unknown kind of entry {other:?}"))),
        }
        Ok(true)
    }

    fn write_file<R: Read>(
        &mut self,
        entry: &mut tar::Entry<'_, R>,
        parent: &OwnedFd,
        name: &str,
        path: &str,
    ) -> Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let at = |source: io::Error| Error::io(format!("cannot unpack {path}"), source);
        let file = rustix::fs::openat(parent, name, flags, Mode::from_raw_mode(0o600))
            .map_err(|problem| at(problem.into()))?;
        self.bytes += io::copy(entry, &mut File::from(file)).map_err(at)?;
        if self.bytes > LAYER_BYTES_MAX {
            return Err(Error::Invalid(format!("the layer unpacks to more than {LAYER_BYTES_MAX} bytes")));
        }
        Ok(())
    }

    fn node<R: Read>(
        &self,
        entry: &tar::Entry<'_, R>,
        parent: &OwnedFd,
        name: &str,
        kind: FileType,
    ) -> rustix::io::Result<()> {
        let header = entry.header();
        let number = |value: io::Result<Option<u32>>| value.ok().flatten().unwrap_or(0);
        let device = rustix::fs::makedev(number(header.device_major()), number(header.device_minor()));
        rustix::fs::mknodat(parent, name, kind, Mode::from_raw_mode(0o600), device)
    }

    /// Owner first: changing it clears set-uid bits and file capabilities.
    fn metadata<R: Read>(
        &mut self,
        entry: &mut tar::Entry<'_, R>,
        parent: BorrowedFd<'_>,
        leaf: Option<(&str, &str)>,
    ) -> Result<()> {
        let header = entry.header();
        let wrong = |source: io::Error| Error::io("a header in the layer is damaged", source);
        let (uid, gid) = (header.uid().map_err(wrong)? as u32, header.gid().map_err(wrong)? as u32);
        let mode = Mode::from_raw_mode(header.mode().map_err(wrong)? & 0o7777);
        let (kind, seconds) = (header.entry_type(), header.mtime().map_err(wrong)? as i64);
        let attributes = attributes(entry)?;
        let root = self.root.try_clone().map_err(|source| Error::io("cannot duplicate a descriptor", source))?;
        let (parent, name, path) = match leaf {
            Some((name, path)) => (parent, name, path),
            None => (root.as_fd(), ".", "."),
        };
        let at = |problem: Errno| Error::io(format!("cannot set the attributes of {path}"), problem);
        rustix::fs::chownat(
            parent,
            name,
            Some(Uid::from_raw(uid)),
            Some(Gid::from_raw(gid)),
            AtFlags::SYMLINK_NOFOLLOW,
        )
        .map_err(at)?;
        if kind == tar::EntryType::Symlink {
            return set_time(parent, name, seconds).map_err(at);
        }
        // The name was made by us as something that is not a link, so following it goes nowhere.
        rustix::fs::chmodat(parent, name, mode, AtFlags::empty()).map_err(at)?;
        if !attributes.is_empty() && (kind.is_dir() || kind.is_file()) {
            let file =
                rustix::fs::openat(parent, name, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
                    .map_err(at)?;
            for (name, value) in attributes {
                rustix::fs::fsetxattr(&file, name.as_str(), &value, XattrFlags::empty()).map_err(at)?;
            }
        }
        if kind.is_dir() {
            self.times.insert(path.to_string(), seconds);
            return Ok(());
        }
        set_time(parent, name, seconds).map_err(at)
    }

    fn open(&self, path: &str, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        rustix::fs::openat2(&self.root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve)
    }

    /// The folder at `path`, made if the stream did not mention it.
    fn parent(&self, path: &str) -> Result<OwnedFd> {
        let at = |problem: Errno| Error::io(format!("cannot open {path} in the layer"), problem);
        match self.open(path, OFlags::PATH | OFlags::DIRECTORY) {
            Err(Errno::NOENT) => {}
            other => return other.map_err(at),
        }
        let (above, name) = split(path);
        let above = self.parent(above)?;
        let (mode, uid, gid) = self.as_below(path);
        rustix::fs::mkdirat(&above, name, Mode::from_raw_mode(0o755)).map_err(at)?;
        rustix::fs::chownat(&above, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW).map_err(at)?;
        rustix::fs::chmodat(&above, name, mode, AtFlags::empty()).map_err(at)?;
        self.open(path, OFlags::PATH | OFlags::DIRECTORY).map_err(at)
    }

    /// Mode and owner of a folder in the nearest layer below that has it.
    fn as_below(&self, path: &str) -> (Mode, Uid, Gid) {
        let found = self.below.iter().rev().find_map(|layer| rustix::fs::lstat(layer.join(path)).ok());
        match found.filter(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory) {
            Some(stat) => {
                (Mode::from_raw_mode(stat.st_mode & 0o7777), Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid))
            }
            None => (Mode::from_raw_mode(0o755), Uid::ROOT, Gid::ROOT),
        }
    }

    fn make_opaque(&self, folder: &str) -> rustix::io::Result<()> {
        let folder = self.open(folder, OFlags::RDONLY | OFlags::DIRECTORY)?;
        rustix::fs::fsetxattr(&folder, "trusted.overlay.opaque", b"y", XattrFlags::empty())
    }

    fn set_times(&self) {
        for (path, seconds) in &self.times {
            // A folder that a later entry replaced has no time to set.
            if let Ok(folder) = self.open(path, OFlags::RDONLY | OFlags::DIRECTORY) {
                let _ = rustix::fs::futimens(&folder, &times(*seconds));
            }
        }
    }
}

/// Removes what is at `name`, unless it is a folder that stays.
fn clear(parent: &OwnedFd, name: &str, keep_folder: bool) -> rustix::io::Result<()> {
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(Errno::ISDIR) if keep_folder => Ok(()),
        Err(Errno::ISDIR) => remove_tree(parent.as_fd(), name),
        Err(problem) => Err(problem),
    }
}

fn remove_tree(parent: BorrowedFd<'_>, name: &str) -> rustix::io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = rustix::fs::openat(parent, name, flags, Mode::empty())?;
    let names: Vec<_> =
        rustix::fs::Dir::read_from(&folder)?.flatten().map(|entry| entry.file_name().to_owned()).collect();
    for inner in names.iter().filter(|inner| inner.to_bytes() != b"." && inner.to_bytes() != b"..") {
        match rustix::fs::unlinkat(&folder, inner.as_c_str(), AtFlags::empty()) {
            Err(Errno::ISDIR) => remove_tree(folder.as_fd(), &inner.to_string_lossy())?,
            other => other?,
        }
    }
    rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)
}

/// Extended attributes of an entry, file capabilities among them. overlayfs' own are not taken from archives.
fn attributes<R: Read>(entry: &mut tar::Entry<'_, R>) -> Result<Vec<(String, Vec<u8>)>> {
    let records = entry.pax_extensions().map_err(|source| Error::io("a header in the layer is damaged", source))?;
    let mut found = Vec::new();
    for record in records.into_iter().flatten() {
        let record = record.map_err(|source| Error::io("a header in the layer is damaged", source))?;
        let name = record.key().ok().and_then(|key| key.strip_prefix(PAX_XATTR));
        if let Some(name) = name.filter(|name| !name.starts_with("trusted.overlay.")) {
            found.push((name.to_string(), record.value_bytes().to_vec()));
        }
    }
    Ok(found)
}

fn times(seconds: i64) -> Timestamps {
    let time = Timespec { tv_sec: seconds, tv_nsec: 0 };
    Timestamps { last_access: time, last_modification: time }
}

fn set_time(parent: BorrowedFd<'_>, name: &str, seconds: i64) -> rustix::io::Result<()> {
    rustix::fs::utimensat(parent, name, &times(seconds), AtFlags::SYMLINK_NOFOLLOW)
}
