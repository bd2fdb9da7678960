//! The old form of events (core/v1), which all but the scheduler write: what is repeated is counted. Pure.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use machinery::time;
use serde_json::{Value, json};

use super::correlate::{Correlator, Verdict};
use super::{Form, Occurrence, Teller, Write, address};
use crate::Resource;

/// The events of one teller.
pub struct Counted {
    teller: Teller,
    correlator: Correlator,
}

impl Counted {
    pub fn new(teller: Teller) -> Self {
        Self { teller, correlator: Correlator::default() }
    }
}

impl Form for Counted {
    fn resource(&self) -> Resource {
        Resource::of::<Event>()
    }

    fn take(&mut self, occurrence: Occurrence, at: Timestamp) -> Option<Write> {
        match self.correlator.take(&self.teller, occurrence, at) {
            Verdict::Drop => None,
            Verdict::New { id, occurrence } => Some(Write::create(id, event(&self.teller, &occurrence, at))),
            Verdict::Again { id, occurrence, namespace, name, count } => {
                let patch = json!({
                    "count": count, "message": occurrence.message, "lastTimestamp": time::format(at),
                });
                let anew = event(&self.teller, &occurrence, at);
                Some(Write { namespace, name, ..Write::patch(id, patch, anew) })
            }
        }
    }

    fn due(&self) -> Option<Timestamp> {
        None
    }

    fn owed(&mut self, _: Timestamp) -> Vec<Write> {
        Vec::new()
    }

    fn written(&mut self, id: String, namespace: String, name: String) {
        self.correlator.written(id, namespace, name);
    }
}

fn event(teller: &Teller, occurrence: &Occurrence, at: Timestamp) -> Value {
    let (namespace, name) = address(&occurrence.about, at);
    json!({
        "kind": "Event",
        "apiVersion": "v1",
        "metadata": { "namespace": namespace, "name": name },
        "involvedObject": occurrence.about,
        "reason": occurrence.reason,
        "message": occurrence.message,
        "type": if occurrence.warning { "Warning" } else { "Normal" },
        "source": source(teller),
        "reportingComponent": teller.component,
        "reportingInstance": teller.host,
        "firstTimestamp": time::format(at),
        "lastTimestamp": time::format(at),
        "count": 1,
    })
}

fn source(teller: &Teller) -> Value {
    match teller.host.as_str() {
        "" => json!({ "component": teller.component }),
        host => json!({ "component": teller.component, "host": host }),
    }
}
