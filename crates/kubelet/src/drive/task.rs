//! One pod's task: it hears events, plans, starts steps, writes the status. One owner of all that is seen.
//!
//! ```text
//!  events ─┐            ┌─▶ steps (each a task of its own, told back when done)
//!  steps ──┼─ apply ─ plan ─▶ status (at most one write at a time, the latest wins)
//!  timer ──┘            └─▶ probes
//! ```

use std::sync::Arc;
use std::time::Duration;

use client::Patch;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Pod, PodCondition, PodStatus};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::context::Context;
use super::event::Event;
use super::hands::{Hands, Outcome, Scene};
use super::probes::Probers;
use crate::plan::probe::Kind;
use crate::plan::seen::{Failure, Image, Sandbox, Seen, Verdict, Volumes, remembered};
use crate::plan::step::{Flight, Step};
use crate::plan::{Plan, conditions, differs, plan, spec, status, volumes};

/// The pause after a step failed, doubled each time it fails again.
const RETRY_S_MIN: i64 = 1;
const RETRY_S_MAX: i64 = 60;
/// The pause after a container could not be configured: a change of what it refers to ends it.
const CONFIG_RETRY_S: i64 = 10;
/// The reason of a container whose configuration cannot be made.
const CONFIG_ERROR: &str = "CreateContainerConfigError";
/// The pause after the status could not be written.
const WRITE_RETRY_S: i64 = 1;

/// What comes back from the task's own children.
enum Back {
    Step(Step, Outcome),
    /// What was sent, and the revision at which the API has it.
    Written(Box<PodStatus>, Result<u64, String>),
}

struct Task {
    cx: Arc<Context>,
    hands: Arc<dyn Hands>,
    pod: Arc<Pod>,
    seen: Seen,
    inbox: mpsc::UnboundedReceiver<Event>,
    children: JoinSet<Back>,
    image_pulls: Vec<(String, AbortHandle)>,
    probers: Probers,
    /// The runtime may show something new.
    stale: bool,
    /// The volumes' sources may have changed, or a token is due then.
    refresh: bool,
    refresh_at: Option<Timestamp>,
    writing: bool,
    /// The revision of the last write.
    written: u64,
    write_retry: Option<Timestamp>,
    wake: Option<Timestamp>,
}

fn revision(pod: &Pod) -> u64 {
    pod.metadata.resource_version.as_deref().and_then(|r| r.parse().ok()).unwrap_or(0)
}

/// What a pod's task begins with.
pub struct Start {
    pub pod: Arc<Pod>,
    /// The object is not in the API: only what is left in the runtime.
    pub orphan: bool,
    pub verdict: Option<Verdict>,
}

/// Runs a pod's task until nothing of the pod is left, or `stop`.
pub async fn run(
    cx: Arc<Context>,
    hands: Arc<dyn Hands>,
    start: Start,
    inbox: mpsc::UnboundedReceiver<Event>,
    stop: CancellationToken,
) {
    let Start { pod, orphan, verdict } = start;
    let status = pod.status.clone().unwrap_or_default();
    let seen = Seen {
        gone: orphan,
        refused: verdict.is_some(),
        verdict,
        started: Some(status.start_time.as_ref().map_or_else(|| cx.now(), |t| t.0)),
        host_ips: cx.facts.ips.clone(),
        runtime: cx.runtime_name.clone(),
        probes: remembered(&status),
        reported: status.clone(),
        latest: status,
        ..Seen::default()
    };
    let mut task = Task {
        cx,
        hands,
        pod,
        seen,
        inbox,
        children: JoinSet::new(),
        image_pulls: Vec::new(),
        probers: Probers::default(),
        stale: true,
        refresh: false,
        refresh_at: None,
        writing: false,
        written: 0,
        write_retry: None,
        wake: None,
    };
    let uid = spec::uid(&task.pod).to_owned();
    task.hold_references();
    loop {
        task.observe(&uid).await;
        let plan = task.decide();
        if plan.over {
            break;
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            more = task.hear() => if !more { break },
        }
    }
    task.cx.references.release(&uid);
}

impl Task {
    fn hold_references(&self) {
        let names = if self.seen.gone { volumes::Names::default() } else { volumes::names(&self.pod) };
        self.cx.references.hold(spec::uid(&self.pod), spec::namespace(&self.pod), &names);
    }

