//! Container statuses: what the runtime shows, what is remembered, and why a container waits.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{
    Container as Spec, ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting,
    ContainerStatus, ContainerUser, LinuxContainerUser, Pod, VolumeMountStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::backoff::{Restart, go_seconds};
use super::seen::{Container, Image, Seen, State};
use super::step::Flight;
use super::{actions, run, spec};

/// How long an end or a failed pull is shown as such before it shows as a back-off, for those who watch.
const SHOWN_S: i64 = 1;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    Init,
    Regular,
    Ephemeral,
}

/// The circumstances in which statuses are made.
pub struct Context<'a> {
    pub pod: &'a Pod,
    pub seen: &'a Seen,
    pub now: Timestamp,
    /// Nothing is started any more: no reason to wait is shown.
    pub ending: bool,
}

/// The statuses of these containers, in the order of the spec. `wake` gets the time when they change by themselves.
pub fn statuses(
    cx: &Context,
    containers: &[Spec],
    old: &[ContainerStatus],
    sort: Sort,
    wake: &mut Option<Timestamp>,
) -> Vec<ContainerStatus> {
    let one = |c: &Spec| status(cx, c, old.iter().find(|s| s.name == c.name), sort, wake);
    containers.iter().map(one).collect()
}

fn status(
    cx: &Context,
    container: &Spec,
    old: Option<&ContainerStatus>,
    sort: Sort,
    wake: &mut Option<Timestamp>,
) -> ContainerStatus {
    // An instance between create and start is not told of: it will run in a moment, or its failure will be told.
    let starting = cx.seen.flies(&Flight::Start(container.name.clone()));
    let half = |c: &Container| starting && c.state == State::Created;
    let mut instances = cx.seen.containers.iter().filter(|c| c.name == container.name && !half(c));
    let newest = instances.next();
    let mut out = match newest {
        None => never_seen(cx, container, old),
        Some(c) => {
            let previous = instances.next().map(|p| state(cx, p));
            let remembered = || old.filter(|o| o.restart_count > 0).and_then(|o| o.last_state.clone());
            shown(cx, container, c, previous.or_else(remembered))
        }
    };
    let waits = waits(cx, container, newest, sort, wake);
    if let Some(kept) = old.filter(|old| waits.is_none() && replaced(cx, container, newest, old, sort, wake)) {
        return kept.clone();
    }
    if let Some((reason, message)) = waits {
        let state = out.state.take().unwrap_or_default();
        if state.terminated.is_some() {
            out.last_state = Some(state);
        }
        out.state = Some(waiting(&reason, message));
    }
    readiness(cx, container, newest, sort, &mut out);
    out
}

/// Whether a container was stopped because its definition changed, and a new instance is on its way. It is told as it
/// was for the moment that this takes: upstream tells nothing between the two, so that a new image is a restart and
/// not an unready pod.
fn replaced(
    cx: &Context,
    container: &Spec,
    newest: Option<&Container>,
    old: &ContainerStatus,
    sort: Sort,
    wake: &mut Option<Timestamp>,
) -> bool {
    let Some(c) = newest.filter(|c| c.exited() && sort == Sort::Regular && !cx.ending) else { return false };
    let ran = old.state.as_ref().is_some_and(|state| state.running.is_some());
    ran && old.container_id == Some(id(cx, c))
        && c.hash != spec::hash(container)
        && actions::restarts(cx.pod, newest)
        && c.finished.is_some_and(|at| first_shown(at, cx.now, wake))
}

fn waiting(reason: &str, message: Option<String>) -> ContainerState {
    let reason = Some(reason.to_owned()).filter(|r| !r.is_empty());
    ContainerState { waiting: Some(ContainerStateWaiting { reason, message }), ..ContainerState::default() }
}

fn blank(container: &Spec) -> ContainerStatus {
    ContainerStatus {
        name: container.name.clone(),
        image: container.image.clone().unwrap_or_default(),
        last_state: Some(ContainerState::default()),
        ..ContainerStatus::default()
    }
}

