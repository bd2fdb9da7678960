//! The durable side of the embedded store: segments of frames, snapshots between them, and how they are read
//! back after a crash.
//!
//! ```text
//!   snap-Q   log-Q ─frames─▶ log-R ─frames─▶ (open end, zeros)      names carry the revision they start from
//! ```
//! Two snapshots are kept with all segments since the older one, so that a restarted server still has history
//! for its watchers. An unreadable end of the last segment with nothing readable behind it is a torn write,
//! never acknowledged, and is zeroed; every other unreadable place stops the start and is left as it is.

use std::sync::Arc;

use crate::disk::{Disk, LogFile};
use crate::frame::{self, Found, Record};
use crate::history::History;
use crate::snapshot;
use crate::state::State;
use crate::{Revision, StoreError};

/// Files grow by this many zeroed bytes, so that most syncs change data only.
const GROW_BYTES: u64 = 512 * 1024;

/// The open end of the log.
pub struct Log {
    disk: Arc<dyn Disk>,
    file: Box<dyn LogFile>,
    salt: u32,
    offset: u64,
    allocated: u64,
}

/// What the folder held: the state at its end, the history since the older snapshot, and the open log.
pub struct Opened {
    pub state: State,
    pub history: History,
    pub log: Log,
}

/// Reads the folder back. `salt` is random; `now_ms` is when leases start anew.
pub fn open(disk: Arc<dyn Disk>, salt: u32, now_ms: u64, history_bytes: usize) -> Result<Opened, StoreError> {
    let names = disk.list()?;
    for staged in names.iter().filter(|name| name.ends_with(".new")) {
        disk.remove(staged)?;
    }
    let mut state = match revisions(&names, "snap-").first() {
        Some(oldest) => snapshot::decode(&name("snap-", *oldest), &disk.read(&name("snap-", *oldest))?, now_ms)?,
        None => State::default(),
    };
    let mut history = History::starting_at(state.revision);
    let start = state.revision;
    let bases: Vec<Revision> = revisions(&names, "log-").into_iter().filter(|base| *base >= start).collect();
    let mut log = None;
    for (i, base) in bases.iter().enumerate() {
        let mut replay = Replay { state: &mut state, history: &mut history, now_ms, history_bytes };
        log = replay.segment(&disk, *base, i + 1 == bases.len())?;
    }
    let log = match log {
        Some(log) => log,
        None => Log::begin(disk, state.revision, salt)?,
    };
    Ok(Opened { state, history, log })
}

struct Replay<'a> {
    state: &'a mut State,
    history: &'a mut History,
    now_ms: u64,
    history_bytes: usize,
}

impl Replay<'_> {
    /// Applies one segment; the last one gives the open log (or `None` when it was never begun).
    fn segment(&mut self, disk: &Arc<dyn Disk>, base: Revision, last: bool) -> Result<Option<Log>, StoreError> {
        let file = name("log-", base);
        let damaged = |offset: usize, what: &str| StoreError::Damaged {
            file: file.clone(),
            offset: offset as u64,
            what: what.into(),
        };
        if base != self.state.revision {
            return Err(damaged(
                0,
                &format!("it starts after revision {base}, the log before it ends at {}", self.state.revision),
            ));
        }
        let bytes = disk.read(&file)?;
        let Some(salt) = frame::salt(&bytes) else {
            let begun = bytes.iter().any(|b| *b != 0);
            return if last && !begun { Ok(None) } else { Err(damaged(0, "no segment starts here")) };
        };
        let mut offset = frame::SEGMENT_HEADER_BYTES;
        let torn = loop {
            match frame::read(&bytes, salt, offset) {
                Found::Frame { records, next } => {
                    self.apply(&records).map_err(|what| damaged(offset, &what))?;
                    offset = next;
                }
                Found::End if frame::readable_after(&bytes, salt, offset) => {
                    return Err(damaged(offset, "zeros before the last commit"));
                }
                Found::End => break false,
                Found::Unreadable(what) if !last || frame::readable_after(&bytes, salt, offset) => {
                    return Err(damaged(offset, what));
                }
                Found::Unreadable(_) => break true,
            }
        };
        if !last {
            return Ok(None);
        }
        let mut log = disk.open(&file)?;
        if torn {
            log.write_at(&vec![0; bytes.len() - offset], offset as u64)?;
            log.sync()?;
        }
        let (offset, allocated) = (offset as u64, bytes.len() as u64);
        Ok(Some(Log { disk: disk.clone(), file: log, salt, offset, allocated }))
    }

    fn apply(&mut self, records: &[Record]) -> Result<(), String> {
        for record in records {
            if let Record::Commit { revision, .. } = record
                && *revision != self.state.revision + 1
            {
                return Err(format!("revision {revision} follows {}", self.state.revision));
            }
            if let Some(batch) = self.state.apply(record, self.now_ms) {
                self.history.push(Arc::new(batch), self.history_bytes);
            }
        }
        Ok(())
    }
}

impl Log {
    fn begin(disk: Arc<dyn Disk>, base: Revision, salt: u32) -> Result<Self, StoreError> {
        let mut file = disk.create(&name("log-", base))?;
        let mut first = vec![0; GROW_BYTES as usize];
        first[..frame::SEGMENT_HEADER_BYTES].copy_from_slice(&frame::segment_header(salt));
        file.write_at(&first, 0)?;
        file.sync()?;
        Ok(Self { disk, file, salt, offset: frame::SEGMENT_HEADER_BYTES as u64, allocated: GROW_BYTES })
    }

    pub fn size(&self) -> u64 {
        self.offset
    }

    /// Makes the records durable as one frame.
    pub fn append(&mut self, records: &[Record]) -> Result<(), StoreError> {
        let mut bytes = Vec::with_capacity(4096);
        frame::write(&mut bytes, self.salt, records);
        let end = self.offset + bytes.len() as u64;
        if end > self.allocated {
            let grown = end.next_multiple_of(GROW_BYTES);
            bytes.resize((grown - self.offset) as usize, 0);
            self.allocated = grown;
        }
        self.file.write_at(&bytes, self.offset)?;
        self.file.sync()?;
        self.offset = end;
        Ok(())
    }

    /// Begins the next segment.
    pub fn rotate(&mut self, base: Revision, salt: u32) -> Result<(), StoreError> {
        *self = Self::begin(self.disk.clone(), base, salt)?;
        Ok(())
    }
}

/// Writes the snapshot and removes what only older ones than the one before it need.
pub fn write_snapshot(disk: &dyn Disk, state: &State) -> Result<(), StoreError> {
    disk.put(&name("snap-", state.revision), &snapshot::encode(state))?;
    let names = disk.list()?;
    let snapshots = revisions(&names, "snap-");
    let Some(keep) = snapshots.iter().rev().nth(1).copied() else { return Ok(()) };
    // Snapshots first: one whose segments are gone would be a gap in the log, segments without one are ignored.
    for old in snapshots.iter().filter(|revision| **revision < keep) {
        disk.remove(&name("snap-", *old))?;
    }
    for old in revisions(&names, "log-").iter().filter(|revision| **revision < keep) {
        disk.remove(&name("log-", *old))?;
    }
    Ok(())
}

fn name(prefix: &str, revision: Revision) -> String {
    format!("{prefix}{revision:020}")
}

fn revisions(names: &[String], prefix: &str) -> Vec<Revision> {
    let mut found: Vec<Revision> = names.iter().filter_map(|n| n.strip_prefix(prefix)?.parse().ok()).collect();
    found.sort_unstable();
    found
}