    /// Asks the runtime when it may show something new; a failure is tried again soon.
    async fn observe(&mut self, uid: &str) {
        if !self.stale {
            return;
        }
        match self.hands.observe(uid, &self.seen.containers).await {
            Ok(observed) => {
                self.stale = false;
                self.seen.observed = true;
                let id = |s: Option<&Sandbox>| s.map(|s| s.id.clone());
                if id(self.seen.sandbox()) != id(observed.sandboxes.first().filter(|s| s.ready)) {
                    // What failed in a sandbox that died says nothing about the next one.
                    self.seen.failures.clear();
                }
                self.seen.sandboxes = observed.sandboxes;
                self.seen.containers = observed.containers;
                let alive = |id: &String| self.seen.containers.iter().any(|c| c.id == *id);
                self.seen.probes.retain(|id, _| alive(id));
            }
            Err(e) => {
                tracing::warn!("the runtime did not answer for pod {}: {e}", spec::full_name(&self.pod));
                self.wake_at(self.cx.now() + SignedDuration::from_secs(RETRY_S_MIN));
            }
        }
    }

    fn wake_at(&mut self, when: Timestamp) {
        self.wake = Some(self.wake.map_or(when, |w| w.min(when)));
    }

    /// Plans, starts what the plan says, and writes the status if the API does not have it.
    fn decide(&mut self) -> Plan {
        let now = self.cx.now();
        let plan = plan(&self.pod, &self.seen, now);
        self.tell_waits(&plan.status);
        self.seen.latest = plan.status.clone();
        if plan.ending {
            self.image_pulls.drain(..).for_each(|(_, pull)| pull.abort());
        }
        for step in plan.steps.clone() {
            self.launch(step);
        }
        self.probers.adjust(&self.cx, &self.pod, &self.seen, plan.ending);
        self.refresh_volumes(now);
        self.write_status(now);
        [plan.wake, self.refresh_at.filter(|at| now < *at), self.write_retry.filter(|at| now < *at)]
            .into_iter()
            .flatten()
            .for_each(|when| self.wake_at(when));
        plan
    }

    fn launch(&mut self, step: Step) {
        let flight = step.flight();
        if let Step::StartContainer { container, backoff, .. } = &step {
            self.seen.backoffs.extend(backoff.iter().map(|b| (container.clone(), b.clone())));
        }
        self.seen.flying.insert(flight.clone());
        let work = self.hands.carry_out(Scene::of(&self.pod, &self.seen), step.clone());
        let handle = self.children.spawn(async move { Back::Step(step, work.await) });
        if let Flight::Image(name) = flight {
            self.image_pulls.push((name, handle));
        }
    }

    /// Volumes follow their sources while they are mounted.
    fn refresh_volumes(&mut self, now: Timestamp) {
        let due = self.refresh || self.refresh_at.is_some_and(|at| at <= now);
        if due && self.seen.volumes == Volumes::Ready && !self.seen.flies(&Flight::Volumes) && !self.seen.gone {
            self.refresh = false;
            self.refresh_at = None;
            self.launch(Step::PrepareVolumes);
        }
    }

    fn write_status(&mut self, now: Timestamp) {
        let due = !self.writing && self.write_retry.is_none_or(|at| at <= now);
        if self.seen.gone || !self.seen.observed || !due || !differs(&self.seen.latest, &self.seen.reported) {
            return;
        }
        self.writing = true;
        self.write_retry = None;
        let (client, pod, new) = (self.cx.client.clone(), self.pod.clone(), self.seen.latest.clone());
        let patch = status::patch(spec::uid(&pod), &self.seen.reported, &new);
        self.children.spawn(async move {
            let (namespace, name) = (spec::namespace(&pod), spec::name(&pod));
            let answer = client.patch::<Pod>(namespace, name, "status", Patch::Strategic(patch)).await;
            let result = match answer {
                // The object is gone or another one: its deletion will be heard of.
                Err(e) if e.is_not_found() || e.is_conflict() => Ok(0),
                // The same status would be refused again, and the pod must be able to end.
                Err(e) if e.code == 422 => {
                    tracing::error!("the status of pod {} was refused: {}", spec::full_name(&pod), e.message);
                    Ok(0)
                }
                other => other.map(|pod| revision(&pod)).map_err(|e| e.message),
            };
            Back::Written(Box::new(new), result)
        });
    }

