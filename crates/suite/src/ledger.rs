//! What writers asked for and were answered, judged against what a watch showed and what is there at the end.
//!
//! It speaks to no server: [`crate::writer`] asks and hears, this writes down and judges. A write carries a token
//! (`data.token`) that no other write carries, so that one whose answer was lost is known when it is seen.

use std::collections::{BTreeMap, BTreeSet};

use machinery::request::Change;
use serde_json::Value;

/// What a write was answered.
#[derive(Clone, Debug)]
pub enum Heard {
    /// The object as it is then, at its revision.
    Done { revision: u64, object: Value },
    /// No answer came: it happened or it did not.
    Unknown,
}

/// An event of a watch.
#[derive(Clone, Debug)]
pub struct Seen {
    pub change: Change,
    pub revision: u64,
    pub object: Value,
}

/// Everything that writers asked for and heard. Refused writes are not in it: they never happened.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// By token.
    puts: BTreeMap<String, Heard>,
    /// By the uid of the object, and whether the answer came.
    deletions: BTreeMap<String, bool>,
    /// What was wrong with an answer itself.
    problems: Vec<String>,
}

impl Ledger {
    pub fn put(&mut self, token: &str, heard: Heard) {
        self.puts.insert(token.into(), heard);
    }

    pub fn delete(&mut self, uid: &str, answered: bool) {
        let known = self.deletions.entry(uid.into()).or_default();
        *known |= answered;
    }

    pub fn problem(&mut self, what: String) {
        self.problems.push(what);
    }

    /// Takes over what another writer heard.
    pub fn join(&mut self, other: Self) {
        self.puts.extend(other.puts);
        self.deletions.extend(other.deletions);
        self.problems.extend(other.problems);
    }

    /// How many writes were answered.
    pub fn answered(&self) -> usize {
        let puts = self.puts.values().filter(|heard| matches!(heard, Heard::Done { .. })).count();
        puts + self.deletions.values().filter(|answered| **answered).count()
    }

    /// How many were not.
    pub fn unknown(&self) -> usize {
        self.puts.len() + self.deletions.len() - self.answered()
    }

    /// All that is wrong. `seen` is a watch from before the first write until after the last one, resumed as often
    /// as it broke off; `end` are the objects at the end.
    pub fn judge(&self, seen: &[Seen], end: &[Value]) -> Vec<String> {
        let mut problems = self.problems.clone();
        problems.extend(self.revisions_twice());
        problems.extend(order(seen));
        problems.extend(self.answers_unseen(seen));
        problems.extend(seen.iter().filter_map(|seen| self.unexplained(seen)));
        problems.extend(twice(seen));
        problems.extend(self.survivors(end));
        problems.extend(differences(&fold(seen), end));
        problems
    }

    fn revisions_twice(&self) -> Vec<String> {
        let mut by_revision: BTreeMap<u64, &str> = BTreeMap::new();
        let mut problems = Vec::new();
        for (token, heard) in &self.puts {
            let Heard::Done { revision, .. } = heard else { continue };
            if let Some(other) = by_revision.insert(*revision, token) {
                problems.push(format!("the writes {other} and {token} were both answered with {revision}"));
            }
        }
        problems
    }

    /// Answered writes that the watch missed, or showed otherwise.
    fn answers_unseen(&self, seen: &[Seen]) -> Vec<String> {
        let by_revision: BTreeMap<u64, &Seen> = seen.iter().map(|seen| (seen.revision, seen)).collect();
        let mut problems = Vec::new();
        for (token, heard) in &self.puts {
            let Heard::Done { revision, object } = heard else { continue };
            match by_revision.get(revision) {
                None => problems.push(format!("the watch missed the write {token}, answered with {revision}")),
                Some(seen) if seen.object != *object => {
                    problems.push(format!("the write {token} was answered with {object}, and seen as {}", seen.object));
                }
                Some(_) => {}
            }
        }
        let gone: BTreeSet<&str> =
            seen.iter().filter(|seen| seen.change == Change::Deleted).map(|seen| uid(&seen.object)).collect();
        let missed = self.deletions.iter().filter(|(uid, answered)| **answered && !gone.contains(uid.as_str()));
        problems.extend(missed.map(|(uid, _)| format!("the watch missed the answered deletion of {uid}")));
        problems
    }

    /// An event of a write that nobody asked for, or that was refused.
    fn unexplained(&self, seen: &Seen) -> Option<String> {
        let asked = match seen.change {
            Change::Deleted => self.deletions.contains_key(uid(&seen.object)),
            _ => self.puts.contains_key(token(&seen.object)),
        };
        (!asked).then(|| format!("nobody asked for what happened at {}: {}", seen.revision, seen.object))
    }

