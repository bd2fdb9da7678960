//! What a pod needs next on its node, and what the API should hear about it. Pure: no clock, no I/O.
//!
//! ```text
//! pod (API) ─┐
//! seen ──────┼─ plan ─→ steps (carried out by `Hands`), status, when to look again
//! now ───────┘
//! ```
//!
//! Every step's outcome changes `Seen`, and the plan is made again; a plan stopped anywhere and made again
//! from what is seen then reaches the same end.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Pod, PodStatus};

pub mod actions;
pub mod admit;
pub mod backoff;
pub mod conditions;
pub mod config;
pub mod container_status;
pub mod end;
pub mod image;
pub mod node;
pub mod phase;
pub mod probe;
pub mod qos;
pub mod run;
pub mod seen;
pub mod spec;
pub mod status;
pub mod step;
pub mod volumes;

use seen::{Seen, Verdict};
use step::Step;

/// What to do, what to tell, and when to ask again if nothing happens before.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    pub steps: Vec<Step>,
    pub status: PodStatus,
    pub wake: Option<Timestamp>,
    /// The time for which this was planned.
    pub now: Option<Timestamp>,
    /// The pod has come to its end, or is on the way there.
    pub ending: bool,
    /// Nothing of a gone pod is left.
    pub over: bool,
}

impl Plan {
    /// Adds a step unless it flies already or has failed a moment ago.
    fn step(&mut self, seen: &Seen, step: Step) {
        let flight = step.flight();
        if seen.flies(&flight) || self.steps.iter().any(|s| s.flight() == flight) {
            return;
        }
        match seen.retries.get(&flight) {
            Some(retry) if self.now.is_some_and(|now| now < *retry) => self.wake_at(*retry),
            _ => self.steps.push(step),
        }
    }

    pub fn wake_at(&mut self, when: Timestamp) {
        self.wake = Some(self.wake.map_or(when, |w| w.min(when)));
    }
}

/// Plans a pod's next steps. `written` says that the API has the last status of this plan.
pub fn plan(pod: &Pod, seen: &Seen, now: Timestamp) -> Plan {
    let mut plan = Plan { now: Some(now), ..Plan::default() };
    if !seen.observed {
        return Plan { status: seen.latest.clone(), ..plan };
    }
    let verdict = seen.verdict.clone().or_else(|| deadline(pod, seen, now, &mut plan));
    let finished = matches!(seen.latest.phase.as_deref(), Some("Succeeded" | "Failed"));
    let mut ending = verdict.is_some() || finished || seen.gone || spec::deleted(pod);
    if !ending {
        ending = run::run(pod, seen, now, &mut plan);
        if ending {
            plan.steps.clear();
        }
    }
    plan.ending = ending;
    plan.status = status::status(pod, seen, now, verdict.as_ref(), ending, &mut plan.wake);
    if ending {
        let written = !differs(&plan.status, &seen.reported);
        end::end(pod, seen, now, written, &mut plan);
        plan.over = seen.gone && seen.sandboxes.is_empty() && seen.torn_down && seen.flying.is_empty();
    }
    plan
}

/// Whether two statuses differ in anything that the API should hear.
pub fn differs(a: &PodStatus, b: &PodStatus) -> bool {
    a != b
}

/// `activeDeadlineSeconds`, counted from the pod's start on this node.
fn deadline(pod: &Pod, seen: &Seen, now: Timestamp, plan: &mut Plan) -> Option<Verdict> {
    let seconds = spec::spec(pod).active_deadline_seconds?;
    let end = seen.started? + SignedDuration::from_secs(seconds);
    if now < end {
        plan.wake_at(end);
        return None;
    }
    let message = "Pod was active on the node longer than the specified deadline".to_owned();
    Some(Verdict { reason: "DeadlineExceeded".into(), message })
}

#[cfg(test)]
mod tests;