    /// Events of containers that begin to wait for a back-off.
    fn tell_waits(&self, new: &PodStatus) {
        let both = |s: &PodStatus| {
            let lists = [s.init_container_statuses.clone(), s.container_statuses.clone()];
            lists.into_iter().flatten().flatten().collect::<Vec<_>>()
        };
        let old = both(&self.seen.latest);
        let reason = |s: &k8s_openapi::api::core::v1::ContainerStatus| {
            let waiting = s.state.as_ref().and_then(|s| s.waiting.clone());
            waiting.map(|w| (w.reason.unwrap_or_default(), w.message.unwrap_or_default()))
        };
        for status in both(new) {
            let before = old.iter().find(|o| o.name == status.name).and_then(reason).map(|r| r.0);
            let Some((reason, message)) = reason(&status).filter(|(r, _)| before.as_ref() != Some(r)) else { continue };
            let tell = |sort, reason: &str, message: String| {
                self.cx.recorder.pod(&self.pod, Some(&status.name), sort, reason, message);
            };
            match reason.as_str() {
                "CrashLoopBackOff" => {
                    let pod = spec::full_name(&self.pod);
                    let message = format!("Back-off restarting failed container {} in pod {pod}", status.name);
                    tell("Warning", "BackOff", message);
                }
                "ImagePullBackOff" => {
                    let image = message.split(": ").next().unwrap_or_default().to_owned();
                    tell("Normal", "BackOff", image);
                    tell("Warning", "Failed", "Error: ImagePullBackOff".into());
                }
                _ => {}
            }
        }
    }

    /// Waits for the next thing and takes in all that is there; false when nobody will tell anything any more.
    async fn hear(&mut self) -> bool {
        let wait = self.wake.take().map(|at| Duration::try_from(at.duration_since(self.cx.now())).unwrap_or_default());
        let sleep = async {
            match wait {
                Some(wait) => tokio::time::sleep(wait).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            event = self.inbox.recv() => match event {
                Some(event) => self.apply(event),
                None => return false,
            },
            Some(back) = self.children.join_next() => self.back(back),
            () = sleep => {}
        }
        while let Ok(event) = self.inbox.try_recv() {
            self.apply(event);
        }
        while let Some(back) = self.children.try_join_next() {
            self.back(back);
        }
        true
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::Pod(pod) => self.replace(pod),
            Event::Gone => {
                self.seen.gone = true;
                self.seen.flying.remove(&Flight::Forget);
                let mut pod = (*self.pod).clone();
                // What is left has no more than the grace period that was agreed on.
                pod.metadata.deletion_timestamp.get_or_insert(crate::plan::container_status::time(self.cx.now()));
                self.pod = Arc::new(pod);
            }
            Event::Runtime => self.stale = true,
            Event::Network => {
                self.seen.retries.remove(&Flight::Sandbox);
            }
            Event::Refs => {
                self.refresh = true;
                self.seen.retries.remove(&Flight::Volumes);
                self.seen.failures.retain(|_, f| f.reason != CONFIG_ERROR);
            }
            Event::Probe { id, kind, success } => {
                let probes = self.seen.probes.entry(id).or_default();
                match kind {
                    Kind::Startup => probes.startup = Some(success),
                    Kind::Liveness => probes.liveness = Some(success),
                    Kind::Readiness => probes.readiness = Some(success),
                }
            }
        }
    }

    fn replace(&mut self, pod: Arc<Pod>) {
        if pod.metadata.labels != self.pod.metadata.labels || pod.metadata.annotations != self.pod.metadata.annotations
        {
            self.refresh = true;
            // An annotation may be what a container's environment or sub-path lacked.
            self.seen.failures.retain(|_, f| f.reason != CONFIG_ERROR);
        }
        let spec_changed = pod.spec != self.pod.spec;
        self.take_foreign(&pod);
        self.notice_overwritten(&pod);
        self.pod = pod;
        if spec_changed {
            self.hold_references();
            self.seen.failures.clear();
            self.forget_changed_images();
        }
    }

    /// Conditions of ours that somebody else flipped (a controller that took the node for lost) are told again.
    fn notice_overwritten(&mut self, pod: &Pod) {
        if self.writing || revision(pod) <= self.written {
            return;
        }
        let theirs = pod.status.as_ref().and_then(|s| s.conditions.as_deref()).unwrap_or_default();
        let ours = self.seen.reported.conditions.as_deref().unwrap_or_default();
        let flipped = |c: &&PodCondition| {
            let told = ours.iter().find(|o| o.type_ == c.type_);
            conditions::owned(&c.type_) && told.is_some_and(|o| o.status != c.status)
        };
        if theirs.iter().any(|c| flipped(&c)) {
            self.seen.reported.conditions = Some(theirs.to_vec());
        }
    }

    /// A changed image is looked for at once, not after the old one's pause.
    fn forget_changed_images(&mut self) {
        let pod = self.pod.clone();
        let message_names = |name: &str, message: &str| {
            let image = spec::find(&pod, name).and_then(|c| c.image).unwrap_or_default();
            message.contains(&format!("{image:?}"))
        };
        self.seen.images.retain(|name, image| match image {
            Image::Failed { message, .. } => message_names(name, message),
            Image::Ready { .. } => true,
        });
    }

