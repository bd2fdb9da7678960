//! The embedded store: one writer thread that commits in groups over [`crate::log`], and readers that never wait
//! for it.
//!
//! ```text
//!   txn ─▶ queue ─▶ writer: plan on a private state ─▶ one frame, one sync ─▶ history, shown state ─▶ answers, watches
//! ```
//! Whoever waits while a sync is under way shares the next one. When a write fails the store closes: what was
//! under way has an unknown outcome, and nothing later is acknowledged.

use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use imbl::OrdMap;
use tokio::sync::{oneshot, watch};

use crate::disk::{Disk, Folder};
use crate::frame::Record;
use crate::history::History;
use crate::log::{self, Log};
use crate::state::State;
use crate::{Batch, Entry, Event, LeaseId, Outcome, Page, Range, Revision, Store, StoreError, Txn};

const GROUP_TXNS_MAX: usize = 1024;
const QUEUE_TXNS_MAX: usize = 4096;
const STACK_BYTES: usize = 256 * 1024;

#[derive(Clone, Debug)]
pub struct Config {
    /// A segment is closed and a snapshot taken after this many bytes.
    pub segment_bytes: u64,
    /// Committed batches kept for watches and reads of the past.
    pub history_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { segment_bytes: 16 << 20, history_bytes: 32 << 20 }
    }
}

/// What readers see: the map as of the last durable revision.
struct Shown {
    revision: Revision,
    entries: OrdMap<Bytes, Entry>,
}

struct Shared {
    shown: ArcSwap<Shown>,
    history: RwLock<History>,
    /// The newest durable revision; an error once the store is closed.
    news: watch::Sender<Result<Revision, StoreError>>,
}

pub struct Embedded {
    shared: Arc<Shared>,
    queue: Mutex<Option<SyncSender<Job>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

type Reply = Box<dyn FnOnce(Result<(), StoreError>) + Send>;
type Answer<T> = oneshot::Sender<Result<T, StoreError>>;

enum Job {
    Txn(Txn, Answer<Outcome>),
    Grant(u64, Answer<LeaseId>),
    KeepAlive(LeaseId, Answer<()>),
    Revoke(LeaseId, Answer<()>),
}

impl Embedded {
    /// Opens (or makes) the store in a folder, which this process then holds alone.
    ///
    /// # Errors
    /// The folder is held by another process, cannot be read or written, or is damaged before its last commit.
    pub fn open(folder: &Path, config: Config) -> Result<Arc<Self>, StoreError> {
        Self::open_on(Arc::new(Folder::open(folder)?), config)
    }

    pub fn open_on(disk: Arc<dyn Disk>, config: Config) -> Result<Arc<Self>, StoreError> {
        let opened = log::open(disk.clone(), random()?, 0, config.history_bytes)?;
        let revision = opened.state.revision;
        let shown = Shown { revision, entries: opened.state.entries.clone() };
        let shared = Arc::new(Shared {
            shown: ArcSwap::from_pointee(shown),
            history: RwLock::new(opened.history),
            news: watch::Sender::new(Ok(revision)),
        });
        let (queue, jobs) = sync_channel(QUEUE_TXNS_MAX);
        let writer = Writer {
            disk,
            log: opened.log,
            state: opened.state,
            shared: shared.clone(),
            config,
            start: Instant::now(),
            snapshot: None,
        };
        let spawned = std::thread::Builder::new().name("store".into()).stack_size(STACK_BYTES);
        let writer = spawned.spawn(move || writer.run(&jobs)).map_err(|error| StoreError::Closed(error.to_string()))?;
        Ok(Arc::new(Self { shared, queue: Mutex::new(Some(queue)), writer: Mutex::new(Some(writer)) }))
    }

    /// Commits what is queued, then ends the writer. Later calls answer `Closed`.
    pub fn close(&self) {
        drop(lock(&self.queue).take());
        if let Some(writer) = lock(&self.writer).take() {
            // A panicked writer has closed the store already; there is nothing more to do about it here.
            let _ = writer.join();
        }
    }

