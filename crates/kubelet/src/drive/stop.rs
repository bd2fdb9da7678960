//! Stopping one container: event, preStop hook, TERM, and KILL when the grace period is over.

use std::time::{Duration, Instant};

use rpc::cri::StopContainerRequest;
use tonic::Request;

use super::context::Context;
use super::hands::Scene;
use super::hooks;
use crate::plan::spec;

/// What is left for TERM even when the hook used all of the grace period up.
const TERM_S_MIN: i64 = 2;

/// Stops the container; returns when it has ended.
///
/// # Errors
/// The runtime could not stop it.
pub async fn stop(
    cx: &Context,
    scene: &Scene,
    id: &str,
    name: &str,
    grace_s: i64,
    message: &str,
) -> Result<(), String> {
    let pod = scene.pod.as_ref();
    cx.recorder.pod(pod, Some(name), "Normal", "Killing", message);
    let begun = Instant::now();
    let container = spec::find(pod, name);
    let hook = container.as_ref().and_then(|c| Some((c, c.lifecycle.as_ref()?.pre_stop.as_ref()?)));
    let mut left = grace_s;
    if let Some((container, hook)) = hook.filter(|_| grace_s > 0) {
        let ips = scene.ips(&cx.facts);
        let ip = ips.first().map_or("", String::as_str);
        let limit = Duration::from_secs(grace_s.unsigned_abs());
        match tokio::time::timeout(limit, hooks::run(cx, pod, container, id, ip, hook)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => cx.recorder.pod(pod, Some(name), "Warning", "FailedPreStopHook", "PreStopHook failed"),
            Err(_) => tracing::warn!("the preStop hook of {id} did not end within the grace period"),
        }
        let used = i64::try_from(begun.elapsed().as_secs()).unwrap_or(grace_s);
        left = (grace_s - used).max(TERM_S_MIN);
    }
    let request = StopContainerRequest { container_id: id.to_owned(), timeout: left };
    match cx.runtime.service.stop_container(Request::new(request)).await {
        Err(e) if e.code() != tonic::Code::NotFound => Err(e.message().to_owned()),
        _ => Ok(()),
    }
}
