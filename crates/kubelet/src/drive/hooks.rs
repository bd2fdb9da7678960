//! Lifecycle hooks: postStart and preStop.
//!
//! Source: <https://kubernetes.io/docs/concepts/containers/container-lifecycle-hooks/>.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, LifecycleHandler, Pod};
use rpc::cri::ExecSyncRequest;
use tonic::Request;

use super::context::Context;
use super::http;
use crate::plan::spec;

/// An HTTP hook may take this long; an exec hook as long as it likes, within the grace period.
const HTTP_TIMEOUT_S: u64 = 30;

/// Runs a hook in the container with this id.
///
/// # Errors
/// The hook failed; the message of the event.
pub async fn run(
    cx: &Context,
    pod: &Pod,
    container: &Container,
    id: &str,
    ip: &str,
    hook: &LifecycleHandler,
) -> Result<(), String> {
    if let Some(exec) = &hook.exec {
        let cmd = exec.command.clone().unwrap_or_default();
        let told = |why: String| {
            let (name, pod) = (&container.name, spec::full_name(pod));
            format!("Exec lifecycle hook ({cmd:?}) for Container {name:?} in Pod {pod:?} failed - error: {why}")
        };
        let request = ExecSyncRequest { container_id: id.to_owned(), cmd: cmd.clone(), timeout: 0 };
        let answer = cx.runtime.service.exec_sync(Request::new(request)).await;
        let answer = answer.map_err(|e| told(e.message().to_owned()))?.into_inner();
        if answer.exit_code == 0 {
            return Ok(());
        }
        let output = String::from_utf8_lossy(&[answer.stdout, answer.stderr].concat()).into_owned();
        let words = cmd.join(" ");
        let code = answer.exit_code;
        return Err(told(format!("command '{words}' exited with {code}: {output}, message: {output:?}")));
    }
    if let Some(get) = &hook.http_get {
        return match http::get(get, container, ip, Duration::from_secs(HTTP_TIMEOUT_S)).await {
            Ok(got) if got.code < 500 => Ok(()),
            Ok(got) => {
                let (name, code, body) = (&container.name, got.code, got.body);
                Err(format!("HTTP lifecycle hook for Container {name:?} answered {code}: {body}"))
            }
            Err(e) => Err(format!("HTTP lifecycle hook for Container {:?} failed - error: {e}", container.name)),
        };
    }
    if let Some(sleep) = &hook.sleep {
        // The sleep is what was asked for, not a wait for something that could be heard of.
        tokio::time::sleep(Duration::from_secs(sleep.seconds.unsigned_abs())).await;
        return Ok(());
    }
    Err(format!("invalid lifecycle hook for Container {:?}", container.name))
}