    /// Waits until the store can write no more, because it was closed or its disk refused a write, and says why.
    /// What was not answered may or may not be found by the next [`Embedded::open`].
    pub async fn ended(&self) -> StoreError {
        let mut news = self.shared.news.subscribe();
        match news.wait_for(Result::is_err).await.map(|news| news.clone()) {
            Ok(Err(why)) => why,
            _ => StoreError::Closed("it was shut down".into()),
        }
    }

    async fn ask<T>(&self, job: impl FnOnce(Answer<T>) -> Job) -> Result<T, StoreError> {
        let closed = || match &*self.shared.news.borrow() {
            Err(why) => why.clone(),
            Ok(_) => StoreError::Closed("it was shut down".into()),
        };
        let (answer, heard) = oneshot::channel();
        let queue = lock(&self.queue).clone().ok_or_else(closed)?;
        queue.send(job(answer)).map_err(|_| closed())?;
        heard.await.map_err(|_| closed())?
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.close();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn random() -> Result<u32, StoreError> {
    let mut bytes = [0; 4];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(|error| StoreError::Closed(format!("no randomness: {error}")))?;
    Ok(u32::from_le_bytes(bytes))
}

struct Writer {
    disk: Arc<dyn Disk>,
    log: Log,
    state: State,
    shared: Arc<Shared>,
    config: Config,
    start: Instant,
    snapshot: Option<JoinHandle<Result<(), StoreError>>>,
}

/// A group under way: records to make durable, batches to show, answers to give then.
#[derive(Default)]
struct Group {
    records: Vec<Record>,
    batches: Vec<Arc<Batch>>,
    answers: Vec<Reply>,
}

impl Writer {
    fn run(mut self, jobs: &Receiver<Job>) {
        let ended = loop {
            let first = match self.wait(jobs) {
                Ok(first) => first,
                Err(()) => break StoreError::Closed("it was shut down".into()),
            };
            if let Err(error) = self.commit(first, jobs) {
                break match error {
                    StoreError::Closed(why) => StoreError::Closed(why),
                    other => StoreError::Closed(other.to_string()),
                };
            }
        };
        // A snapshot under way is finished; its failure shows at the next start, which then replays more.
        if let Some(snapshot) = self.snapshot.take() {
            let _ = snapshot.join();
        }
        self.shared.news.send_modify(|news| *news = Err(ended));
    }

    /// The next job, or none when a lease ends first.
    fn wait(&self, jobs: &Receiver<Job>) -> Result<Option<Job>, ()> {
        let Some((ends_ms, _)) = self.state.next_expiry() else { return jobs.recv().map(Some).map_err(|_| ()) };
        match jobs.recv_timeout(Duration::from_millis(ends_ms.saturating_sub(self.now_ms()))) {
            Ok(job) => Ok(Some(job)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(()),
        }
    }

    fn commit(&mut self, first: Option<Job>, jobs: &Receiver<Job>) -> Result<(), StoreError> {
        let mut group = Group::default();
        let rest = std::iter::from_fn(|| jobs.try_recv().ok());
        for job in first.into_iter().chain(rest).take(GROUP_TXNS_MAX) {
            self.plan(job, &mut group);
        }
        self.expire(&mut group);
        let durable = if group.records.is_empty() { Ok(()) } else { self.log.append(&group.records) };
        // Whether some of it reached the disk is not known: nothing may be written after it.
        let durable = durable.map_err(|error| StoreError::Closed(error.to_string()));
        if durable.is_ok() && !group.batches.is_empty() {
            self.show(&group.batches);
        }
        for answer in group.answers {
            answer(durable.clone());
        }
        durable?;
        if self.log.size() > self.config.segment_bytes { self.rotate() } else { Ok(()) }
    }

    fn plan(&mut self, job: Job, group: &mut Group) {
        match job {
            Job::Txn(txn, answer) => {
                let unknown = txn.ops.iter().find_map(|op| match op {
                    crate::Op::Put { lease: Some(lease), .. } if !self.state.leases.contains_key(lease) => Some(*lease),
                    _ => None,
                });
                let outcome = match unknown.map_or_else(|| Ok(self.state.plan(txn)), |l| Err(StoreError::NoLease(l))) {
                    Ok(Ok(record)) => Ok(Outcome::Committed(self.take(record, group))),
                    Ok(Err(refused)) => Ok(refused),
                    Err(error) => Err(error),
                };
                group.reply(answer, outcome);
            }
            Job::Grant(ttl_seconds, answer) => {
                let lease = self.state.last_lease + 1;
                self.take(Record::Grant { revision: self.state.revision, lease, ttl_seconds }, group);
                group.reply(answer, Ok(lease));
            }
            Job::KeepAlive(lease, answer) => {
                let now_ms = self.now_ms();
                let found = self.state.leases.get_mut(&lease).map(|l| l.ends_ms = now_ms + l.ttl_seconds * 1000);
                group.reply(answer, found.ok_or(StoreError::NoLease(lease)));
            }
            Job::Revoke(lease, answer) => {
                let known = self.state.leases.contains_key(&lease);
                self.end_lease(lease, group);
                group.reply(answer, if known { Ok(()) } else { Err(StoreError::NoLease(lease)) });
            }
        }
    }

    fn expire(&mut self, group: &mut Group) {
        let now_ms = self.now_ms();
        while let Some((_, lease)) = self.state.next_expiry().filter(|(ends_ms, _)| *ends_ms <= now_ms) {
            self.end_lease(lease, group);
        }
    }

    fn end_lease(&mut self, lease: LeaseId, group: &mut Group) {
        if let Some(record) = self.state.plan_expiry(lease) {
            self.take(record, group);
        }
        self.take(Record::Revoke { revision: self.state.revision, lease }, group);
    }

    /// Applies a record to the private state and puts it into the group; answers the revision after it.
    fn take(&mut self, record: Record, group: &mut Group) -> Revision {
        let now_ms = self.now_ms();
        group.batches.extend(self.state.apply(&record, now_ms).map(Arc::new));
        group.records.push(record);
        self.state.revision
    }

    fn show(&self, batches: &[Arc<Batch>]) {
        let mut history = self.shared.history.write().unwrap_or_else(PoisonError::into_inner);
        batches.iter().for_each(|batch| history.push(batch.clone(), self.config.history_bytes));
        drop(history);
        let shown = Shown { revision: self.state.revision, entries: self.state.entries.clone() };
        self.shared.shown.store(Arc::new(shown));
        self.shared.news.send_modify(|news| *news = Ok(self.state.revision));
    }

    /// Begins a new segment and writes a snapshot of this moment beside the work.
    fn rotate(&mut self) -> Result<(), StoreError> {
        if let Some(last) = self.snapshot.take() {
            last.join().map_err(|_| StoreError::Closed("a snapshot panicked".into()))??;
        }
        self.log.rotate(self.state.revision, random()?)?;
        let (disk, state) = (self.disk.clone(), self.state.clone());
        let spawned = std::thread::Builder::new().name("snapshot".into()).stack_size(STACK_BYTES);
        let handle = spawned.spawn(move || log::write_snapshot(&*disk, &state));
        self.snapshot = Some(handle.map_err(|error| StoreError::Closed(error.to_string()))?);
        Ok(())
    }

    fn now_ms(&self) -> u64 {
        self.start.elapsed().as_millis() as u64
    }
}

impl Group {
    /// Answers after the group is durable; who asked may be gone by then.
    fn reply<T: Send + 'static>(&mut self, answer: Answer<T>, outcome: Result<T, StoreError>) {
        self.answers.push(Box::new(move |durable| {
            let _ = answer.send(durable.and(outcome));
        }));
    }
}

impl Store for Embedded {
    fn txn(&self, txn: Txn) -> BoxFuture<'_, Result<Outcome, StoreError>> {
        Box::pin(self.ask(|answer| Job::Txn(txn, answer)))
    }

    fn range(&self, range: Range) -> BoxFuture<'_, Result<Page, StoreError>> {
        Box::pin(async move { self.shared.range(&range) })
    }