    /// What others wrote into the status: conditions that are not ours, a nomination.
    fn take_foreign(&mut self, pod: &Pod) {
        let status = pod.status.clone().unwrap_or_default();
        for held in [&mut self.seen.reported, &mut self.seen.latest] {
            let ours = held.conditions.take().unwrap_or_default();
            let (ours, _): (Vec<_>, Vec<_>) = ours.into_iter().partition(|c| conditions::owned(&c.type_));
            let theirs = status.conditions.iter().flatten().filter(|c| !conditions::owned(&c.type_));
            let all: Vec<_> = theirs.cloned().chain(ours).collect();
            held.conditions = Some(all).filter(|c| !c.is_empty());
            held.nominated_node_name = status.nominated_node_name.clone();
            held.resize = status.resize.clone();
        }
    }

    fn back(&mut self, back: Result<Back, tokio::task::JoinError>) {
        match back {
            Ok(Back::Step(step, outcome)) => self.done(&step, outcome),
            Ok(Back::Written(status, result)) => {
                self.writing = false;
                match result {
                    Ok(revision) => {
                        self.seen.reported = *status;
                        self.written = self.written.max(revision);
                    }
                    Err(e) => {
                        tracing::warn!("the status of pod {} was not written: {e}", spec::full_name(&self.pod));
                        self.write_retry = Some(self.cx.now() + SignedDuration::from_secs(WRITE_RETRY_S));
                    }
                }
            }
            Err(e) if e.is_cancelled() => {
                // Only pulls of an ending pod are aborted.
                self.seen.flying.retain(|f| !matches!(f, Flight::Image(_)));
            }
            Err(e) => tracing::error!("a step of pod {} failed: {e}", spec::full_name(&self.pod)),
        }
    }

    fn done(&mut self, step: &Step, outcome: Outcome) {
        let flight = step.flight();
        let forgotten = flight == Flight::Forget && outcome == Outcome::Done;
        // An object that was forgotten stays so until its deletion is heard of.
        if !forgotten {
            self.seen.flying.remove(&flight);
        }
        self.image_pulls.retain(|(name, _)| Flight::Image(name.clone()) != flight);
        self.stale |= !matches!(step, Step::EnsureImage { .. } | Step::PrepareVolumes | Step::Forget | Step::TearDown);
        let now = self.cx.now();
        match (step, outcome) {
            (Step::EnsureImage { container, attempt, delay_s }, outcome) => {
                let image = match outcome {
                    Outcome::Failed(f) => {
                        let retry = now + SignedDuration::from_secs(*delay_s);
                        Image::Failed { reason: f.reason, message: f.message, at: now, retry, delay_s: *delay_s }
                    }
                    _ => Image::Ready { attempt: *attempt },
                };
                self.seen.images.insert(container.clone(), image);
            }
            (Step::StartContainer { container, .. }, Outcome::Failed(f)) => {
                let made = matches!(f.reason.as_str(), "RunContainerError" | "PostStartHookError");
                let pause = if made { RETRY_S_MIN } else { CONFIG_RETRY_S };
                let retry = now + SignedDuration::from_secs(pause);
                self.seen.failures.insert(container.clone(), Failure { reason: f.reason, message: f.message, retry });
            }
            (Step::StartContainer { container, .. }, _) => {
                self.seen.failures.remove(container);
            }
            (_, Outcome::Failed(f)) => self.postpone(flight, &f.message, now),
            (Step::PrepareVolumes, outcome) => {
                self.seen.volumes = Volumes::Ready;
                self.seen.torn_down = false;
                self.refresh_at = if let Outcome::Volumes(due) = outcome { due } else { None };
                self.seen.retries.remove(&flight);
            }
            (Step::TearDown, _) => {
                self.seen.volumes = Volumes::Absent;
                self.seen.torn_down = true;
            }
            _ => {
                self.seen.retries.remove(&flight);
                self.seen.tries.remove(&flight);
            }
        }
    }

    /// A failed step is tried again after a pause that doubles.
    fn postpone(&mut self, flight: Flight, why: &str, now: Timestamp) {
        tracing::warn!("pod {}: {flight:?} failed: {why}", spec::full_name(&self.pod));
        let count = self.seen.tries.entry(flight.clone()).or_default();
        *count = (*count + 1).min(7);
        let pause = (RETRY_S_MIN << (*count - 1)).min(RETRY_S_MAX);
        let retry = now + SignedDuration::from_secs(pause);
        if flight == Flight::Volumes && self.seen.volumes == Volumes::Ready {
            // What is mounted stays; its next content, or the next token, is tried for again.
            self.refresh_at = Some(retry);
        }
        self.seen.retries.insert(flight, retry);
    }
}
