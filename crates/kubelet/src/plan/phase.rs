//! The phase that container statuses add up to.
//!
//! Source: <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-phase>.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

use super::spec;

#[derive(Default)]
struct Count {
    uninitialized: usize,
    init_failed: usize,
    unknown: usize,
    running: usize,
    waiting: usize,
    stopped: usize,
    succeeded: usize,
}

/// What one container's status says.
enum Is {
    Running,
    Ended(i32),
    /// Ended before and waiting for its next start.
    Between(i32),
    Waiting,
    Unknown,
}

fn is(statuses: &[ContainerStatus], name: &str) -> Is {
    let Some(status) = statuses.iter().find(|s| s.name == name) else { return Is::Unknown };
    let Some(state) = &status.state else { return Is::Unknown };
    let last = status.last_state.as_ref().and_then(|s| s.terminated.as_ref());
    match (&state.running, &state.terminated, &state.waiting) {
        (Some(_), _, _) => Is::Running,
        (_, Some(t), _) => Is::Ended(t.exit_code),
        (_, _, Some(_)) => last.map_or(Is::Waiting, |t| Is::Between(t.exit_code)),
        _ => Is::Unknown,
    }
}

/// Whether a regular container has ever started.
pub fn any_started(pod: &Pod, statuses: &[ContainerStatus]) -> bool {
    spec::containers(pod).iter().any(|c| matches!(is(statuses, &c.name), Is::Running | Is::Ended(_) | Is::Between(_)))
}

fn count(pod: &Pod, init: &[ContainerStatus], regular: &[ContainerStatus]) -> Count {
    let mut n = Count::default();
    for container in spec::init_containers(pod) {
        let sidecar = spec::restartable(container);
        match is(init, &container.name) {
            Is::Running if sidecar => {
                let started = init.iter().any(|s| s.name == container.name && s.started == Some(true));
                n.uninitialized += usize::from(!started);
                n.running += 1;
            }
            Is::Ended(_) | Is::Between(_) if sidecar => {}
            Is::Ended(code) | Is::Between(code) => n.init_failed += usize::from(code != 0),
            Is::Waiting | Is::Unknown | Is::Running => n.uninitialized += 1,
        }
    }
    for container in spec::containers(pod) {
        match is(regular, &container.name) {
            Is::Running => n.running += 1,
            Is::Ended(code) => {
                n.stopped += 1;
                n.succeeded += usize::from(code == 0);
            }
            Is::Between(_) => n.stopped += 1,
            Is::Waiting => n.waiting += 1,
            Is::Unknown => n.unknown += 1,
        }
    }
    n
}

/// `Pending`, `Running`, `Succeeded` or `Failed`; `terminal` says that nothing will be started again.
pub fn phase(pod: &Pod, init: &[ContainerStatus], regular: &[ContainerStatus], terminal: bool) -> &'static str {
    let n = count(pod, init, regular);
    if n.init_failed > 0 && (terminal || !spec::restarts_failed(pod)) {
        return "Failed";
    }
    if n.uninitialized > 0 && !any_started(pod, regular) || n.waiting > 0 {
        return "Pending";
    }
    if n.unknown > 0 {
        return "Pending";
    }
    if n.running > 0 && (!terminal || n.stopped < spec::containers(pod).len()) {
        return "Running";
    }
    let all_succeeded = n.stopped == n.succeeded;
    match spec::restart_policy(pod) {
        _ if n.stopped == 0 => "Pending",
        _ if terminal && all_succeeded => "Succeeded",
        _ if terminal => "Failed",
        "Always" => "Running",
        _ if all_succeeded => "Succeeded",
        "Never" => "Failed",
        _ => "Running",
    }
}