    fn watch(
        &self,
        prefix: Bytes,
        after: Revision,
    ) -> BoxFuture<'_, Result<BoxStream<'static, Result<Batch, StoreError>>, StoreError>> {
        Box::pin(async move {
            self.shared.next(after)?;
            Ok(watch_from(self.shared.clone(), prefix, after))
        })
    }

    fn compact(&self, revision: Revision) -> BoxFuture<'_, Result<(), StoreError>> {
        self.shared.history.write().unwrap_or_else(PoisonError::into_inner).compact(revision);
        Box::pin(async { Ok(()) })
    }

    fn grant(&self, ttl_seconds: u64) -> BoxFuture<'_, Result<LeaseId, StoreError>> {
        Box::pin(self.ask(move |answer| Job::Grant(ttl_seconds, answer)))
    }

    fn keep_alive(&self, lease: LeaseId) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.ask(move |answer| Job::KeepAlive(lease, answer)))
    }

    fn revoke(&self, lease: LeaseId) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.ask(move |answer| Job::Revoke(lease, answer)))
    }
}

impl Shared {
    fn range(&self, range: &Range) -> Result<Page, StoreError> {
        let shown = self.shown.load_full();
        let at = range.at.unwrap_or(shown.revision);
        if at > shown.revision {
            return Err(StoreError::Future { asked: at, newest: shown.revision });
        }
        let entries = match at == shown.revision {
            true => shown.entries.clone(),
            false => {
                let history = self.history.read().unwrap_or_else(PoisonError::into_inner);
                // Later batches may be in the history already; undoing from the shown map must start with its own.
                history.undo(self.shown.load_full().entries.clone(), at)?
            }
        };
        let limit = range.limit.unwrap_or(usize::MAX);
        let mut found = entries.range(range.start.clone()..range.end.clone()).map(|(_, entry)| entry);
        let taken: Vec<Entry> = found.by_ref().take(limit).cloned().collect();
        Ok(Page { entries: taken, revision: at, more: found.next().is_some() })
    }

