//! The queue of one controller: which key may be reconciled when. A state machine; time is an argument.
//!
//! ```text
//!                 mark                pop                 finish(needs)             met
//!   idle ───────────────▶ ready ───────────▶ running ───────────────▶ barred ───────────────▶ ready or idle
//!     └── timer (wake, back-off) ──▲            └── finish() ──▶ ready when marked meanwhile, else idle
//! ```
//!
//! A key is never reconciled twice at once.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use machinery::key::Key;
use tokio::time::Instant;

/// First wait after a failure; doubles up to the longest. Upstream's numbers.
const BACKOFF_MS_MIN: u64 = 5;
const BACKOFF_MS_MAX: u64 = 1_000_000;
/// A barrier that does not come down for this long has its caches listed again.
const BARRIER: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Idle,
    Ready,
    Running,
    /// Waits for this many needs.
    Barred(usize),
}

#[derive(Default)]
struct Entry {
    state: State,
    marked: bool,
    failures: u32,
    /// The turn that it is in or had last, so that needs of an earlier one are told apart.
    turn: u64,
    timer: Option<Instant>,
}

/// How a turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Nothing to do, or all done; look again at this time.
    Done {
        wake: Option<Instant>,
    },
    Failed,
}

#[derive(Default)]
pub struct Queue {
    entries: BTreeMap<Key, Entry>,
    ready: VecDeque<Key>,
    timers: BTreeSet<(Instant, Key)>,
    /// Turns begun, of all keys.
    turns: u64,
}

impl Queue {
    /// Something about the key changed.
    pub fn mark(&mut self, key: &Key) {
        let entry = self.entries.entry(key.clone()).or_default();
        match entry.state {
            State::Idle => {
                entry.state = State::Ready;
                self.ready.push_back(key.clone());
            }
            State::Ready => {}
            State::Running | State::Barred(_) => entry.marked = true,
        }
    }

    /// The next key to reconcile, with the number of its turn.
    pub fn pop(&mut self) -> Option<(Key, u64)> {
        let key = self.ready.pop_front()?;
        self.turns += 1;
        let turn = self.turns;
        let entry = self.entries.entry(key.clone()).or_default();
        (entry.state, entry.marked, entry.turn) = (State::Running, false, turn);
        self.clear_timer(&key);
        Some((key, turn))
    }

    /// A turn is over; the key waits for `needs` of the caches before the next.
    pub fn finish(&mut self, key: &Key, end: End, needs: usize, now: Instant) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        let at = match end {
            End::Done { wake } => {
                entry.failures = 0;
                wake
            }
            End::Failed => {
                let wait = (BACKOFF_MS_MIN << entry.failures.min(30)).min(BACKOFF_MS_MAX);
                entry.failures = entry.failures.saturating_add(1);
                Some(now + Duration::from_millis(wait))
            }
        };
        if needs > 0 {
            entry.state = State::Barred(needs);
            // What was written has to be looked at once it can be seen.
            entry.marked = true;
            self.set_timer(key, now + BARRIER);
        } else {
            entry.state = State::Idle;
            if let Some(at) = at {
                self.set_timer(key, at);
            }
            self.rest(key);
        }
    }

    /// A need of the key's turn was met.
    pub fn met(&mut self, key: &Key, turn: u64) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        if entry.turn != turn {
            return;
        }
        match entry.state {
            State::Barred(1) => {
                entry.state = State::Idle;
                self.clear_timer(key);
                self.rest(key);
            }
            State::Barred(needs) => entry.state = State::Barred(needs - 1),
            _ => {}
        }
    }

    /// An idle key: ready if it was marked meanwhile, forgotten if nothing is left to remember.
    fn rest(&mut self, key: &Key) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        if std::mem::take(&mut entry.marked) {
            self.mark(key);
        } else if entry.timer.is_none() && entry.failures == 0 {
            self.entries.remove(key);
        }
    }

    /// When [`Queue::fire`] has something to do.
    pub fn next_timer(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Makes keys ready whose time has come; answers those whose barrier stands too long. These stay barred, now
    /// for one need.
    pub fn fire(&mut self, now: Instant) -> Vec<(Key, u64)> {
        let mut stuck = Vec::new();
        while let Some((at, key)) = self.timers.first().cloned() {
            if at > now {
                break;
            }
            self.clear_timer(&key);
            let Some(entry) = self.entries.get_mut(&key) else { continue };
            if let State::Barred(_) = entry.state {
                self.turns += 1;
                let turn = self.turns;
                (entry.state, entry.turn) = (State::Barred(1), turn);
                self.set_timer(&key, now + BARRIER);
                stuck.push((key, turn));
            } else {
                self.mark(&key);
            }
        }
        stuck
    }

    fn set_timer(&mut self, key: &Key, at: Instant) {
        self.clear_timer(key);
        if let Some(entry) = self.entries.get_mut(key) {
            entry.timer = Some(at);
            self.timers.insert((at, key.clone()));
        }
    }

    fn clear_timer(&mut self, key: &Key) {
        if let Some(at) = self.entries.get_mut(key).and_then(|entry| entry.timer.take()) {
            self.timers.remove(&(at, key.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        Key::new("d", "a")
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_marked_while_it_runs_runs_again() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        queue.mark(&key());
        assert!(queue.pop().is_some());
        queue.mark(&key());
        assert!(queue.pop().is_none(), "it must not run twice at once");
        queue.finish(&key(), End::Done { wake: None }, 0, now);
        assert!(queue.pop().is_some());
        queue.finish(&key(), End::Done { wake: None }, 0, now);
        assert!(queue.entries.is_empty() && queue.pop().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_barred_key_waits_for_all_needs_of_its_own_turn() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        queue.mark(&key());
        let (_, turn) = queue.pop().unwrap();
        queue.finish(&key(), End::Done { wake: None }, 2, now);
        queue.mark(&key());
        queue.met(&key(), turn);
        queue.met(&key(), turn - 1);
        assert!(queue.pop().is_none());
        queue.met(&key(), turn);
        assert!(queue.pop().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_barrier_that_stands_too_long_is_told() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        queue.mark(&key());
        let (_, turn) = queue.pop().unwrap();
        queue.finish(&key(), End::Done { wake: None }, 3, now);
        assert!(queue.fire(now + Duration::from_secs(9)).is_empty());
        let stuck = queue.fire(now + BARRIER);
        assert_eq!(stuck, [(key(), turn + 1)]);
        queue.met(&key(), turn + 1);
        assert!(queue.pop().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn failures_back_off_and_success_forgets_them() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        queue.mark(&key());
        for wait in [5, 10, 20] {
            queue.pop().unwrap();
            queue.finish(&key(), End::Failed, 0, now);
            assert_eq!(queue.next_timer(), Some(now + Duration::from_millis(wait)));
            queue.fire(now + Duration::from_millis(wait));
        }
        queue.pop().unwrap();
        queue.finish(&key(), End::Done { wake: None }, 0, now);
        assert!(queue.entries.is_empty() && queue.next_timer().is_none());
    }
}