    /// Objects whose deletion was answered.
    fn survivors(&self, end: &[Value]) -> Vec<String> {
        let deleted = |object: &&Value| self.deletions.get(uid(object)) == Some(&true);
        end.iter()
            .filter(deleted)
            .map(|object| format!("its deletion was answered, and it is there: {object}"))
            .collect()
    }
}

/// Revisions only grow.
fn order(seen: &[Seen]) -> Vec<String> {
    let falls = seen.windows(2).filter(|pair| pair[0].revision >= pair[1].revision);
    falls.map(|pair| format!("the watch showed {} after {}", pair[1].revision, pair[0].revision)).collect()
}

/// One write happens once.
fn twice(seen: &[Seen]) -> Vec<String> {
    let mut tokens = BTreeSet::new();
    let puts = seen.iter().filter(|seen| seen.change != Change::Deleted);
    let again = puts.filter(|seen| !tokens.insert(token(&seen.object)));
    again.map(|seen| format!("the write {} happened again at {}", token(&seen.object), seen.revision)).collect()
}

/// The objects that are there when all events have happened.
fn fold(seen: &[Seen]) -> BTreeMap<String, &Value> {
    let mut objects = BTreeMap::new();
    for event in seen {
        match event.change {
            Change::Deleted => objects.remove(&key(&event.object)),
            _ => objects.insert(key(&event.object), &event.object),
        };
    }
    objects
}

fn differences(watched: &BTreeMap<String, &Value>, end: &[Value]) -> Vec<String> {
    let listed: BTreeMap<String, &Value> = end.iter().map(|object| (key(object), object)).collect();
    let mut problems = Vec::new();
    for key in watched.keys().chain(listed.keys()).collect::<BTreeSet<_>>() {
        match (watched.get(key), listed.get(key)) {
            (Some(watched), Some(listed)) if watched != listed => {
                problems.push(format!("{key} was watched as {watched}, and is {listed}"));
            }
            (Some(watched), None) => problems.push(format!("{key} is not there, and was watched as {watched}")),
            (None, Some(listed)) => problems.push(format!("the watch does not know {listed}")),
            _ => {}
        }
    }
    problems
}

fn key(object: &Value) -> String {
    let part = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
    format!("{}/{}", part("namespace"), part("name"))
}

pub(crate) fn uid(object: &Value) -> &str {
    object["metadata"]["uid"].as_str().unwrap_or_default()
}

pub(crate) fn token(object: &Value) -> &str {
    object["data"]["token"].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(token: &str, revision: u64) -> Value {
        json!({"metadata": {"name": "a", "uid": "u", "resourceVersion": revision.to_string()}, "data": {"token": token}})
    }

    fn done(token: &str, revision: u64) -> Heard {
        Heard::Done { revision, object: object(token, revision) }
    }

    fn seen(change: Change, token: &str, revision: u64) -> Seen {
        Seen { change, revision, object: object(token, revision) }
    }

    #[test]
    fn what_happened_as_answered_holds() {
        let mut ledger = Ledger::default();
        ledger.put("1", done("1", 5));
        ledger.put("2", Heard::Unknown);
        ledger.put("3", Heard::Unknown);
        let events = [seen(Change::Added, "1", 5), seen(Change::Modified, "3", 8)];
        assert_eq!(ledger.judge(&events, &[object("3", 8)]), Vec::<String>::new());
        ledger.delete("u", true);
        let events = [events[0].clone(), events[1].clone(), seen(Change::Deleted, "3", 9)];
        assert_eq!(ledger.judge(&events, &[]), Vec::<String>::new());
        assert_eq!((ledger.answered(), ledger.unknown()), (2, 2));
    }

    #[test]
    fn each_way_to_break_the_promise_is_found() {
        let mut ledger = Ledger::default();
        ledger.put("1", done("1", 5));
        ledger.put("2", done("2", 6));
        let (first, second) = (seen(Change::Added, "1", 5), seen(Change::Modified, "2", 6));
        let both = [first.clone(), second.clone()];
        let end = [object("2", 6)];
        assert!(ledger.judge(&both, &end).is_empty());
        assert!(!ledger.judge(&both[..1], &end).is_empty(), "missed");
        assert!(!ledger.judge(&[first.clone(), second.clone(), second.clone()], &end).is_empty(), "repeated");
        assert!(!ledger.judge(&[second.clone(), first.clone()], &end).is_empty(), "out of order");
        assert!(!ledger.judge(&both, &[]).is_empty(), "lost");
        assert!(!ledger.judge(&both, &[object("1", 5)]).is_empty(), "an older content");
        assert!(!ledger.judge(&[first, second, seen(Change::Deleted, "2", 7)], &[]).is_empty(), "deleted by nobody");
        let mut again = ledger.clone();
        again.put("3", done("3", 6));
        assert!(!again.judge(&both, &end).is_empty(), "one revision twice");
        ledger.delete("u", true);
        assert!(!ledger.judge(&both, &end).is_empty(), "an answered deletion");
    }
}
