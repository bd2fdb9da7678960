//! The driver of the cache: one watch over the whole prefix, applied in revision order.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use store::{Batch, Entry, Range, Store, StoreError};

use super::history::Limits;
use super::state::State;
use super::{Cache, Seen};
use crate::keys::PREFIX;
use crate::world::World;

/// How many revisions of the past are read back at the start, so that watches survive a restart.
const REPLAY_REVISIONS_MAX: u64 = 10_000;
/// At most this many batches are applied before readers and watchers see them.
const BATCHES_AT_ONCE_MAX: usize = 128;
const RETRY_MS_MIN: u64 = 50;
const RETRY_MS_MAX: u64 = 5_000;

type Batches = BoxStream<'static, Result<Batch, StoreError>>;

fn prefix() -> Bytes {
    Bytes::from_static(PREFIX.as_bytes())
}

/// Reads the newest state with as much of the past as the store still has, and starts to follow.
///
/// # Errors
/// The store cannot be read.
pub async fn open(store: &Arc<dyn Store>, limits: Limits, world: &World) -> Result<(Arc<Cache>, Batches), StoreError> {
    let (state, newest) = load(store, limits).await?;
    let start = state.revision();
    let cache = Arc::new(Cache::new(state, world.clone()));
    let mut batches = store.watch(prefix(), start).await?;
    while cache.revision() < newest {
        match batches.next().await {
            Some(batch) => cache.apply(&[batch?]),
            None => return Err(StoreError::Closed("the watch ended while the state was read".into())),
        }
    }
    Ok((cache, batches))
}

/// The state some way back, and the newest revision.
async fn load(store: &Arc<dyn Store>, limits: Limits) -> Result<(State, u64), StoreError> {
    let newest = range(store, None, Some(1)).await?.1;
    let mut start = newest.saturating_sub(REPLAY_REVISIONS_MAX).max(1).min(newest);
    let entries = loop {
        match range(store, Some(start), None).await {
            Ok((entries, _)) => break entries,
            Err(StoreError::Compacted { oldest, .. }) if oldest > start => start = oldest.min(newest),
            Err(StoreError::Compacted { .. }) if start < newest => start = newest,
            Err(error) => return Err(error),
        }
    };
    let mut state = State::new(start, limits, api::KINDS.iter().copied());
    entries.iter().for_each(|entry| state.load(entry));
    Ok((state, newest))
}

async fn range(store: &Arc<dyn Store>, at: Option<u64>, limit: Option<usize>) -> Result<(Vec<Entry>, u64), StoreError> {
    let mut end = PREFIX.as_bytes().to_vec();
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    // Revision 0 is a store that nothing was ever written to: its only state is the newest.
    let at = at.filter(|revision| *revision > 0);
    let page = store.range(Range { start: prefix(), end: Bytes::from(end), limit, at }).await?;
    Ok((page.entries, page.revision))
}

/// Follows the store until it is gone.
pub async fn feed(cache: Arc<Cache>, store: Arc<dyn Store>, mut batches: Batches, limits: Limits) {
    let mut wait_ms = RETRY_MS_MIN;
    loop {
        match follow(&cache, batches).await {
            Some(StoreError::Closed(why)) => return cache.close(&why),
            None => return cache.close("the watch ended"),
            Some(error) => tracing::warn!(%error, "the watch of the store broke"),
        }
        batches = loop {
            (cache.world.sleep)(Duration::from_millis(wait_ms)).await;
            wait_ms = (wait_ms * 2).min(RETRY_MS_MAX);
            match resume(&cache, &store, limits).await {
                Ok(batches) => break batches,
                Err(StoreError::Closed(why)) => return cache.close(&why),
                Err(error) => tracing::warn!(%error, "the store cannot be watched"),
            }
        };
        wait_ms = RETRY_MS_MIN;
    }
}

/// Applies batches until the stream breaks; `None` when it ended without an error.
async fn follow(cache: &Cache, batches: Batches) -> Option<StoreError> {
    let mut chunks = batches.ready_chunks(BATCHES_AT_ONCE_MAX);
    while let Some(chunk) = chunks.next().await {
        let mut good = Vec::with_capacity(chunk.len());
        for batch in chunk {
            match batch {
                Ok(batch) => good.push(batch),
                Err(error) => {
                    cache.apply(&good);
                    return Some(error);
                }
            }
        }
        cache.apply(&good);
    }
    None
}

/// Watches again from where the cache is; when the store has forgotten that, everything starts anew.
async fn resume(cache: &Cache, store: &Arc<dyn Store>, limits: Limits) -> Result<Batches, StoreError> {
    match store.watch(prefix(), cache.revision()).await {
        Err(StoreError::Compacted { .. }) => {
            let (state, _) = load(store, limits).await?;
            let revision = state.revision();
            cache.replace(state);
            store.watch(prefix(), revision).await
        }
        other => other,
    }
}

impl Cache {
    /// Applies batches in order: the state first, then the watchers, then whoever waits for the revision.
    pub(super) fn apply(&self, batches: &[Batch]) {
        let Some(last) = batches.last() else { return };
        let now = self.world.now();
        let mut turns = Vec::new();
        {
            let mut hints = self.hints();
            let mut state = self.write();
            for batch in batches {
                turns.extend(state.apply(batch, now, |entry| {
                    let fits = hints.get(&entry.key).is_some_and(|(value, _)| *value == entry.value);
                    if fits { hints.remove(&entry.key).map(|(_, projection)| projection) } else { None }
                }));
            }
        }
        {
            let fan = self.fan();
            turns.iter().for_each(|turn| fan.send(turn));
        }
        self.seen.go_on(|seen| Seen::Revision(seen.revision().max(last.revision)));
    }

    fn replace(&self, state: State) {
        let revision = state.revision();
        *self.write() = state;
        self.fan().close();
        self.seen.go_on(|_| Seen::Revision(revision));
    }

    fn close(&self, why: &str) {
        tracing::info!(why, "the cache follows the store no longer");
        self.fan().end();
        self.seen.go_on(|seen| Seen::Closed(seen.revision()));
    }
}
