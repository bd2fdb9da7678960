//! A few `apiserver_*` counters in Prometheus' text form.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Distinct label sets that are counted; further ones go under `other`.
const SERIES_MAX: usize = 4096;

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Labels {
    pub verb: String,
    pub group: String,
    pub version: String,
    pub resource: String,
    pub subresource: String,
    pub code: u16,
}

#[derive(Default)]
struct Series {
    count: u64,
    micros: u64,
}

#[derive(Default)]
pub struct Metrics {
    requests: Mutex<BTreeMap<Labels, Series>>,
    inflight: AtomicI64,
    watches: AtomicI64,
}

impl Metrics {
    pub fn begin(&self) {
        self.inflight.fetch_add(1, Ordering::Relaxed);
    }

    /// One request answered after so many microseconds.
    pub fn end(&self, mut labels: Labels, micros: u64) {
        self.inflight.fetch_sub(1, Ordering::Relaxed);
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        if requests.len() >= SERIES_MAX && !requests.contains_key(&labels) {
            labels = Labels { verb: "other".into(), ..Labels::default() };
        }
        let series = requests.entry(labels).or_default();
        series.count += 1;
        series.micros += micros;
    }

    pub fn watch_begun(&self) {
        self.watches.fetch_add(1, Ordering::Relaxed);
    }

    pub fn watch_ended(&self) {
        self.watches.fetch_sub(1, Ordering::Relaxed);
    }

    /// The exposition text.
    pub fn text(&self) -> String {
        let mut out = String::new();
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let name = "apiserver_request_total";
        out.push_str(&head(name, "counter", "Requests by verb, group, version, resource and HTTP code."));
        for (labels, series) in requests.iter() {
            let _ = writeln!(out, "{name}{{{}}} {}", shown(labels), series.count);
        }
        let name = "apiserver_request_duration_seconds_sum";
        out.push_str(&head(name, "counter", "Seconds spent on requests, watches without their streams."));
        for (labels, series) in requests.iter() {
            let _ = writeln!(out, "{name}{{{}}} {}", shown(labels), series.micros as f64 / 1e6);
        }
        drop(requests);
        let gauges = [
            ("apiserver_current_inflight_requests", "Requests being answered.", &self.inflight),
            ("apiserver_longrunning_requests", "Open watches and streams.", &self.watches),
        ];
        for (name, text, value) in gauges {
            out.push_str(&head(name, "gauge", text));
            let _ = writeln!(out, "{name} {}", value.load(Ordering::Relaxed));
        }
        out
    }
}

fn head(name: &str, kind: &str, text: &str) -> String {
    format!("# HELP {name} {text}\n# TYPE {name} {kind}\n")
}

fn shown(l: &Labels) -> String {
    let pairs = [
        ("verb", l.verb.to_uppercase()),
        ("group", l.group.clone()),
        ("version", l.version.clone()),
        ("resource", l.resource.clone()),
        ("subresource", l.subresource.clone()),
        ("code", l.code.to_string()),
    ];
    let quoted = pairs.iter().map(|(k, v)| format!("{k}={:?}", v));
    quoted.collect::<Vec<_>>().join(",")
}