    fn next(&self, after: Revision) -> Result<Option<Arc<Batch>>, StoreError> {
        self.history.read().unwrap_or_else(PoisonError::into_inner).next(after)
    }
}

/// A cursor over the history: it holds nothing for slow readers, who get `Compacted` when they fall behind.
fn watch_from(shared: Arc<Shared>, prefix: Bytes, after: Revision) -> BoxStream<'static, Result<Batch, StoreError>> {
    let news = shared.news.subscribe();
    let cursor = (shared, prefix, Some(after), news);
    Box::pin(stream::unfold(cursor, async |(shared, prefix, after, mut news)| {
        let after = after?;
        loop {
            let heard = news.borrow_and_update().clone();
            match shared.next(after) {
                Err(error) => return Some((Err(error), (shared, prefix, None, news))),
                Ok(Some(batch)) => {
                    let seen = Some(batch.revision);
                    return Some((Ok(only(&batch, &prefix)), (shared, prefix, seen, news)));
                }
                Ok(None) => {}
            }
            let closed = match heard {
                Err(error) => Some(error),
                Ok(_) => news.changed().await.err().map(|_| StoreError::Closed("it was shut down".into())),
            };
            if let Some(error) = closed {
                return Some((Err(error), (shared, prefix, None, news)));
            }
        }
    }))
}

fn only(batch: &Batch, prefix: &Bytes) -> Batch {
    let of_prefix = |event: &&Event| match event {
        Event::Put { entry, .. } => entry.key.starts_with(prefix),
        Event::Delete { key, .. } => key.starts_with(prefix),
    };
    Batch { revision: batch.revision, events: batch.events.iter().filter(of_prefix).cloned().collect() }
}
