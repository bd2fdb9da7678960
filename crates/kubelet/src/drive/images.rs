//! Making a container's image present, by its pull policy.

use k8s_openapi::api::core::v1::{Container, Pod};
use rpc::cri::{AuthConfig, Image, ImageSpec, ImageStatusRequest, PullImageRequest};
use tonic::{Request, Status};

use super::context::Context;
use super::hands::Failed;
use crate::plan::config::sandbox;
use crate::plan::image::{self, Policy};
use crate::plan::spec;
use crate::plan::volumes::Names;

fn image_spec(image: &str) -> Option<ImageSpec> {
    Some(ImageSpec { image: image.to_owned(), user_specified_image: image.to_owned(), ..ImageSpec::default() })
}

/// The image as the runtime has it, if it has it.
///
/// # Errors
/// The runtime's.
pub async fn find(cx: &Context, image: &str) -> Result<Option<Image>, Status> {
    let request = ImageStatusRequest { image: image_spec(image), verbose: false };
    Ok(cx.runtime.images.image_status(Request::new(request)).await?.into_inner().image)
}

/// Makes the image present or says why not, in statuses' and events' words.
///
/// # Errors
/// `InvalidImageName`, `ErrImageNeverPull`, `ImageInspectError` or `ErrImagePull`.
pub async fn ensure(cx: &Context, pod: &Pod, container: &Container) -> Result<(), Failed> {
    let wanted = container.image.as_deref().unwrap_or_default();
    let tell = |sort, reason: &str, message: String| cx.recorder.pod(pod, Some(&container.name), sort, reason, message);
    let tagged = image::with_tag(wanted).map_err(|e| {
        let message = format!("Failed to apply default image tag {wanted:?}: {e}");
        tell("Warning", "InspectFailed", message.clone());
        tell("Warning", "Failed", "Error: InvalidImageName".into());
        Failed { reason: "InvalidImageName".into(), message }
    })?;
    let policy = image::policy(container);
    let present = find(cx, &tagged).await.map_err(|e| {
        let message = format!("Failed to inspect image {wanted:?}: {}", e.message());
        tell("Warning", "InspectFailed", message.clone());
        Failed { reason: "ImageInspectError".into(), message }
    })?;
    match (policy, present.is_some()) {
        (Policy::Never, false) => {
            let message = format!("Container image {wanted:?} is not present with pull policy of Never");
            tell("Warning", "ErrImageNeverPull", message.clone());
            tell("Warning", "Failed", "Error: ErrImageNeverPull".into());
            Err(Failed { reason: "ErrImageNeverPull".into(), message })
        }
        (Policy::Never | Policy::IfNotPresent, true) => {
            tell("Normal", "Pulled", format!("Container image {wanted:?} already present on machine"));
            Ok(())
        }
        _ => pull(cx, pod, container, &tagged).await,
    }
}

async fn pull(cx: &Context, pod: &Pod, container: &Container, tagged: &str) -> Result<(), Failed> {
    let wanted = container.image.as_deref().unwrap_or_default();
    let tell = |sort, reason: &str, message: String| cx.recorder.pod(pod, Some(&container.name), sort, reason, message);
    tell("Normal", "Pulling", format!("Pulling image {wanted:?}"));
    let begun = cx.now();
    let pulled = match pull_with_any(cx, pod, tagged).await {
        Ok(()) => find(cx, tagged).await.ok().flatten(),
        Err(e) => {
            let message = e.message().to_owned();
            tell("Warning", "Failed", format!("Failed to pull image {wanted:?}: {message}"));
            tell("Warning", "Failed", "Error: ErrImagePull".into());
            return Err(Failed { reason: "ErrImagePull".into(), message });
        }
    };
    cx.node_changed.notify_one();
    let took = (cx.now().duration_since(begun).as_nanos() / 1_000_000 * 1_000_000).clamp(0, i64::MAX.into());
    let took = machinery::duration::format(i64::try_from(took).unwrap_or(i64::MAX));
    let size = pulled.map_or(0, |i| i.size);
    let message =
        format!("Successfully pulled image {wanted:?} in {took} ({took} including waiting). Image size: {size} bytes.");
    tell("Normal", "Pulled", message);
    Ok(())
}

/// Tries the credentials one after the other, and none when there are none.
async fn pull_with_any(cx: &Context, pod: &Pod, tagged: &str) -> Result<(), Status> {
    let names = spec::spec(pod).image_pull_secrets.iter().flatten().map(|s| s.name.clone());
    let names = Names { secrets: names.filter(|n| !n.is_empty()).collect(), ..Names::default() };
    let refs = cx.references.read(spec::namespace(pod), &names).await;
    let found = image::credentials(tagged, refs.secrets.values().map(AsRef::as_ref));
    let tries: Vec<Option<AuthConfig>> =
        if found.is_empty() { vec![None] } else { found.into_iter().map(Some).collect() };
    let sandbox_config = sandbox::config(pod, 0, &cx.facts, &cx.config.folders).ok();
    let mut last = Ok(());
    for auth in tries {
        let request = PullImageRequest { image: image_spec(tagged), auth, sandbox_config: sandbox_config.clone() };
        last = cx.runtime.images.pull_image(Request::new(request)).await.map(drop);
        if last.is_ok() {
            break;
        }
    }
    last
}
