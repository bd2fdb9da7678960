//! Runs one controller: its queue, its turns, its barriers.
//!
//! ```text
//!   inbox ─▶ queue ─▶ turn: reconcile ─▶ asks? answer, again ─▶ steps ─▶ refused? reconcile, report ─▶ finish
//! ```
//!
//! One task per controller owns its queue; turns of different keys are in flight together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use client::events::Recorder;
use client::{Client, World};
use control::heard::Heard;
use control::plan::{Plan, Write};
use control::resource::Resource;
use control::{Controller, View, Watch};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use jiff::Timestamp;
use machinery::key::Key;
use machinery::status::Status;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::asks;
use crate::barrier::Need;
use crate::carry::{self, carry};
use crate::hub::Hub;
use crate::inbox::{Changed, Inbox};
use crate::queue::{End, Queue};

/// Keys of one controller in flight.
const TURNS_MAX: usize = 32;
/// Rounds of asking and reporting before a turn counts as failed.
const ROUNDS_MAX: usize = 8;

/// One controller with all that it runs on.
pub struct Driver {
    pub controller: Arc<dyn Controller>,
    pub watches: Arc<[Watch]>,
    pub hub: Arc<Hub>,
    pub client: Client,
    pub recorder: Recorder,
    pub inbox: Arc<Inbox>,
    pub world: World,
}

struct Turned {
    key: Key,
    turn: u64,
    end: End,
    needs: Vec<(Resource, Need)>,
}

/// What came of carrying a plan out.
enum Outcome {
    Done,
    /// Its writes were accepted and changed nothing.
    Unchanged,
    /// The first refusal.
    Refused(Box<Write>, Status),
}

