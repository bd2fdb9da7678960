//! The new form of events (events.k8s.io/v1): what goes on is a series. Pure.
//!
//! Source: upstream's `client-go/tools/events/event_broadcaster.go`. The first repetition makes a series of two and
//! is written; later ones are counted here and written when the series ends or has gone on for long. What is the
//! same event is told by who, what about, reason and action, not by the text.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::events::v1::Event;
use machinery::time;
use serde_json::{Value, json};

use super::recent::Recent;
use super::{Form, Occurrence, Teller, Write, address};
use crate::Resource;

/// Without a repetition for so long, an event is over.
const FINISH: SignedDuration = SignedDuration::from_mins(6);
/// A series that goes on is written so often, which also keeps it from expiring.
const REFRESH: SignedDuration = SignedDuration::from_mins(30);

/// An event that was written.
struct Told {
    event: Value,
    /// How often, when more than once.
    count: u64,
    last: Timestamp,
}

/// The events of one teller.
pub struct Series {
    teller: Teller,
    told: Recent<Told>,
    /// Those whose count is not written, by when they were last seen.
    pending: BTreeSet<(Timestamp, String)>,
    refresh: Option<Timestamp>,
}

impl Series {
    pub fn new(teller: Teller) -> Self {
        Self { teller, told: Recent::default(), pending: BTreeSet::new(), refresh: None }
    }

    fn begin(&mut self, id: String, occurrence: &Occurrence, at: Timestamp) -> Write {
        let event = event(&self.teller, occurrence, at);
        self.told.put(id.clone(), Told { event: event.clone(), count: 1, last: at });
        Write::create(id, event)
    }
}

impl Form for Series {
    fn resource(&self) -> Resource {
        Resource::of::<Event>()
    }

    fn take(&mut self, occurrence: Occurrence, at: Timestamp) -> Option<Write> {
        let id = id(&occurrence);
        let over = |told: &Told| at.duration_since(told.last) >= FINISH;
        match self.told.get_mut(&id) {
            Some(told) if !over(told) => {
                let before = std::mem::replace(&mut told.last, at);
                told.count += 1;
                if told.count == 2 {
                    return Some(write(id, told));
                }
                self.pending.remove(&(before, id.clone()));
                self.pending.insert((at, id));
                self.refresh.get_or_insert(at + REFRESH);
                None
            }
            Some(told) => {
                self.pending.remove(&(told.last, id.clone()));
                Some(self.begin(id, &occurrence, at))
            }
            None => Some(self.begin(id, &occurrence, at)),
        }
    }

    fn due(&self) -> Option<Timestamp> {
        let (last, _) = self.pending.first()?;
        let finish = *last + FINISH;
        Some(self.refresh.map_or(finish, |refresh| refresh.min(finish)))
    }

    fn owed(&mut self, now: Timestamp) -> Vec<Write> {
        let refreshes = self.refresh.is_some_and(|refresh| refresh <= now);
        let is_due = |last: &Timestamp| refreshes || *last + FINISH <= now;
        let mut writes = Vec::new();
        while let Some((last, id)) = self.pending.pop_first() {
            if !is_due(&last) {
                self.pending.insert((last, id));
                break;
            }
            if let Some(told) = self.told.get_mut(&id) {
                writes.push(write(id.clone(), told));
            }
            if last + FINISH <= now {
                self.told.remove(&id);
            }
        }
        if refreshes || self.pending.is_empty() {
            self.refresh = None;
        }
        writes
    }

    /// An event counts as told from when it is taken: what fails to be written is made anew by its next patch.
    fn written(&mut self, _: String, _: String, _: String) {}
}

fn write(id: String, told: &Told) -> Write {
    let series = json!({ "count": told.count, "lastObservedTime": time::format_micro(told.last) });
    let mut anew = told.event.clone();
    anew["series"] = series.clone();
    Write::patch(id, json!({ "series": series }), anew)
}

fn id(occurrence: &Occurrence) -> String {
    let Occurrence { about, warning, reason, action, .. } = occurrence;
    format!("{warning}|{action}|{reason}|{about}")
}

fn event(teller: &Teller, occurrence: &Occurrence, at: Timestamp) -> Value {
    let (namespace, name) = address(&occurrence.about, at);
    json!({
        "kind": "Event",
        "apiVersion": "events.k8s.io/v1",
        "metadata": { "namespace": namespace, "name": name },
        "eventTime": time::format_micro(at),
        "reportingController": teller.component,
        "reportingInstance": teller.host,
        "action": occurrence.action,
        "reason": occurrence.reason,
        "regarding": occurrence.about,
        "note": occurrence.message,
        "type": if occurrence.warning { "Warning" } else { "Normal" },
    })
}

#[cfg(test)]
mod tests {
    use super::super::How;
    use super::*;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + 60 * minutes).unwrap()
    }

    fn failed(message: &str) -> Occurrence {
        Occurrence {
            about: json!({ "kind": "Pod", "namespace": "d", "name": "x", "uid": "u" }),
            warning: true,
            reason: "FailedScheduling".into(),
            action: "Scheduling".into(),
            message: message.into(),
        }
    }

    fn series() -> Series {
        Series::new(Teller { component: "default-scheduler".into(), host: "default-scheduler-h".into() })
    }

    fn count(write: &Write) -> u64 {
        match &write.how {
            How::Create(_) => 1,
            How::Patch { patch, .. } => patch["series"]["count"].as_u64().unwrap(),
        }
    }

    #[test]
    fn the_first_repetition_makes_a_series_and_the_others_are_counted() {
        let mut series = series();
        let first = series.take(failed("a"), at(0)).unwrap();
        let How::Create(event) = &first.how else { panic!("{first:?}") };
        assert_eq!(event["eventTime"], "1970-01-12T13:46:40.000000Z");
        assert_eq!((&event["firstTimestamp"], &event["action"]), (&Value::Null, &json!("Scheduling")));
        assert_eq!(count(&series.take(failed("b"), at(1)).unwrap()), 2);
        assert_eq!(series.due(), None);
        assert_eq!(series.take(failed("c"), at(2)), None);
        assert_eq!(series.due(), Some(at(8)));
        assert_eq!(series.take(failed("c"), at(3)), None);
        assert_eq!(series.due(), Some(at(9)));
        assert!(series.owed(at(8)).is_empty());
        let last = series.owed(at(9));
        assert_eq!(last.iter().map(count).collect::<Vec<_>>(), [4]);
        assert_eq!(series.due(), None);
        assert_eq!(count(&series.take(failed("c"), at(10)).unwrap()), 1);
    }

    #[test]
    fn a_series_that_goes_on_is_written_now_and_then() {
        let mut series = series();
        let written: Vec<_> = (0..40).step_by(5).filter_map(|minute| series.take(failed("a"), at(minute))).collect();
        assert_eq!(written.iter().map(count).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(series.due(), Some(at(40)));
        assert_eq!(series.owed(at(40)).iter().map(count).collect::<Vec<_>>(), [8]);
        assert_eq!(series.due(), None);
        assert_eq!(series.take(failed("a"), at(40)), None);
        assert_eq!(series.owed(at(46)).iter().map(count).collect::<Vec<_>>(), [9]);
    }

    #[test]
    fn what_is_over_is_news_again() {
        let mut series = series();
        series.take(failed("a"), at(0));
        assert_eq!(count(&series.take(failed("a"), at(6)).unwrap()), 1);
    }
}
