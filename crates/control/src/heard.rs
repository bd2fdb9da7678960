//! What the runner knows beyond the view: answers to asks, the write that was refused, and since when.
//!
//! Answers and refusals live for one turn only: they are forgotten when a plan has been carried out.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use machinery::object::Object;
use machinery::status::Status;
use serde_json::Value;

use crate::plan::{Ask, Write};
use crate::resource::{Resource, Typed};

/// The answer to an ask. An ask that failed is not answered: the runner asks again after a back-off.
#[derive(Clone, Debug)]
pub enum Answer {
    /// To a GET; `None` means that it is not there.
    Object(Option<Arc<Object>>),
    /// To a LIST.
    List(Vec<Arc<Object>>),
    /// A minted token or key.
    Secret(String),
}

/// A live object.
#[derive(Clone, Debug)]
pub enum Live<T> {
    Unasked,
    Absent,
    Present(Arc<T>),
}

/// What was heard this turn.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    pub answers: Vec<(Ask, Answer)>,
    /// The first write of the last plan that was refused for a reason other than an old view (conflict, gone).
    /// The plan made now is to report it; the runner then backs off and calls again with nothing heard.
    pub refused: Option<(Write, Status)>,
    /// When each `timed` kind last changed for this key, since the runner's start at the latest.
    pub changed: BTreeMap<Resource, Timestamp>,
}

impl Heard {
    pub fn answer(&self, ask: &Ask) -> Option<&Answer> {
        self.answers.iter().find(|(asked, _)| asked == ask).map(|(_, answer)| answer)
    }

    /// What a live GET of this object answered.
    pub fn live<T: Typed>(&self, namespace: &str, name: &str) -> Live<T> {
        match self.answer(&Ask::get::<T>(namespace, name)) {
            Some(Answer::Object(Some(object))) => object.decode().map_or(Live::Absent, Live::Present),
            Some(_) => Live::Absent,
            None => Live::Unasked,
        }
    }

    /// What a LIST answered, as trees.
    pub fn listed(&self, ask: &Ask) -> Option<Vec<Arc<Value>>> {
        match self.answer(ask) {
            Some(Answer::List(items)) => Some(items.iter().map(|object| object.tree()).collect()),
            _ => None,
        }
    }

    pub fn secret(&self, ask: &Ask) -> Option<&str> {
        match self.answer(ask) {
            Some(Answer::Secret(secret)) => Some(secret),
            _ => None,
        }
    }

    /// When this kind last changed for the key; never when it is not `timed`.
    pub fn changed<T: Typed>(&self) -> Option<Timestamp> {
        self.changed.get(&Resource::of::<T>()).copied()
    }
}
