//! Which occurrences become an event, which raise a count, which are dropped. Pure.
//!
//! Source: upstream's `client-go/tools/record/events_cache.go`, in its order: an object that talks too much is
//! not heard; many messages of one reason are combined into one; the same again raises the count.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::Value;

use super::recent::Recent;
use super::{Occurrence, Teller};

/// Different messages of one reason within [`SIMILAR_SECONDS`] before they are combined.
const SIMILAR_MAX: usize = 10;
const SIMILAR_SECONDS: i64 = 600;
/// Events about one object at once, and the time in which it earns another.
const SPAM_BURST: f64 = 25.0;
const SPAM_REFILL_SECONDS: f64 = 300.0;
const COMBINED: &str = "(combined from similar events): ";

/// What to do with an occurrence.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    Drop,
    /// Create it, and tell [`Correlator::written`] under which name.
    New {
        id: String,
        occurrence: Occurrence,
    },
    /// It was written before under this name: this is its new count.
    Again {
        id: String,
        occurrence: Occurrence,
        namespace: String,
        name: String,
        count: i32,
    },
}

struct Allowance {
    tokens: f64,
    at: Timestamp,
}

struct Similar {
    messages: BTreeSet<String>,
    last: Timestamp,
}

struct Written {
    namespace: String,
    name: String,
    count: i32,
}

/// Remembers what was told of late.
#[derive(Default)]
pub struct Correlator {
    allowances: Recent<Allowance>,
    similar: Recent<Similar>,
    written: Recent<Written>,
}

impl Correlator {
    pub fn take(&mut self, teller: &Teller, mut occurrence: Occurrence, now: Timestamp) -> Verdict {
        let object = object_id(teller, &occurrence.about);
        let kind = if occurrence.warning { "Warning" } else { "Normal" };
        let group = format!("{object}|{kind}|{}", occurrence.reason);
        let id = match self.is_similar(&group, &occurrence.message, now) {
            true => {
                occurrence.message.insert_str(0, COMBINED);
                group
            }
            false => format!("{group}|{}|{}", occurrence.about["fieldPath"], occurrence.message),
        };
        if !self.may_speak(&object, now) {
            return Verdict::Drop;
        }
        match self.written.get_mut(&id) {
            None => Verdict::New { id, occurrence },
            Some(written) => {
                written.count += 1;
                let (namespace, name) = (written.namespace.clone(), written.name.clone());
                Verdict::Again { count: written.count, id, occurrence, namespace, name }
            }
        }
    }

    /// A new event was created under this name.
    pub fn written(&mut self, id: String, namespace: String, name: String) {
        self.written.put(id, Written { namespace, name, count: 1 });
    }

    fn is_similar(&mut self, group: &str, message: &str, now: Timestamp) -> bool {
        let fresh = || Similar { messages: BTreeSet::new(), last: now };
        let similar = self.similar.get_or(group, fresh);
        if now.duration_since(similar.last).as_secs() > SIMILAR_SECONDS {
            similar.messages.clear();
        }
        similar.last = now;
        // One more than the limit says all; the set must not grow with the spam.
        if similar.messages.len() < SIMILAR_MAX {
            similar.messages.insert(message.to_owned());
        }
        similar.messages.len() >= SIMILAR_MAX
    }

    fn may_speak(&mut self, object: &str, now: Timestamp) -> bool {
        let allowance = self.allowances.get_or(object, || Allowance { tokens: SPAM_BURST, at: now });
        let earned = now.duration_since(allowance.at).as_secs_f64().max(0.0) / SPAM_REFILL_SECONDS;
        allowance.tokens = (allowance.tokens + earned).min(SPAM_BURST);
        allowance.at = now;
        let may = allowance.tokens >= 1.0;
        if may {
            allowance.tokens -= 1.0;
        }
        may
    }
}

fn object_id(teller: &Teller, about: &Value) -> String {
    let text = |field: &str| about[field].as_str().unwrap_or_default().to_owned();
    let parts = ["kind", "namespace", "name", "uid", "apiVersion"].map(text);
    format!("{}|{}|{}", teller.component, teller.host, parts.join("|"))
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan;
    use serde_json::json;

    use super::*;

    fn teller() -> Teller {
        Teller { component: "test".into(), host: String::new() }
    }

    fn happened(message: &str) -> Occurrence {
        let about = json!({ "kind": "Pod", "namespace": "d", "name": "x", "uid": "u" });
        Occurrence { about, warning: false, reason: "Happened".into(), action: String::new(), message: message.into() }
    }

    #[test]
    fn the_same_again_raises_the_count() {
        let mut correlator = Correlator::default();
        let now = Timestamp::UNIX_EPOCH;
        let Verdict::New { id, .. } = correlator.take(&teller(), happened("a"), now) else { panic!("not new") };
        correlator.written(id, "d".into(), "x.1".into());
        let again = correlator.take(&teller(), happened("a"), now);
        assert!(matches!(again, Verdict::Again { count: 2, ref name, .. } if name == "x.1"), "{again:?}");
    }

    #[test]
    fn many_messages_of_one_reason_are_combined() {
        let mut correlator = Correlator::default();
        let now = Timestamp::UNIX_EPOCH;
        let messages: Vec<_> = (0..12)
            .filter_map(|n| match correlator.take(&teller(), happened(&n.to_string()), now) {
                Verdict::New { occurrence, .. } => Some(occurrence.message),
                _ => None,
            })
            .collect();
        assert_eq!(messages[8], "8");
        assert_eq!(messages[9], "(combined from similar events): 9");
    }

    #[test]
    fn an_object_that_talks_too_much_is_not_heard() {
        let mut correlator = Correlator::default();
        let now = Timestamp::UNIX_EPOCH;
        for _ in 0..25 {
            assert_ne!(correlator.take(&teller(), happened("a"), now), Verdict::Drop);
        }
        assert_eq!(correlator.take(&teller(), happened("a"), now), Verdict::Drop);
        assert_ne!(correlator.take(&teller(), happened("a"), now + 301.seconds()), Verdict::Drop);
    }
}
