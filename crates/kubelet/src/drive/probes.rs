//! Probes of one running container: each runs in a task of its own and tells the pod's task its verdicts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container as Spec, GRPCAction, Pod, Probe};
use rpc::cri::ExecSyncRequest;
use tokio::task::AbortHandle;
use tonic::Request;

use super::context::Context;
use super::event::Event;
use super::{grpc, http};
use crate::plan::probe::{self, Kind, Tally};
use crate::plan::seen::Container;
use crate::plan::spec;

/// The running probes of one pod, by container id and kind. Dropped with the pod's task.
#[derive(Default)]
pub struct Probers {
    running: BTreeMap<(String, Kind), AbortHandle>,
}

impl Drop for Probers {
    fn drop(&mut self) {
        self.running.values().for_each(AbortHandle::abort);
    }
}

/// One probe of one container.
#[derive(Clone)]
struct Target {
    cx: Arc<Context>,
    pod: Arc<Pod>,
    container: Spec,
    probe: Probe,
    kind: Kind,
    id: String,
    ip: String,
}

impl Probers {
    /// Starts what should run and stops what should not: startup alone until it succeeded, then the others;
    /// in an ending pod readiness alone.
    pub fn adjust(&mut self, cx: &Arc<Context>, pod: &Arc<Pod>, seen: &crate::plan::seen::Seen, ending: bool) {
        if self.running.is_empty() && !has_probes(pod) {
            return;
        }
        let ips = seen.sandbox().map(|s| s.ips.clone()).unwrap_or_default();
        let ip = ips.first().or_else(|| cx.facts.ips.first()).cloned().unwrap_or_default();
        let mut wanted = BTreeMap::new();
        for container in seen.containers.iter().filter(|c| c.running()) {
            let Some(spec) = spec::find(pod, &container.name) else { continue };
            let verdicts = seen.probes.get(&container.id).copied().unwrap_or_default();
            let waits = spec.startup_probe.is_some() && verdicts.startup != Some(true);
            let kinds = [
                (Kind::Startup, &spec.startup_probe, waits && verdicts.startup.is_none() && !ending),
                (Kind::Liveness, &spec.liveness_probe, !waits && verdicts.liveness != Some(false) && !ending),
                (Kind::Readiness, &spec.readiness_probe, !waits),
            ];
            for (kind, probe, on) in kinds {
                if let Some(probe) = probe.as_ref().filter(|_| on) {
                    wanted.insert((container.id.clone(), kind), (container.clone(), spec.clone(), probe.clone()));
                }
            }
        }
        self.running.retain(|key, task| {
            let keep = wanted.contains_key(key);
            if !keep {
                task.abort();
            }
            keep
        });
        for (key, (container, spec, probe)) in wanted {
            self.running.entry(key).or_insert_with_key(|(id, kind)| {
                let target = Target {
                    cx: cx.clone(),
                    pod: pod.clone(),
                    container: spec,
                    probe,
                    kind: *kind,
                    id: id.clone(),
                    ip: ip.clone(),
                };
                tokio::spawn(run(target, container)).abort_handle()
            });
        }
    }
}

fn has_probes(pod: &Pod) -> bool {
    let all = spec::containers(pod).iter().chain(spec::init_containers(pod));
    all.into_iter().any(|c| c.startup_probe.is_some() || c.liveness_probe.is_some() || c.readiness_probe.is_some())
}

async fn run(target: Target, container: Container) {
    let cx = &target.cx;
    let first = probe::first(&target.probe, container.started.unwrap_or(container.created));
    if let Ok(wait) = Duration::try_from(first.duration_since(cx.now())) {
        tokio::time::sleep(wait).await;
    }
    let period = Duration::try_from(probe::period(&target.probe)).unwrap_or_default();
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut tally, mut told) = (Tally::default(), None);
    loop {
        ticks.tick().await;
        let result = once(&target).await;
        let name = target.kind.name();
        let event = match &result {
            Ok(None) => None,
            Ok(Some(output)) => Some(("ProbeWarning", format!("{name} probe warning: {output}"))),
            Err(output) => Some(("Unhealthy", format!("{name} probe failed: {output}"))),
        };
        if let Some((reason, message)) = event {
            cx.recorder.pod(&target.pod, Some(&target.container.name), "Warning", reason, message);
        }
        let verdict = tally.count(&target.probe, result.is_ok());
        if verdict.is_some() && verdict != told {
            told = verdict;
            let success = result.is_ok();
            let uid = spec::uid(&target.pod);
            cx.mailboxes.tell(uid, Event::Probe { id: target.id.clone(), kind: target.kind, success });
        }
    }
}

/// Runs the probe once. A success may have a warning; that and the error are what the event says.
async fn once(target: &Target) -> Result<Option<String>, String> {
    let probe = &target.probe;
    let timeout = Duration::try_from(probe::timeout(probe)).unwrap_or_default();
    if let Some(exec) = &probe.exec {
        let command = exec.command.clone().unwrap_or_default();
        return exec_once(target, command, timeout).await.map(|()| None);
    }
    if let Some(get) = &probe.http_get {
        let got = http::get_followed(get, &target.container, &target.ip, timeout).await?;
        return judged(&got);
    }
    if let Some(tcp) = &probe.tcp_socket {
        let host = tcp.host.as_deref().filter(|h| !h.is_empty()).unwrap_or(&target.ip);
        let port = http::port(&tcp.port, &target.container)?;
        return http::dial(&http::host_port(host, port), timeout).await.map(|_| None);
    }
    if let Some(GRPCAction { port, service }) = &probe.grpc {
        let port = u16::try_from(*port).map_err(|e| e.to_string())?;
        let address = http::host_port(&target.ip, port);
        return grpc::check(&address, service.as_deref().unwrap_or_default(), timeout).await.map(|()| None);
    }
    Err("missing probe handler".into())
}

/// A redirection is left over only when it leads elsewhere: the container answered, and more is not known.
fn judged(got: &http::Got) -> Result<Option<String>, String> {
    match got.code {
        200..300 => Ok(None),
        300..400 => Ok(Some(format!("Probe terminated redirects, Response body: {}", got.body))),
        code => Err(format!("HTTP probe failed with statuscode: {code}")),
    }
}

async fn exec_once(target: &Target, command: Vec<String>, timeout: Duration) -> Result<(), String> {
    let seconds = i64::try_from(timeout.as_secs()).unwrap_or(1);
    let request = ExecSyncRequest { container_id: target.id.clone(), cmd: command.clone(), timeout: seconds };
    match target.cx.runtime.service.exec_sync(Request::new(request)).await {
        Ok(answer) => {
            let answer = answer.into_inner();
            let output = [answer.stdout, answer.stderr].concat();
            if answer.exit_code == 0 { Ok(()) } else { Err(String::from_utf8_lossy(&output).into_owned()) }
        }
        Err(e) if e.code() == tonic::Code::DeadlineExceeded => {
            Err(format!("command timed out: {:?} timed out after {seconds}s", command.join(" ")))
        }
        Err(e) => Err(e.message().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leads_elsewhere_is_a_success_with_a_warning() {
        let got = |code| http::Got { code, body: "moved".into(), location: None };
        assert_eq!(judged(&got(200)), Ok(None));
        let warning = "Probe terminated redirects, Response body: moved";
        assert_eq!(judged(&got(302)), Ok(Some(warning.into())));
        assert_eq!(judged(&got(404)), Err("HTTP probe failed with statuscode: 404".into()));
    }
}
