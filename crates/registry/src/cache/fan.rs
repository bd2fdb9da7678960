//! From one stream of turns to all watchers: who has to hear of a turn is looked up, not searched.
//!
//! A watcher stands in exactly one lane, the narrowest that its selection allows: one key, one value of a
//! selectable field (pods of a node), one namespace, or the whole collection. Its queue is bounded: a watcher
//! that does not keep up loses its queue and reads the history again; it is dropped when that is gone too.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use api::Kind;
use tokio::sync::Notify;

use super::history::Turn;

/// More than this many unread turns make a watcher read the history instead.
const QUEUE_TURNS_MAX: usize = 8192;

/// Which turns of its collection a watcher has to hear of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    All,
    Namespace(String),
    Key(String),
    /// Index in the kind's selectable fields, and the value.
    Field(usize, String),
}

#[derive(Default)]
pub struct Queue {
    turns: VecDeque<Arc<Turn>>,
    lagging: bool,
    closed: bool,
}

/// Where a watcher's turns arrive.
#[derive(Default)]
pub struct Sink {
    queue: Mutex<Queue>,
    pub wake: Notify,
}

/// What is in a sink.
pub enum Arrived {
    Turns(VecDeque<Arc<Turn>>),
    Nothing,
    Lagging,
    Closed,
}

impl Sink {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, turn: &Arc<Turn>) {
        let mut queue = self.lock();
        if queue.lagging {
            return;
        }
        if queue.turns.len() >= QUEUE_TURNS_MAX {
            queue.turns = VecDeque::new();
            queue.lagging = true;
        } else {
            queue.turns.push_back(turn.clone());
        }
        drop(queue);
        self.wake.notify_one();
    }

    fn close(&self) {
        self.lock().closed = true;
        self.wake.notify_one();
    }

    pub fn take(&self) -> Arrived {
        let mut queue = self.lock();
        if queue.closed {
            return Arrived::Closed;
        }
        if std::mem::take(&mut queue.lagging) {
            return Arrived::Lagging;
        }
        match queue.turns.is_empty() {
            true => Arrived::Nothing,
            false => Arrived::Turns(std::mem::take(&mut queue.turns)),
        }
    }
}

impl Sink {
    /// As [`Sink::take`], but leaves a lagging or closed queue as it is.
    pub fn take_if_whole(&self) -> Arrived {
        let mut queue = self.lock();
        match queue.lagging || queue.closed || queue.turns.is_empty() {
            true => Arrived::Nothing,
            false => Arrived::Turns(std::mem::take(&mut queue.turns)),
        }
    }

    /// Nothing waits, and nothing was lost.
    pub fn is_idle(&self) -> bool {
        let queue = self.lock();
        queue.turns.is_empty() && !queue.lagging && !queue.closed
    }
}

#[derive(Default)]
struct Lanes {
    kind: Option<&'static Kind>,
    sinks: BTreeMap<Lane, Vec<Arc<Sink>>>,
    /// How many watchers stand in a field lane, by field.
    fields: BTreeMap<usize, usize>,
}

/// All watchers.
#[derive(Default)]
pub struct Fan {
    collections: BTreeMap<String, Lanes>,
    /// Nothing will be sent any more.
    ended: bool,
}

impl Fan {
    pub fn add(&mut self, collection: &str, kind: Option<&'static Kind>, lane: &Lane) -> Arc<Sink> {
        let lanes = self.collections.entry(collection.to_owned()).or_default();
        lanes.kind = lanes.kind.or(kind);
        if let Lane::Field(field, _) = lane {
            *lanes.fields.entry(*field).or_default() += 1;
        }
        let sink = Arc::new(Sink::default());
        if self.ended {
            sink.close();
        }
        lanes.sinks.entry(lane.clone()).or_default().push(sink.clone());
        sink
    }

    pub fn remove(&mut self, collection: &str, lane: &Lane, sink: &Arc<Sink>) {
        let Some(lanes) = self.collections.get_mut(collection) else { return };
        let Some(sinks) = lanes.sinks.get_mut(lane) else { return };
        sinks.retain(|other| !Arc::ptr_eq(other, sink));
        if sinks.is_empty() {
            lanes.sinks.remove(lane);
        }
        if let Lane::Field(field, _) = lane
            && let Some(count) = lanes.fields.get_mut(field)
        {
            *count -= 1;
            if *count == 0 {
                lanes.fields.remove(field);
            }
        }
        if lanes.sinks.is_empty() {
            self.collections.remove(collection);
        }
    }

    pub fn send(&self, turn: &Arc<Turn>) {
        let Some(lanes) = self.collections.get(&*turn.collection) else { return };
        for lane in lanes.of(turn) {
            for sink in lanes.sinks.get(&lane).into_iter().flatten() {
                sink.push(turn);
            }
        }
    }

    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.collections.is_empty()
    }

    /// Ends all watches: the cache starts anew.
    pub fn close(&mut self) {
        let all = std::mem::take(&mut self.collections);
        all.values().flat_map(|lanes| lanes.sinks.values()).flatten().for_each(|sink| sink.close());
    }
}

impl Fan {
    /// Ends all watches, and those that begin later: the store is gone.
    pub fn end(&mut self) {
        self.ended = true;
        self.close();
    }
}

impl Lanes {
    /// The lanes that a turn is heard in: by key, and by the field values before and after.
    fn of(&self, turn: &Turn) -> Vec<Lane> {
        let mut lanes = vec![Lane::All, Lane::Key(turn.key.to_string())];
        if let Some((namespace, _)) = turn.key.split_once('/') {
            lanes.push(Lane::Namespace(namespace.to_owned()));
        }
        for field in self.fields.keys() {
            for held in [&turn.before, &turn.after].into_iter().flatten() {
                let value = held.projection(self.kind).fields.get(*field).cloned().unwrap_or_default();
                let lane = Lane::Field(*field, value);
                if !lanes.contains(&lane) {
                    lanes.push(lane);
                }
            }
        }
        lanes
    }
}
