//! Answers of others, kept for at most half a minute and within a bound. Times are milliseconds of any steady clock.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::name::Name;
use super::response::Response;
use super::wire::{Query, flag};

const ENTRIES_MAX: usize = 10_000;
const BYTES_MAX: usize = 4 << 20;
/// When no upstream answered: long enough to keep a crowd away, short enough to be forgotten when it comes back.
const FAILURE_MS: u64 = 1_000;

/// What makes two queries the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Question {
    pub name: Name,
    pub kind: u16,
    pub class: u16,
    has_edns: bool,
    dnssec_ok: bool,
    checking_disabled: bool,
    /// Answers over TCP are not cut.
    pub is_tcp: bool,
}

impl Question {
    pub fn of(query: &Query<'_>, is_tcp: bool) -> Self {
        Self {
            name: query.name.clone(),
            kind: query.kind,
            class: query.class,
            has_edns: query.edns.is_some(),
            dnssec_ok: query.edns.is_some_and(|edns| edns.dnssec_ok),
            checking_disabled: query.flags & flag::CHECKING_DISABLED != 0,
            is_tcp,
        }
    }
}

/// An upstream's answer, or that there was none.
pub type Outcome = Option<Arc<Response>>;

struct Entry {
    outcome: Outcome,
    since_ms: u64,
    until_ms: u64,
}

#[derive(Default)]
pub struct Cache {
    entries: BTreeMap<Question, Entry>,
    by_end: BTreeSet<(u64, Question)>,
    bytes: usize,
}

impl Cache {
    /// The outcome kept for a question and its age in seconds.
    pub fn get(&self, question: &Question, now_ms: u64) -> Option<(Outcome, u32)> {
        let entry = self.entries.get(question).filter(|entry| now_ms < entry.until_ms)?;
        Some((entry.outcome.clone(), (now_ms.saturating_sub(entry.since_ms) / 1_000) as u32))
    }

    pub fn put(&mut self, question: Question, outcome: Outcome, now_ms: u64) {
        let keep_ms = outcome.as_ref().map_or(FAILURE_MS, |response| u64::from(response.keep_s) * 1_000);
        if keep_ms == 0 {
            return;
        }
        self.remove(&question);
        let until_ms = now_ms + keep_ms;
        self.bytes += outcome.as_ref().map_or(0, |response| response.bytes());
        self.by_end.insert((until_ms, question.clone()));
        self.entries.insert(question, Entry { outcome, since_ms: now_ms, until_ms });
        self.shrink(now_ms);
    }

    /// What ended, and of the rest what ends first.
    fn shrink(&mut self, now_ms: u64) {
        while let Some((until_ms, question)) = self.by_end.first().cloned() {
            if until_ms > now_ms && self.entries.len() <= ENTRIES_MAX && self.bytes <= BYTES_MAX {
                return;
            }
            self.remove(&question);
        }
    }

    fn remove(&mut self, question: &Question) {
        if let Some(old) = self.entries.remove(question) {
            self.by_end.remove(&(old.until_ms, question.clone()));
            self.bytes -= old.outcome.map_or(0, |response| response.bytes());
        }
    }
}
