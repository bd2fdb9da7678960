//! Starting one container: config, create, start, log link, postStart hook.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use k8s_openapi::api::core::v1::{Container, Pod};
use rpc::cri::{CreateContainerRequest, Image, StartContainerRequest, StopContainerRequest};
use tonic::Request;

use super::context::Context;
use super::hands::{Failed, Scene};
use super::{hooks, images, mounts};
use crate::plan::config::container::{self, Prepared};
use crate::plan::config::env;
use crate::plan::config::sandbox;
use crate::plan::config::security::{self, ImageUser};
use crate::plan::{image, spec, volumes};

/// What the runtime has under the image's name, and who it runs as.
async fn image_of(cx: &Context, container: &Container) -> Result<(Image, ImageUser), Failed> {
    let wanted = container.image.as_deref().unwrap_or_default();
    let tagged = image::with_tag(wanted).unwrap_or_else(|_| wanted.to_owned());
    let found = images::find(cx, &tagged).await.map_err(|e| e.message().to_owned());
    let found = found.and_then(|i| i.ok_or_else(|| format!("image {wanted:?} has vanished")));
    let found = found.map_err(|message| Failed { reason: "ImageInspectError".into(), message })?;
    let user = ImageUser { uid: found.uid.as_ref().map(|u| u.value), name: found.username.clone() };
    Ok((found, user))
}

/// Starts the container in the scene's sandbox; the runtime shows the rest.
///
/// # Errors
/// Reason and message of the waiting container.
pub async fn start(cx: &Context, scene: &Scene, name: &str, restarts: u32) -> Result<(), Failed> {
    let pod = scene.pod.as_ref();
    let config_error = |message| Failed { reason: "CreateContainerConfigError".into(), message };
    let container =
        spec::find(pod, name).ok_or_else(|| config_error(format!("container {name} is not in the spec")))?;
    let done = run(cx, scene, pod, &container, restarts).await;
    if let Err(failed) = &done
        && failed.reason != "PostStartHookError"
    {
        cx.recorder.pod(pod, Some(name), "Warning", "Failed", format!("Error: {}", failed.message));
    }
    done
}

async fn prepare(
    cx: &Context,
    scene: &Scene,
    pod: &Pod,
    container: &Container,
    restarts: u32,
) -> Result<rpc::cri::ContainerConfig, Failed> {
    let config_error = |message| Failed { reason: "CreateContainerConfigError".into(), message };
    let (image, user) = image_of(cx, container).await?;
    security::verify_non_root(pod, container, &user).map_err(config_error)?;
    let refs = cx.refs(spec::namespace(pod), &volumes::names(pod)).await;
    let ips = scene.ips(&cx.facts);
    let made = env::environment(pod, container, &refs, &cx.facts, &ips).map_err(config_error)?;
    for message in &made.invalid {
        cx.recorder.pod(pod, Some(&container.name), "Warning", "InvalidEnvironmentVariableNames", message);
    }
    let mounts = mounts::of_container(cx, pod, container, restarts, &made.variables, &ips).map_err(config_error)?;
    let seccomp = format!("{}/seccomp", cx.config.folders.kubelet);
    let target = scene.target(container);
    let security = security::of_container(pod, container, &user, target.as_deref(), &seccomp);
    let ready = Prepared { restarts, image: image.id, environment: made.variables, mounts, security };
    Ok(container::config(pod, container, &cx.facts, ready))
}

async fn run(cx: &Context, scene: &Scene, pod: &Pod, container: &Container, restarts: u32) -> Result<(), Failed> {
    let config = prepare(cx, scene, pod, container, restarts).await?;
    let create_error = |message| Failed { reason: "CreateContainerError".into(), message };
    let sandbox_config = sandbox::config(pod, scene.attempt, &cx.facts, &cx.config.folders).map_err(create_error)?;
    let log = Path::new(&sandbox_config.log_directory).join(&config.log_path);
    make_log_folder(&log).map_err(create_error)?;
    let request = CreateContainerRequest {
        pod_sandbox_id: scene.sandbox.clone(),
        config: Some(config),
        sandbox_config: Some(sandbox_config),
    };
    let created = cx.runtime.service.create_container(Request::new(request)).await;
    let id = created.map_err(|e| create_error(e.message().to_owned()))?.into_inner().container_id;
    let name = container.name.as_str();
    cx.recorder.pod(pod, Some(name), "Normal", "Created", format!("Created container: {name}"));
    let request = StartContainerRequest { container_id: id.clone() };
    let started = cx.runtime.service.start_container(Request::new(request)).await;
    started.map_err(|e| Failed { reason: "RunContainerError".into(), message: e.message().to_owned() })?;
    cx.recorder.pod(pod, Some(name), "Normal", "Started", format!("Started container {name}"));
    link_log(cx, pod, name, &id, &log);
    post_start(cx, scene, pod, container, &id).await
}

fn make_log_folder(log: &Path) -> Result<(), String> {
    let folder = log.parent().unwrap_or(log);
    fs::create_dir_all(folder).map_err(|e| format!("create container log directory {} failed: {e}", folder.display()))
}

/// The link under which log collectors find the file. A container runs without it too.
fn link_log(cx: &Context, pod: &Pod, name: &str, id: &str, log: &Path) {
    let link = cx.config.folders.log_link(spec::namespace(pod), spec::name(pod), name, id);
    let made = fs::create_dir_all(&cx.config.folders.container_logs).and_then(|()| symlink(log, &link));
    if let Err(e) = made {
        tracing::warn!("the log link {link} was not made: {e}");
    }
}

async fn post_start(cx: &Context, scene: &Scene, pod: &Pod, container: &Container, id: &str) -> Result<(), Failed> {
    let Some(hook) = container.lifecycle.as_ref().and_then(|l| l.post_start.as_ref()) else { return Ok(()) };
    let ips = scene.ips(&cx.facts);
    let ip = ips.first().map_or("", String::as_str);
    let Err(message) = hooks::run(cx, pod, container, id, ip, hook).await else { return Ok(()) };
    let name = container.name.as_str();
    cx.recorder.pod(pod, Some(name), "Warning", "FailedPostStartHook", "PostStartHook failed");
    cx.recorder.pod(pod, Some(name), "Normal", "Killing", "FailedPostStartHook");
    let stop = StopContainerRequest { container_id: id.to_owned(), timeout: spec::grace_s(pod) };
    if let Err(e) = cx.runtime.service.stop_container(Request::new(stop)).await {
        tracing::warn!("container {id} was not stopped after its postStart hook failed: {}", e.message());
    }
    Err(Failed { reason: "PostStartHookError".into(), message })
}
