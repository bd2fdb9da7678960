//! A tar stream from a container as local files. What is in it was written by somebody else: nothing may land outside
//! of the destination, and no link is made.

use std::fs;
use std::io::{self, Read};

use bytes::{Buf, Bytes};
use tar::{Archive, EntryType};
use tokio::sync::mpsc;

use super::path;
use crate::failure::{Failure, Result, error, go_words};

/// What is unpacked where.
pub struct Unpacking {
    /// What every name in the archive begins with.
    pub prefix: String,
    pub destination: String,
    /// The command that copies links too, shown once.
    pub hint: String,
}

impl Unpacking {
    /// # Errors
    /// Names that do not belong to what was asked for; a broken archive; files that cannot be written.
    pub fn run(&self, archive: impl Read) -> Result {
        let mut is_hinted = false;
        for entry in Archive::new(archive).entries()? {
            let mut entry = entry?;
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let Some(rest) = name.strip_prefix(&self.prefix) else { return error("tar contents corrupted") };
            let target = path::unslashed(&path::join(&self.destination, path::unslashed(rest))).to_owned();
            if !path::is_inside(&self.destination, &target) {
                eprintln!("warning: file {target:?} is outside target destination, skipping");
                continue;
            }
            let kind = entry.header().entry_type();
            let folder = if kind.is_dir() { target.clone() } else { path::dir(&target) };
            fs::create_dir_all(&folder).map_err(|why| Failure::Here(go_words("mkdir", &folder, &why)))?;
            match kind {
                EntryType::Directory => {}
                EntryType::Symlink => {
                    let link = entry.link_name_bytes().map(|link| String::from_utf8_lossy(&link).into_owned());
                    let hint = if is_hinted { "" } else { self.hint.as_str() };
                    is_hinted = true;
                    eprintln!("warning: skipping symlink: {target:?} -> {:?}{hint}", link.unwrap_or_default());
                }
                _ => {
                    let failed = |call: &str, why: io::Error| Failure::Here(go_words(call, &target, &why));
                    let mut file = fs::File::create(&target).map_err(|why| failed("open", why))?;
                    io::copy(&mut entry, &mut file).map_err(|why| failed("write", why))?;
                }
            }
        }
        Ok(())
    }
}

/// A reader of what comes through a channel, for a thread that may wait.
pub struct FromChannel {
    pub incoming: mpsc::Receiver<Bytes>,
    pub left: Bytes,
    /// Somebody asked for more than came.
    pub is_drained: bool,
}

impl Read for FromChannel {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.left.is_empty() {
            match self.incoming.blocking_recv() {
                Some(bytes) => self.left = bytes,
                None => {
                    self.is_drained = true;
                    return Ok(0);
                }
            }
        }
        let count = out.len().min(self.left.len());
        self.left.copy_to_slice(&mut out[..count]);
        Ok(count)
    }
}
