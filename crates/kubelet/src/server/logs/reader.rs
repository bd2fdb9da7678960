//! Reads a log and sends it; with `follow` until the container has ended, across rotations, without polling.

use std::io::SeekFrom;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::sync::mpsc;

use super::watch::Watch;
use super::{Options, line, log_of};
use crate::drive::context::Context;

const CHUNK_BYTES: usize = 64 << 10;

/// What stops the sending: the client went, its limit is reached, the file cannot be read.
struct Over;

struct Sender {
    chunks: mpsc::Sender<Bytes>,
    left: Option<u64>,
    options: Options,
    /// A line that is not whole yet.
    rest: Vec<u8>,
}

impl Sender {
    async fn raw(&mut self, data: &[u8]) -> Result<(), Over> {
        self.rest.extend_from_slice(data);
        let Some(end) = self.rest.iter().rposition(|b| *b == b'\n') else { return Ok(()) };
        let tail = self.rest.split_off(end + 1);
        let whole = std::mem::replace(&mut self.rest, tail);
        let mut out = Vec::with_capacity(whole.len());
        for raw in whole[..end].split(|b| *b == b'\n') {
            line::render(raw, &self.options, &mut out);
        }
        self.send(out).await
    }

    async fn send(&mut self, mut out: Vec<u8>) -> Result<(), Over> {
        if let Some(left) = &mut self.left {
            out.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
            *left -= out.len() as u64;
        }
        if !out.is_empty() {
            self.chunks.send(Bytes::from(out)).await.map_err(|_| Over)?;
        }
        if self.left == Some(0) { Err(Over) } else { Ok(()) }
    }
}

/// Sends the log of the container to the client's channel.
pub async fn send(cx: Arc<Context>, id: String, path: PathBuf, options: Options, chunks: mpsc::Sender<Bytes>) {
    let mut sender = Sender { chunks, left: options.limit_bytes, options, rest: Vec::new() };
    // An `Over` is how a log ends early; the client sees the end of the body.
    let _ = follow(&cx, &id, &path, &mut sender).await;
}

async fn follow(cx: &Context, id: &str, path: &Path, sender: &mut Sender) -> Result<(), Over> {
    // Listening begins before the first read, so that nothing falls between.
    let mut watch = if sender.options.follow { Watch::new(path).ok() } else { None };
    let mut heard = cx.runtime_events.subscribe();
    let mut file = File::open(path).await.map_err(|_| Over)?;
    let start = match sender.options.tail {
        None => 0,
        Some(lines) => tail_start(&mut file, lines).await.map_err(|_| Over)?,
    };
    file.seek(SeekFrom::Start(start)).await.map_err(|_| Over)?;
    loop {
        let live = watch.is_some() && log_of(cx, id).await.is_some_and(|(_, live)| live);
        drain(&mut file, sender).await?;
        if rotated(&file, path).await {
            // What was written between the last read and the rename comes first.
            drain(&mut file, sender).await?;
            if let Ok(next) = File::open(path).await {
                file = next;
                continue;
            }
        }
        let Some(watch) = watch.as_mut().filter(|_| live) else { return Ok(()) };
        tokio::select! {
            changed = watch.changed() => changed.map_err(|_| Over)?,
            event = heard.changed() => event.map_err(|_| Over)?,
            () = sender.chunks.closed() => return Err(Over),
        }
    }
}

async fn drain(file: &mut File, sender: &mut Sender) -> Result<(), Over> {
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        match file.read(&mut buffer).await {
            Ok(0) => return Ok(()),
            Ok(n) => sender.raw(&buffer[..n]).await?,
            Err(_) => return Err(Over),
        }
    }
}

/// Whether the name stands for another file now.
async fn rotated(file: &File, path: &Path) -> bool {
    let (ours, named) = (file.metadata().await, tokio::fs::metadata(path).await);
    matches!((ours, named), (Ok(a), Ok(b)) if a.ino() != b.ino())
}

/// Where the last so many lines begin.
async fn tail_start(file: &mut File, lines: u64) -> std::io::Result<u64> {
    let end = file.metadata().await?.len();
    if lines == 0 {
        return Ok(end);
    }
    let (mut at, mut seen) = (end, 0);
    let mut buffer = vec![0; CHUNK_BYTES];
    while at > 0 {
        let from = at.saturating_sub(CHUNK_BYTES as u64);
        let size = usize::try_from(at - from).unwrap_or(CHUNK_BYTES);
        file.seek(SeekFrom::Start(from)).await?;
        file.read_exact(&mut buffer[..size]).await?;
        for i in (0..size).rev() {
            let position = from + i as u64;
            // The last byte ends the last line; it does not begin one.
            if buffer[i] == b'\n' && position + 1 != end {
                seen += 1;
                if seen == lines {
                    return Ok(position + 1);
                }
            }
        }
        at = from;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_tail_begins_at_a_line() {
        let path = std::env::temp_dir().join(format!("kubelet-tail-{}", std::process::id()));
        std::fs::write(&path, "one\ntwo\nthree\n").unwrap();
        let mut file = File::open(&path).await.unwrap();
        let mut starts = Vec::new();
        for lines in [0, 1, 2, 9] {
            starts.push(tail_start(&mut file, lines).await.unwrap());
        }
        assert_eq!(starts, [14, 8, 4, 0]);
        std::fs::remove_file(path).unwrap();
    }
}