impl Driver {
    /// Reconciles until `stop`; plans in flight are carried out to their end.
    pub async fn run(self, stop: CancellationToken) {
        if stop.run_until_cancelled(self.hub.synced(&self.watches)).await.is_none() {
            return;
        }
        let start = (self.world.now)();
        let mut queue = Queue::default();
        let mut changed = Changed::new();
        let first = self.hub.keys_of_all(&self.watches);
        first.iter().chain(&self.controller.first_keys()).for_each(|key| queue.mark(key));
        let mut turns = FuturesUnordered::new();
        loop {
            self.drain(&mut queue, &mut changed);
            while turns.len() < TURNS_MAX
                && let Some((key, turn)) = queue.pop()
            {
                let times = self.times(changed.get(&key), start);
                turns.push(self.turn(key, turn, times));
            }
            let timer = queue.next_timer();
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = sleep_until(timer) => self.fire(&mut queue),
                Some(turned) = turns.next() => {
                    // Times are remembered as long as somebody means to come back for them.
                    if turned.end == (End::Done { wake: None }) {
                        changed.remove(&turned.key);
                    }
                    self.finish(&mut queue, turned);
                }
                () = self.inbox.rung() => {}
            }
        }
        while turns.next().await.is_some() {}
    }

    fn drain(&self, queue: &mut Queue, changed: &mut Changed) {
        let arrived = self.inbox.take();
        for (key, kinds) in arrived.changed {
            changed.entry(key).or_default().extend(kinds);
        }
        // Marks before barriers: what a barrier lets go is then looked at once, with all that came with it.
        arrived.marked.iter().for_each(|key| queue.mark(key));
        arrived.met.iter().for_each(|(key, turn)| queue.met(key, *turn));
    }

    /// When the timed kinds changed; what was not seen to change has been so since the start.
    fn times(
        &self,
        changed: Option<&BTreeMap<Resource, Timestamp>>,
        start: Timestamp,
    ) -> BTreeMap<Resource, Timestamp> {
        let timed = self.watches.iter().filter(|watch| watch.timed).map(|watch| watch.resource);
        timed.map(|kind| (kind, changed.and_then(|c| c.get(&kind)).copied().unwrap_or(start))).collect()
    }

    fn reconcile(&self, key: &Key, heard: &Heard) -> Plan {
        let pinned = self.hub.pin(&self.watches);
        self.controller.reconcile(key, &View::new(&pinned), heard, (self.world.now)())
    }

    /// One key from its question to its end: asks are answered, a refusal is reported, in as many rounds.
    async fn turn(&self, key: Key, turn: u64, changed: BTreeMap<Resource, Timestamp>) -> Turned {
        // A controller with much to do must not keep the others of its thread waiting.
        tokio::task::yield_now().await;
        let mut heard = Heard { changed, ..Heard::default() };
        let mut needs = Vec::new();
        for _ in 0..ROUNDS_MAX {
            let mut plan = self.reconcile(&key, &heard);
            if !plan.asks.is_empty() {
                match asks::answer(&self.client, std::mem::take(&mut plan.asks)).await {
                    Ok(answers) => heard.answers.extend(answers),
                    Err(status) => {
                        tracing::warn!(controller = self.controller.name(), %key, "asking the API server: {status}");
                        return Turned { key, turn, end: End::Failed, needs };
                    }
                }
                continue;
            }
            let wake = plan.wake;
            let reporting = heard.refused.is_some();
            match self.carry_out(plan, &mut needs).await {
                Outcome::Done if !reporting => {
                    let end = End::Done { wake: wake.map(|at| self.instant(at)) };
                    return Turned { key, turn, end, needs };
                }
                Outcome::Done => return Turned { key, turn, end: End::Failed, needs },
                Outcome::Unchanged => {
                    tracing::error!(controller = self.controller.name(), %key, "the writes of a plan changed nothing");
                    return Turned { key, turn, end: End::Failed, needs: Vec::new() };
                }
                Outcome::Refused(write, status) if !reporting && !carry::is_quiet(&status) => {
                    tracing::info!(controller = self.controller.name(), %key, "refused: {status}");
                    let changed = std::mem::take(&mut heard.changed);
                    heard = Heard { refused: Some((*write, status)), answers: Vec::new(), changed };
                }
                Outcome::Refused(_, status) => {
                    tracing::debug!(controller = self.controller.name(), %key, "looking again: {status}");
                    return Turned { key, turn, end: End::Failed, needs };
                }
            }
        }
        tracing::error!(controller = self.controller.name(), %key, "asks without an end");
        Turned { key, turn, end: End::Failed, needs }
    }

    async fn carry_out(&self, plan: Plan, needs: &mut Vec<(Resource, Need)>) -> Outcome {
        let kinds: BTreeSet<Resource> = plan.writes().map(|write| carry::resource_of(&write.act)).collect();
        let shown = |kind: &Resource| self.hub.of_resource(*kind).map(|shelf| shelf.cache.revision()).min();
        let before: BTreeMap<Resource, u64> = kinds.iter().filter_map(|kind| Some((*kind, shown(kind)?))).collect();
        let carried = carry(&self.client, plan.steps).await;
        self.tell(carried.occurrences);
        if let Some((write, status)) = carried.refused {
            needs.extend(carried.needs);
            return Outcome::Refused(Box::new(write), status);
        }
        self.tell(plan.events.iter().map(|event| carry::occurrence(event, "", "")).collect());
        // A revision that was there before the write is no new one. Such a plan would be made again at once, for ever.
        let is_old = |(kind, need): &(Resource, Need)| match need {
            Need::Revision(revision) => before.get(kind).is_some_and(|before| revision <= before),
            _ => false,
        };
        if !carried.needs.is_empty() && carried.needs.iter().all(is_old) {
            return Outcome::Unchanged;
        }
        needs.extend(carried.needs);
        Outcome::Done
    }

    fn tell(&self, occurrences: Vec<client::events::Occurrence>) {
        occurrences.into_iter().for_each(|occurrence| self.recorder.record(occurrence));
    }

    /// The monotonic time of a wall clock time to come.
    fn instant(&self, at: Timestamp) -> Instant {
        let left = at.duration_since((self.world.now)());
        Instant::now() + Duration::try_from(left).unwrap_or_default()
    }

    fn finish(&self, queue: &mut Queue, turned: Turned) {
        let Turned { key, turn, end, needs } = turned;
        let mut waits = Vec::new();
        for (resource, need) in needs {
            for shelf in self.hub.of_resource(resource) {
                let need = match need {
                    Need::Listed(_) => Need::Listed(shelf.cache.relist()),
                    ref need => need.clone(),
                };
                waits.push((shelf, need));
            }
        }
        queue.finish(&key, end, waits.len(), Instant::now());
        for (shelf, need) in waits {
            shelf.barrier.wait(&shelf.cache, need, key.clone(), turn, &self.inbox);
        }
    }

    fn fire(&self, queue: &mut Queue) {
        for (key, turn) in queue.fire(Instant::now()) {
            tracing::warn!(controller = self.controller.name(), %key, "caches do not show what was written: listing again");
            // One fresh list of everything that the controller watches settles it, whatever was missing.
            let shelves: Vec<_> = self.watches.iter().filter_map(|watch| self.hub.shelf(watch)).collect();
            for shelf in &shelves {
                shelf.barrier.forget(&key, &self.inbox);
            }
            let fresh: Vec<u64> = shelves.iter().map(|shelf| shelf.cache.relist()).collect();
            if let (Some(shelf), Some(number)) = (shelves.first(), fresh.first()) {
                shelf.barrier.wait(&shelf.cache, Need::Listed(*number), key, turn, &self.inbox);
            }
        }
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
