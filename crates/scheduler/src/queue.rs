//! Pods that wait: those due now by priority and age, those in back-off, those that fitted nowhere.
//!
//! Times and limits are upstream's: back-off from 1 s to 10 s, unschedulable pods tried again after five
//! minutes at the latest, earlier when an event may have made room.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

const BACKOFF_SECONDS_MIN: i64 = 1;
const BACKOFF_SECONDS_MAX: i64 = 10;
const UNSCHEDULABLE_SECONDS_MAX: i64 = 300;

/// The order of pods that are due: high priority first, then the one that waits longest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Turn {
    priority: std::cmp::Reverse<i32>,
    created: Timestamp,
    uid: String,
}

#[derive(Clone, Debug)]
enum Place {
    Active,
    /// In back-off until then, then active.
    Backoff(Timestamp),
    /// Waits for an event, or until then.
    Parked(Timestamp),
}

#[derive(Clone, Debug)]
struct Waiting {
    turn: Turn,
    attempts: u32,
    tried: Timestamp,
    place: Place,
}

#[derive(Default)]
pub struct Queue {
    pods: BTreeMap<String, Waiting>,
    active: BTreeSet<Turn>,
    /// Back-off and parked pods by the moment they are due.
    timed: BTreeSet<(Timestamp, String)>,
    /// Pods popped and not yet decided, bound or failed keep their count of attempts.
    out: BTreeMap<String, Waiting>,
}

impl Queue {
    pub fn push(&mut self, uid: &str, priority: i32, created: Timestamp, now: Timestamp) {
        self.remove(uid);
        let turn = Turn { priority: std::cmp::Reverse(priority), created, uid: uid.into() };
        self.place(Waiting { turn, attempts: 0, tried: now, place: Place::Active });
    }

    /// The next pod that is due.
    pub fn pop(&mut self, now: Timestamp) -> Option<String> {
        while let Some((due, uid)) = self.timed.first().cloned()
            && due <= now
        {
            self.move_to(&uid, Place::Active);
        }
        let turn = self.active.pop_first()?;
        let mut waiting = self.pods.remove(&turn.uid)?;
        waiting.attempts += 1;
        waiting.tried = now;
        let uid = turn.uid.clone();
        self.out.insert(uid.clone(), waiting);
        Some(uid)
    }

    /// A popped pod fits nowhere: it waits for an event.
    pub fn park(&mut self, uid: &str, now: Timestamp) {
        let Some(mut waiting) = self.out.remove(uid) else { return };
        waiting.place = Place::Parked(now + SignedDuration::from_secs(UNSCHEDULABLE_SECONDS_MAX));
        self.place(waiting);
    }

    /// A popped pod's binding failed: it is tried again after its back-off.
    pub fn fail(&mut self, uid: &str, priority: i32, created: Timestamp, now: Timestamp) {
        let turn = Turn { priority: std::cmp::Reverse(priority), created, uid: uid.into() };
        let fresh = Waiting { turn, attempts: 1, tried: now, place: Place::Active };
        let mut waiting = self.out.remove(uid).unwrap_or(fresh);
        waiting.place = Place::Backoff(now + backoff(waiting.attempts));
        self.place(waiting);
    }

    pub fn remove(&mut self, uid: &str) {
        self.out.remove(uid);
        let Some(waiting) = self.pods.remove(uid) else { return };
        match waiting.place {
            Place::Active => self.active.remove(&waiting.turn),
            Place::Backoff(due) | Place::Parked(due) => self.timed.remove(&(due, uid.into())),
        };
    }

    /// Something changed that may make room: parked pods are due as soon as their back-off is over.
    pub fn retry_all(&mut self, now: Timestamp) {
        let parked = self.pods.values().filter(|w| matches!(w.place, Place::Parked(_)));
        let parked: Vec<(String, Timestamp)> =
            parked.map(|w| (w.turn.uid.clone(), w.tried + backoff(w.attempts))).collect();
        for (uid, due) in parked {
            self.move_to(&uid, if due <= now { Place::Active } else { Place::Backoff(due) });
        }
    }

    /// Now when a pod is active, else the first moment at which one is due.
    pub fn next_due(&self) -> Option<Timestamp> {
        match self.active.first() {
            Some(_) => Some(Timestamp::MIN),
            None => self.timed.first().map(|(due, _)| *due),
        }
    }

    fn move_to(&mut self, uid: &str, place: Place) {
        let Some(mut waiting) = self.pods.get(uid).cloned() else { return };
        self.remove(uid);
        waiting.place = place;
        self.place(waiting);
    }

    fn place(&mut self, waiting: Waiting) {
        match &waiting.place {
            Place::Active => self.active.insert(waiting.turn.clone()),
            Place::Backoff(due) | Place::Parked(due) => self.timed.insert((*due, waiting.turn.uid.clone())),
        };
        self.pods.insert(waiting.turn.uid.clone(), waiting);
    }
}

fn backoff(attempts: u32) -> SignedDuration {
    let seconds = BACKOFF_SECONDS_MIN << attempts.saturating_sub(1).min(10);
    SignedDuration::from_secs(seconds.min(BACKOFF_SECONDS_MAX))
}
