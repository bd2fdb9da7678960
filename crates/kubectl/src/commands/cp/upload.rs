//! Local files as a tar stream.

use std::fs::{self, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use bytes::Bytes;
use tar::{Builder, Header};
use tokio::sync::mpsc;

use super::path;
use crate::failure::{Failure, Result, go_words};

/// Packs a file, a link or a folder under a name; folders are packed without entries of their own unless empty.
///
/// # Errors
/// A file that cannot be read, or that is a socket, pipe or device; a reader that is gone.
pub fn pack(source: &str, name: &str, out: impl Write) -> Result {
    let mut archive = Builder::new(out);
    archive.sparse(false);
    add(&mut archive, source, name)?;
    Ok(archive.finish()?)
}

fn add<W: Write>(archive: &mut Builder<W>, source: &str, name: &str) -> Result {
    let failed = |call: &str, why: io::Error| Failure::Here(go_words(call, source, &why));
    let meta = fs::symlink_metadata(source).map_err(|why| failed("lstat", why))?;
    let mut header = header(&meta);
    if meta.is_dir() {
        let mut entries: Vec<String> = Vec::new();
        for entry in fs::read_dir(source).map_err(|why| failed("open", why))? {
            entries.push(entry?.file_name().to_string_lossy().into_owned());
        }
        entries.sort();
        if entries.is_empty() {
            archive.append_data(&mut header, name, io::empty())?;
        }
        for entry in entries {
            add(archive, &path::join(source, &entry), &path::join(name, &entry))?;
        }
        return Ok(());
    }
    if meta.is_symlink() {
        let target = fs::read_link(source).map_err(|why| failed("readlink", why))?;
        return Ok(archive.append_link(&mut header, name, Path::new(&target))?);
    }
    if !meta.is_file() {
        let what = if meta.file_type().is_socket() { "sockets" } else { "pipes and devices" };
        return Err(Failure::Here(format!("archive/tar: {what} not supported: {source}")));
    }
    let file = fs::File::open(source).map_err(|why| failed("open", why))?;
    Ok(archive.append_data(&mut header, name, file)?)
}

fn header(meta: &Metadata) -> Header {
    let mut header = Header::new_gnu();
    header.set_metadata(meta);
    if !meta.is_file() {
        header.set_size(0);
    }
    header
}

/// A writer whose bytes leave through a channel, for a thread that may wait.
pub struct ToChannel(pub mpsc::Sender<Bytes>);

impl Write for ToChannel {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let sent = self.0.blocking_send(Bytes::copy_from_slice(data));
        sent.map(|()| data.len()).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
