//! The kubelet's hands in memory: each step takes a moment of virtual time, which the seed decides.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use kubelet::drive::context::Context;
use kubelet::drive::cri::Observed;
use kubelet::drive::hands::{Failed, Hands, Outcome, Real, Scene};
use kubelet::plan::seen::Container;
use kubelet::plan::spec;
use kubelet::plan::step::Step;

use crate::engine::Engine;
use crate::world;

/// The longest that a step takes.
const STEP_MS_MAX: u64 = 40;
/// Images from there cannot be pulled. The name is never given to a registry (RFC 2606).
const NOWHERE: &str = "registry.invalid/";

pub struct InMemory {
    pub engine: Engine,
    pub cx: Arc<Context>,
}

impl Hands for InMemory {
    fn observe<'a>(&'a self, uid: &'a str, _: &'a [Container]) -> BoxFuture<'a, Result<Observed, String>> {
        Box::pin(async move { Ok(self.engine.observe(uid)) })
    }

    fn carry_out(&self, scene: Scene, step: Step) -> BoxFuture<'static, Outcome> {
        let (engine, cx) = (self.engine.clone(), self.cx.clone());
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(world::random() % STEP_MS_MAX)).await;
            carry_out(&engine, &cx, scene, step).await
        })
    }
}

fn outcome(result: Result<(), String>, reason: &str) -> Outcome {
    let failed = |message| Outcome::Failed(Failed { reason: reason.to_owned(), message });
    result.map_or_else(failed, |()| Outcome::Done)
}

async fn carry_out(engine: &Engine, cx: &Arc<Context>, scene: Scene, step: Step) -> Outcome {
    let (pod, uid) = (scene.pod.clone(), spec::uid(&scene.pod).to_owned());
    match step {
        Step::CreateSandbox { attempt } => outcome(engine.create_sandbox(&pod, attempt), ""),
        Step::PrepareVolumes => Outcome::Volumes(None),
        Step::EnsureImage { container, .. } => {
            let image = spec::find(&pod, &container).and_then(|c| c.image).unwrap_or_default();
            let message = format!("failed to pull and unpack image {image:?}: no such host");
            outcome(if image.starts_with(NOWHERE) { Err(message) } else { Ok(()) }, "ErrImagePull")
        }
        Step::StartContainer { container, attempt, .. } => {
            let started = engine.start(&pod, &container, &scene.sandbox, attempt);
            if started.is_ok() {
                cx.recorder.pod(&pod, Some(&container), "Normal", "Started", format!("Started container {container}"));
            }
            outcome(started, "RunContainerError")
        }
        Step::StopContainer { id, container, grace_s, message, .. } => {
            cx.recorder.pod(&pod, Some(&container), "Normal", "Killing", message);
            engine.stop(&uid, &id, Duration::from_secs(u64::try_from(grace_s).unwrap_or(0))).await;
            Outcome::Done
        }
        Step::RemoveContainer { id, .. } => {
            engine.remove_container(&uid, &id);
            Outcome::Done
        }
        Step::StopSandbox { id } => {
            engine.stop_sandbox(&uid, &id);
            Outcome::Done
        }
        Step::RemoveSandbox { id } => {
            engine.remove_sandbox(&uid, &id);
            Outcome::Done
        }
        Step::TearDown => Outcome::Done,
        // The API is the real one.
        Step::Forget => Real(cx.clone()).carry_out(scene, Step::Forget).await,
    }
}