/// Why a container waits that has not begun yet.
fn creating(cx: &Context) -> &'static str {
    if spec::init_containers(cx.pod).is_empty() { "ContainerCreating" } else { "PodInitializing" }
}

/// A container that the runtime does not know (any more).
fn never_seen(cx: &Context, container: &Spec, old: Option<&ContainerStatus>) -> ContainerStatus {
    let mut out = blank(container);
    out.state = Some(waiting(creating(cx), None));
    let Some(old) = old else { return out };
    let was = old.state.clone().unwrap_or_default();
    if was.terminated.is_some() {
        return old.clone();
    }
    out.restart_count = old.restart_count;
    out.last_state = old.last_state.clone().or(out.last_state);
    let remembered = out.last_state.as_ref().is_some_and(|s| s.terminated.is_some());
    if was.running.is_some() && !remembered {
        let message = "The container could not be located when the pod was deleted.  The container used to be Running";
        out.last_state = Some(lost(message));
        out.restart_count += i32::from(!spec::deleted(cx.pod));
    }
    out
}

/// The state of a container that vanished.
pub fn lost(message: &str) -> ContainerState {
    let terminated = ContainerStateTerminated {
        reason: Some("ContainerStatusUnknown".into()),
        message: Some(message.into()),
        exit_code: 137,
        ..ContainerStateTerminated::default()
    };
    ContainerState { terminated: Some(terminated), ..ContainerState::default() }
}

fn shown(cx: &Context, spec: &Spec, c: &Container, last: Option<ContainerState>) -> ContainerStatus {
    let resources = c.running().then(|| spec.resources.clone().unwrap_or_default());
    let user = c.user.clone().map(|(uid, gid, groups)| ContainerUser {
        linux: Some(LinuxContainerUser { uid, gid, supplemental_groups: Some(groups).filter(|g| !g.is_empty()) }),
    });
    ContainerStatus {
        name: c.name.clone(),
        restart_count: i32::try_from(c.restarts).unwrap_or(i32::MAX),
        image: c.image.clone(),
        image_id: c.image_id.clone(),
        container_id: Some(id(cx, c)),
        state: Some(state(cx, c)),
        last_state: Some(last.unwrap_or_default()),
        allocated_resources: spec.resources.as_ref().and_then(|r| r.requests.clone()).filter(|_| c.running()),
        resources,
        user,
        volume_mounts: mounts(spec),
        ..ContainerStatus::default()
    }
}

fn mounts(spec: &Spec) -> Option<Vec<VolumeMountStatus>> {
    let all = spec.volume_mounts.as_ref()?.iter().map(|m| VolumeMountStatus {
        name: m.name.clone(),
        mount_path: m.mount_path.clone(),
        read_only: m.read_only.filter(|r| *r),
        recursive_read_only: m.read_only.filter(|r| *r).map(|_| "Disabled".into()),
        ..VolumeMountStatus::default()
    });
    Some(all.collect::<Vec<_>>()).filter(|all| !all.is_empty())
}

fn id(cx: &Context, c: &Container) -> String {
    format!("{}://{}", cx.seen.runtime, c.id)
}

/// Times in statuses have whole seconds.
pub fn time(at: Timestamp) -> Time {
    Time(Timestamp::from_second(at.as_second()).unwrap_or(at))
}

fn state(cx: &Context, c: &Container) -> ContainerState {
    match c.state {
        State::Running => {
            let running = ContainerStateRunning { started_at: c.started.map(time) };
            ContainerState { running: Some(running), ..ContainerState::default() }
        }
        State::Exited => {
            let terminated = ContainerStateTerminated {
                container_id: Some(id(cx, c)),
                exit_code: c.exit_code,
                reason: Some(c.reason.clone()).filter(|r| !r.is_empty()),
                message: Some(c.message.clone()).filter(|m| !m.is_empty()),
                started_at: c.started.map(time),
                finished_at: c.finished.map(time),
                signal: None,
            };
            ContainerState { terminated: Some(terminated), ..ContainerState::default() }
        }
        State::Created => waiting(creating(cx), None),
        State::Unknown => waiting("", None),
    }
}

