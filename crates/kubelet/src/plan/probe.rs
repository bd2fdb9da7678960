//! When a probe runs and what its results add up to.
//!
//! Source: <https://kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes/>.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Probe;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Startup,
    Liveness,
    Readiness,
}

impl Kind {
    /// As events name it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Startup => "Startup",
            Kind::Liveness => "Liveness",
            Kind::Readiness => "Readiness",
        }
    }
}

fn or(value: Option<i32>, default: i64) -> i64 {
    value.map(i64::from).filter(|v| *v > 0).unwrap_or(default)
}

pub fn period(probe: &Probe) -> SignedDuration {
    SignedDuration::from_secs(or(probe.period_seconds, 10))
}

pub fn timeout(probe: &Probe) -> SignedDuration {
    SignedDuration::from_secs(or(probe.timeout_seconds, 1))
}

/// The first run of a probe in a container that started then.
pub fn first(probe: &Probe, started: Timestamp) -> Timestamp {
    started + SignedDuration::from_secs(or(probe.initial_delay_seconds, 0))
}

/// Results in a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    last: Option<bool>,
    run: i64,
}

impl Tally {
    /// Counts a result; answers the verdict when the threshold of its sort is reached.
    pub fn count(&mut self, probe: &Probe, success: bool) -> Option<bool> {
        self.run = if self.last == Some(success) { self.run + 1 } else { 1 };
        self.last = Some(success);
        let needed = if success { or(probe.success_threshold, 1) } else { or(probe.failure_threshold, 3) };
        (self.run >= needed).then_some(success)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_count_results_in_a_row() {
        let probe = Probe { failure_threshold: Some(2), success_threshold: Some(2), ..Probe::default() };
        let mut tally = Tally::default();
        let results = [false, true, true, false, true, false, false].map(|r| tally.count(&probe, r));
        assert_eq!(results, [None, None, Some(true), None, None, None, Some(false)]);
    }
}
