//! WATCH: the turns of a collection as one client selected them, with bookmarks, until its time is over.
//!
//! ```text
//!   initial state (ADDED …) ─▶ [initial-events-end bookmark] ─▶ turns, bookmarks ─▶ last bookmark
//! ```
//!
//! An object that starts or stops to match is ADDED or DELETED for this watcher. The stream's last item may be
//! an error: 410 when the watcher fell behind the history.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use api::Kind;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use machinery::field::{Path, Problems};
use machinery::object::Object;
use machinery::request::{Change, Request, RevisionMatch, WatchEvent};
use machinery::status::Status;
use serde_json::json;

use super::get::{parse_revision, presented};
use crate::cache::{Ended, From, Held, Objects, Tail, Turn};
use crate::select::Selection;
use crate::world::World;
use crate::{Registry, errors, keys};

/// A watch without `timeoutSeconds` ends after one to two times this, as upstream's does.
const WATCH_SECONDS_MIN: u64 = 1800;
const BOOKMARK_INTERVAL: Duration = Duration::from_secs(60);
const TURNS_PER_TIMER: usize = 256;
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

pub type Events = BoxStream<'static, Result<WatchEvent, Status>>;

/// One open watch.
struct Watching {
    kind: &'static Kind,
    selection: Selection,
    tail: Tail,
    ready: VecDeque<WatchEvent>,
    bookmarks: bool,
    world: World,
    end: BoxFuture<'static, ()>,
    tick: BoxFuture<'static, ()>,
    phase: Phase,
    taken: usize,
}

#[derive(PartialEq, Eq)]
enum Phase {
    Live,
    /// Nothing but what is ready is sent any more.
    Over,
}

impl Registry {
    pub(crate) async fn open_watch(&self, kind: &'static Kind, request: &Request) -> Result<Events, Status> {
        check_options(request)?;
        let selection = Selection::of(kind, request)?;
        let options = &request.options;
        let (tail, state) = self.open_tail(kind, request, &selection).await?;
        let (mut ready, sends_state) = (VecDeque::new(), options.send_initial_events);
        if let Some((objects, revision)) = state {
            if sends_state != Some(false) {
                ready = initial(kind, &selection, &objects);
            }
            if sends_state == Some(true) && options.allow_watch_bookmarks {
                ready.push_back(bookmark(kind, revision, true));
            }
        }
        let spread = self.world.below(WATCH_SECONDS_MIN);
        let seconds = options.timeout_seconds.filter(|s| *s > 0).unwrap_or(WATCH_SECONDS_MIN + spread);
        let watching = Watching {
            kind,
            selection,
            tail,
            ready,
            bookmarks: options.allow_watch_bookmarks,
            world: self.world.clone(),
            end: (self.world.sleep)(Duration::from_secs(seconds)),
            tick: (self.world.sleep)(BOOKMARK_INTERVAL),
            phase: Phase::Live,
            taken: 0,
        };
        Ok(Box::pin(stream::unfold(watching, |mut watching| async move {
            let event = watching.next().await?;
            Some((event, watching))
        })))
    }

    async fn open_tail(
        &self,
        kind: &Kind,
        request: &Request,
        selection: &Selection,
    ) -> Result<(Tail, Option<(Objects, u64)>), Status> {
        let options = &request.options;
        let from = match options.resource_version.as_str() {
            text if options.send_initial_events.is_some() => {
                self.fresh(text).await?;
                From::Now
            }
            "" => {
                self.fresh("").await?;
                From::Now
            }
            "0" => From::Now,
            text => From::Revision(parse_revision(text)?),
        };
        if let From::Revision(revision) = from {
            // A watch may start in the future of a cache that lags; what comes before it is not sent.
            self.reach(revision).await?;
        }
        let opened = Tail::open(self.cache.clone(), &keys::collection(kind), selection.lane(), from);
        opened.map_err(|ended| match (ended, from) {
            (Ended::TooOld { floor }, From::Revision(asked)) => too_old(asked, floor),
            _ => errors::closed(),
        })
    }
}

fn too_old(asked: u64, floor: u64) -> Status {
    Status::expired(format!("too old resource version: {asked} ({floor})"))
}

