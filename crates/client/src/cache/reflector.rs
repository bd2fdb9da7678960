//! Keeps a cache: list, watch, list again when the history is gone, back off when the server is.
//!
//! It is the only writer of the cache's state.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use machinery::key::Key;
use machinery::object::Object;
use machinery::request::{Change as Kind, Verb, WatchEvent};
use machinery::status::Status;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Change, Shared, Snapshot};
use crate::access;

/// First wait after a failure; doubles up to the longest. Both get up to as much again at random.
const BACKOFF_MS_MIN: u64 = 20;
const BACKOFF_MS_MAX: u64 = 30_000;
/// A watch that lasted this long proves that the server is well: the back-off starts anew.
const HEALTHY_WATCH: Duration = Duration::from_secs(10);
/// The server is asked to end a watch after this long, and up to as much again, to spread the load.
const WATCH_SECONDS_MIN: u64 = 300;

/// Why a watch is over.
enum End {
    /// The server closed it, or it broke: go on from the last revision.
    Resume(Result<(), Status>),
    /// The last revision is of no use any more.
    Relist,
}

pub(super) async fn run<T: ?Sized + Send + Sync + 'static>(shared: &Shared<T>, stop: &CancellationToken) {
    let _ = stop.run_until_cancelled(follow(shared)).await;
}

async fn follow<T: ?Sized + Send + Sync + 'static>(shared: &Shared<T>) {
    let mut failures = 0;
    loop {
        if let Err(status) = list(shared).await {
            wait(shared, &mut failures, "list", &status).await;
            continue;
        }
        loop {
            let started = Instant::now();
            let end = watch(shared).await;
            if started.elapsed() >= HEALTHY_WATCH {
                failures = 0;
            }
            match end {
                End::Relist => break,
                End::Resume(Ok(())) => wait_if_short(shared, &mut failures, started).await,
                End::Resume(Err(status)) => wait(shared, &mut failures, "watch", &status).await,
            }
        }
    }
}

/// A server that ends every watch at once must not be asked in a tight loop.
async fn wait_if_short<T: ?Sized>(shared: &Shared<T>, failures: &mut u32, started: Instant) {
    if started.elapsed() < Duration::from_secs(1) {
        let status = Status::unavailable("the watch ended at once");
        wait(shared, failures, "watch", &status).await;
    }
}

async fn wait<T: ?Sized>(shared: &Shared<T>, failures: &mut u32, verb: &str, status: &Status) {
    let base = (BACKOFF_MS_MIN << (*failures).min(16)).min(BACKOFF_MS_MAX);
    let millis = base as f64 * (1.0 + shared.world.fraction());
    let resource = &shared.source.resource.plural;
    // The first failures are normal while a server starts.
    match *failures {
        0..5 => tracing::debug!("{verb} {resource}: {status}"),
        _ => tracing::warn!("{verb} {resource}: {status}"),
    }
    *failures = failures.saturating_add(1);
    tokio::time::sleep(Duration::from_millis(millis as u64)).await;
}

/// Reads the whole collection and tells the differences to the state so far.
async fn list<T: ?Sized + Send + Sync + 'static>(shared: &Shared<T>) -> Result<(), Status> {
    let number = shared.lists.fetch_add(1, Ordering::SeqCst) + 1;
    let mut request = shared.source.resource.request(Verb::List, &shared.source.namespace);
    request.options = shared.source.options.clone();
    let list = access::list(shared.client.call(request).await?)?;
    let mut state = (**shared.state.load()).clone();
    let mut gone: BTreeSet<Key> = state.keys().cloned().collect();
    let mut changes = Vec::new();
    for object in &list.items {
        let decoded = (shared.source.decode)(object)?;
        gone.remove(&decoded.key);
        changes.extend(insert(&mut state, decoded));
    }
    for key in gone {
        if let Some(old) = state.remove(&key) {
            changes.push(Change::Deleted { key, old });
        }
    }
    state.at(list.revision);
    state.listed(number);
    publish(shared, state, &changes);
    shared.synced.store(true, Ordering::SeqCst);
    shared.first_list.notify_waiters();
    Ok(())
}

async fn watch<T: ?Sized + Send + Sync + 'static>(shared: &Shared<T>) -> End {
    let mut request = shared.source.resource.request(Verb::Watch, &shared.source.namespace);
    request.options = shared.source.options.clone();
    request.options.resource_version = shared.state.load().revision().to_string();
    request.options.allow_watch_bookmarks = true;
    request.options.timeout_seconds = Some(WATCH_SECONDS_MIN + (shared.world.random)() % WATCH_SECONDS_MIN);
    let mut events = match shared.client.watch(request).await {
        Ok(events) => events,
        Err(status) => return ended(status),
    };
    loop {
        let event = tokio::select! {
            biased;
            () = shared.relist.notified() => return End::Relist,
            event = events.next() => event,
        };
        match event {
            None => return End::Resume(Ok(())),
            Some(Err(status)) => return ended(status),
            Some(Ok(event)) => {
                if let ControlFlow::Break(status) = apply(shared, &event) {
                    return End::Resume(Err(status));
                }
            }
        }
    }
}

fn ended(status: Status) -> End {
    if status.is_expired() { End::Relist } else { End::Resume(Err(status)) }
}

/// Takes an event into the state. An object that cannot be read breaks the watch: skipping it would let the
/// state pass for complete.
fn apply<T: ?Sized + Send + Sync + 'static>(shared: &Shared<T>, event: &WatchEvent) -> ControlFlow<Status> {
    let mut state = (**shared.state.load()).clone();
    let change = match event.change {
        Kind::Bookmark => None,
        Kind::Added | Kind::Modified => match decode(shared, &event.object) {
            Ok(decoded) => insert(&mut state, decoded),
            Err(status) => return ControlFlow::Break(status),
        },
        Kind::Deleted => match decode(shared, &event.object) {
            Ok(decoded) => state.remove(&decoded.key).map(|old| Change::Deleted { key: decoded.key, old }),
            Err(status) => return ControlFlow::Break(status),
        },
    };
    state.at(event.object.revision());
    publish(shared, state, change.as_slice());
    ControlFlow::Continue(())
}

fn decode<T: ?Sized>(shared: &Shared<T>, object: &Arc<Object>) -> Result<super::Decoded<T>, Status> {
    (shared.source.decode)(object)
        .map_err(|s| Status::internal(format!("reading {}: {s}", shared.source.resource.kind)))
}

/// Puts the object in, unless the state has this very version already.
fn insert<T: ?Sized>(state: &mut Snapshot<T>, decoded: super::Decoded<T>) -> Option<Change<T>> {
    let (key, new) = (decoded.key.clone(), decoded.value.clone());
    let held = state.entry(&key);
    if held.is_some_and(|held| held.revision == decoded.revision && held.uid == decoded.uid) {
        return None;
    }
    let old = state.insert(decoded);
    Some(Change::Applied { key, old, new })
}

fn publish<T: ?Sized>(shared: &Shared<T>, state: Snapshot<T>, changes: &[Change<T>]) {
    shared.state.store(Arc::new(state));
    let listeners = shared.listeners.lock().unwrap_or_else(PoisonError::into_inner).clone();
    for listener in &listeners {
        listener(changes);
    }
}
