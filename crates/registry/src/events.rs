//! Events end by themselves: they share store leases, and there is a bound to their number.

use std::sync::{Arc, Mutex, PoisonError};

use futures::stream::StreamExt;
use jiff::Timestamp;
use machinery::status::Status;
use store::{LeaseId, Op, Txn};

use crate::cache::{From, Lane, Tail};
use crate::{Registry, errors, keys};

pub const COLLECTION: &str = "core/events";
/// Events of at most this long share a lease, and live up to this much longer.
const LEASE_SHARED_SECONDS_MAX: u64 = 60;
/// No lease is shared for longer than this share of the events' life.
const LEASE_SHARE: u64 = 10;
/// When there are too many, this share of the bound goes at once.
const DROP_SHARE: usize = 10;
const DELETES_AT_ONCE_MAX: usize = 500;

/// The lease that new events get at the moment.
#[derive(Default)]
pub struct EventLease(Mutex<Option<(LeaseId, Timestamp)>>);

impl EventLease {
    fn current(&self, now: Timestamp, shared_seconds: u64) -> Option<LeaseId> {
        let held = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (lease, since) = held?;
        let age = u64::try_from(now.as_second() - since.as_second()).ok()?;
        (age < shared_seconds).then_some(lease)
    }

    fn set(&self, lease: LeaseId, now: Timestamp) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((lease, now));
    }
}

impl Registry {
    pub(crate) async fn event_lease(&self) -> Result<LeaseId, Status> {
        let (now, ttl) = (self.world.now(), self.config.event_ttl_seconds);
        let shared = LEASE_SHARED_SECONDS_MAX.min(ttl / LEASE_SHARE);
        if let Some(lease) = self.event_lease.current(now, shared) {
            return Ok(lease);
        }
        let lease = self.store.grant(ttl + shared).await.map_err(errors::store)?;
        self.event_lease.set(lease, now);
        Ok(lease)
    }

    /// Deletes the oldest events when there are too many.
    async fn drop_old_events(&self) {
        let (objects, _) = self.cache.snapshot(COLLECTION);
        if objects.len() <= self.config.events_max {
            return;
        }
        let mut oldest: Vec<_> = objects.iter().map(|(key, held)| (held.revision(), key.clone())).collect();
        oldest.sort_unstable();
        oldest.truncate(objects.len() - self.config.events_max + self.config.events_max / DROP_SHARE);
        for group in oldest.chunks(DELETES_AT_ONCE_MAX) {
            let ops = group.iter().map(|(_, key)| Op::Delete { key: keys::stored(COLLECTION, key) }).collect();
            if let Err(error) = self.store.txn(Txn { compares: Vec::new(), ops }).await {
                // They have a lease as well, and the next event tries again.
                tracing::warn!(%error, "old events could not be deleted");
                return;
            }
        }
    }
}

/// Watches the number of events for as long as the registry lives.
pub fn bound(registry: &Arc<Registry>) {
    let opened = Tail::open(registry.cache.clone(), COLLECTION, Lane::All, From::Now);
    let Ok((tail, _)) = opened else { return };
    let weak = Arc::downgrade(registry);
    let turns = futures::stream::unfold(tail, |mut tail| async move { Some((tail.next().await.ok()?, tail)) });
    (registry.world.spawn)(Box::pin(async move {
        let mut turns = std::pin::pin!(turns);
        let mut added = 0usize;
        while let Some(turn) = turns.next().await {
            let Some(registry) = weak.upgrade() else { return };
            added += usize::from(turn.before.is_none());
            if added * DROP_SHARE >= registry.config.events_max {
                added = 0;
                registry.drop_old_events().await;
            }
        }
    }));
}