/// The state as ADDED events.
fn initial(kind: &'static Kind, selection: &Selection, objects: &Objects) -> VecDeque<WatchEvent> {
    let added = |object: &Arc<Object>| WatchEvent { change: Change::Added, object: presented(kind, object) };
    if let Some(key) = selection.key() {
        let held = objects.get(key.as_str()).filter(|held| selection.matches(&key, held));
        return held.map(|held| added(&held.object)).into_iter().collect();
    }
    let span = keys::Span::new(&selection.namespace, None);
    let all = objects.range::<_, str>(span.bounds());
    all.filter(|(key, held)| selection.matches(key, held)).map(|(_, held)| added(&held.object)).collect()
}

/// A bookmark: nothing up to this revision is missing.
fn bookmark(kind: &Kind, revision: u64, ends_initial: bool) -> WatchEvent {
    let mut tree = json!({
        "kind": kind.kind, "apiVersion": kind.api_version(),
        "metadata": {"resourceVersion": revision.to_string(), "creationTimestamp": null},
    });
    if ends_initial {
        tree["metadata"]["annotations"] = json!({INITIAL_EVENTS_END: "true"});
    }
    WatchEvent { change: Change::Bookmark, object: Object::from_tree(&tree) }
}

enum Woken {
    Turn(Result<Arc<Turn>, Ended>),
    Tick,
    End,
}

impl Watching {
    async fn next(&mut self) -> Option<Result<WatchEvent, Status>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(Ok(event));
            }
            if self.phase == Phase::Over {
                return None;
            }
            match self.woken().await {
                Woken::Turn(Ok(turn)) => self.ready.extend(self.event(&turn)),
                Woken::Turn(Err(ended)) => return self.ended(ended),
                Woken::Tick => {
                    self.tick = (self.world.sleep)(BOOKMARK_INTERVAL);
                    self.mark();
                }
                Woken::End => {
                    self.phase = Phase::Over;
                    self.mark();
                }
            }
        }
    }

    async fn woken(&mut self) -> Woken {
        // A busy watch asks its timers now and then only.
        self.taken += 1;
        if !self.taken.is_multiple_of(TURNS_PER_TIMER)
            && let Some(turn) = self.tail.take()
        {
            return Woken::Turn(turn);
        }
        tokio::select! {
            biased;
            () = &mut self.end => Woken::End,
            turn = self.tail.next() => Woken::Turn(turn),
            () = &mut self.tick => Woken::Tick,
        }
    }

    /// Only when nothing is on its way: a bookmark must not overtake an event that it covers.
    fn mark(&mut self) {
        if self.bookmarks
            && let Some(revision) = self.tail.idle_revision()
        {
            self.ready.push_back(bookmark(self.kind, revision, false));
        }
    }

    fn ended(&mut self, ended: Ended) -> Option<Result<WatchEvent, Status>> {
        self.phase = Phase::Over;
        match ended {
            Ended::TooOld { .. } => {
                Some(Err(Status::expired("The resourceVersion for the provided watch is too old.")))
            }
            Ended::Closed => None,
        }
    }

    /// What a turn is for this watcher.
    fn event(&self, turn: &Turn) -> Option<WatchEvent> {
        let selects = |held: &Held| self.selection.matches(&turn.key, held);
        let before = turn.before.as_deref().is_some_and(selects);
        let after = turn.after.as_ref().filter(|held| selects(held));
        let (change, object) = match (before, after) {
            (false, Some(after)) => (Change::Added, after.object.clone()),
            (true, Some(after)) => (Change::Modified, after.object.clone()),
            (true, None) => (Change::Deleted, turn.gone()?),
            (false, None) => return None,
        };
        Some(WatchEvent { change, object: presented(self.kind, &object) })
    }
}

/// The combinations of watch options that upstream refuses.
fn check_options(request: &Request) -> Result<(), Status> {
    let options = &request.options;
    let (mut problems, at) = (Problems::default(), Path::new("resourceVersionMatch"));
    let not_older = options.resource_version_match == Some(RevisionMatch::NotOlderThan);
    if options.send_initial_events.is_some() && !not_older {
        problems.forbidden(&at, "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
    }
    if let Some(how) = options.resource_version_match {
        if options.send_initial_events.is_none() {
            problems.forbidden(&at, "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided");
        }
        if how != RevisionMatch::NotOlderThan {
            problems.not_supported(&at, "Exact", &["NotOlderThan"]);
        }
        if !options.continue_token.is_empty() {
            problems.forbidden(&at, "resourceVersionMatch is forbidden when continue is provided");
        }
    }
    errors::options("ListOptions", &problems)
}