/// Why a container that should run does not: reason and message.
fn waits(
    cx: &Context,
    container: &Spec,
    newest: Option<&Container>,
    sort: Sort,
    wake: &mut Option<Timestamp>,
) -> Option<(String, Option<String>)> {
    let should = match sort {
        Sort::Init if spec::restartable(container) => newest.is_none_or(|c| !c.running()),
        Sort::Init => newest.is_none_or(|c| !c.running() && !c.succeeded()) && spec::restarts_failed(cx.pod),
        Sort::Regular => actions::restarts(cx.pod, newest),
        Sort::Ephemeral => newest.is_none(),
    };
    if cx.ending || !should {
        return None;
    }
    let crash = crash_loop(cx, container, newest, wake);
    if let Some(failure) = cx.seen.failures.get(&container.name) {
        // A container that was made and could not run shows its back-off after a moment.
        if crash.is_none() || cx.now < failure.retry {
            return Some((failure.reason.clone(), Some(failure.message.clone())));
        }
    }
    image_failure(cx, container, wake).or(crash)
}

fn image_failure(cx: &Context, container: &Spec, wake: &mut Option<Timestamp>) -> Option<(String, Option<String>)> {
    let Some(Image::Failed { reason, message, at, .. }) = cx.seen.images.get(&container.name) else { return None };
    let backs_off = reason == "ErrImagePull" && !first_shown(*at, cx.now, wake);
    if !backs_off {
        return Some((reason.clone(), Some(message.clone())));
    }
    let image = container.image.as_deref().unwrap_or_default();
    Some(("ImagePullBackOff".into(), Some(format!("Back-off pulling image {image:?}: {reason}: {message}"))))
}

fn first_shown(at: Timestamp, now: Timestamp, wake: &mut Option<Timestamp>) -> bool {
    let until = at + SignedDuration::from_secs(SHOWN_S);
    if now < until {
        *wake = Some(wake.map_or(until, |w| w.min(until)));
    }
    now < until
}

fn crash_loop(
    cx: &Context,
    container: &Spec,
    newest: Option<&Container>,
    wake: &mut Option<Timestamp>,
) -> Option<(String, Option<String>)> {
    let Some(Restart::At(_, delay)) = run::held_back(cx.seen, container, cx.now) else { return None };
    if newest.and_then(|c| c.finished).is_some_and(|at| first_shown(at, cx.now, wake)) {
        return None;
    }
    let (name, pod) = (&container.name, spec::full_name(cx.pod));
    let message = format!("back-off {} restarting failed container={name} pod={pod}", go_seconds(delay));
    Some(("CrashLoopBackOff".into(), Some(message)))
}

fn readiness(cx: &Context, container: &Spec, newest: Option<&Container>, sort: Sort, out: &mut ContainerStatus) {
    let running = newest.is_some_and(Container::running) && out.state.as_ref().is_some_and(|s| s.running.is_some());
    let probes = newest.and_then(|c| cx.seen.probes.get(&c.id)).copied().unwrap_or_default();
    let started = running && (container.startup_probe.is_none() || probes.startup == Some(true));
    match sort {
        Sort::Ephemeral => {}
        Sort::Init if !spec::restartable(container) => {
            out.started = Some(running);
            let ended = out.state.as_ref().and_then(|s| s.terminated.as_ref());
            out.ready = ended.is_some_and(|t| t.exit_code == 0);
        }
        _ => {
            out.started = Some(started);
            out.ready = started && (container.readiness_probe.is_none() || probes.readiness == Some(true));
        }
    }
}
