//! Small questions about a pod's spec that several plans ask.

use k8s_openapi::api::core::v1::{Container, EphemeralContainer, Pod, PodSpec};

/// Upstream's default `terminationGracePeriodSeconds`, also set by the API server.
const GRACE_S_DEFAULT: i64 = 30;

pub fn spec(pod: &Pod) -> &PodSpec {
    static EMPTY: std::sync::LazyLock<PodSpec> = std::sync::LazyLock::new(PodSpec::default);
    pod.spec.as_ref().unwrap_or(&EMPTY)
}

pub fn uid(pod: &Pod) -> &str {
    pod.metadata.uid.as_deref().unwrap_or_default()
}

pub fn name(pod: &Pod) -> &str {
    pod.metadata.name.as_deref().unwrap_or_default()
}

pub fn namespace(pod: &Pod) -> &str {
    pod.metadata.namespace.as_deref().unwrap_or_default()
}

/// `name_namespace(uid)`, as messages name a pod.
pub fn full_name(pod: &Pod) -> String {
    format!("{}_{}({})", name(pod), namespace(pod), uid(pod))
}

pub fn init_containers(pod: &Pod) -> &[Container] {
    spec(pod).init_containers.as_deref().unwrap_or_default()
}

pub fn containers(pod: &Pod) -> &[Container] {
    &spec(pod).containers
}

pub fn ephemeral_containers(pod: &Pod) -> Vec<Container> {
    spec(pod).ephemeral_containers.iter().flatten().map(as_container).collect()
}

/// An ephemeral container in the shape of the others; what it may not have is absent.
fn as_container(e: &EphemeralContainer) -> Container {
    Container {
        name: e.name.clone(),
        image: e.image.clone(),
        image_pull_policy: e.image_pull_policy.clone(),
        command: e.command.clone(),
        args: e.args.clone(),
        working_dir: e.working_dir.clone(),
        env: e.env.clone(),
        env_from: e.env_from.clone(),
        volume_mounts: e.volume_mounts.clone(),
        security_context: e.security_context.clone(),
        stdin: e.stdin,
        stdin_once: e.stdin_once,
        tty: e.tty,
        termination_message_path: e.termination_message_path.clone(),
        termination_message_policy: e.termination_message_policy.clone(),
        ..Container::default()
    }
}

/// A container of any of the three sorts.
pub fn find(pod: &Pod, wanted: &str) -> Option<Container> {
    let all = init_containers(pod).iter().chain(containers(pod)).cloned().chain(ephemeral_containers(pod));
    all.into_iter().find(|c| c.name == wanted)
}

/// A sidecar: an init container with `restartPolicy: Always`.
pub fn restartable(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

pub fn restart_policy(pod: &Pod) -> &str {
    spec(pod).restart_policy.as_deref().unwrap_or("Always")
}

/// Whether a failed container is started again.
pub fn restarts_failed(pod: &Pod) -> bool {
    restart_policy(pod) != "Never"
}

/// Whether a container that ended with this code is started again.
pub fn restarts_ended(pod: &Pod, exit_code: i32) -> bool {
    match restart_policy(pod) {
        "Never" => false,
        "OnFailure" => exit_code != 0,
        _ => true,
    }
}

pub fn host_network(pod: &Pod) -> bool {
    spec(pod).host_network.unwrap_or(false)
}

pub fn deleted(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

/// The grace period in seconds that a stop of the pod's containers has now.
pub fn grace_s(pod: &Pod) -> i64 {
    let of_spec = spec(pod).termination_grace_period_seconds.unwrap_or(GRACE_S_DEFAULT);
    let of_deletion = pod.metadata.deletion_grace_period_seconds.filter(|_| deleted(pod));
    of_deletion.unwrap_or(of_spec).max(0)
}

/// `io.kubernetes.container.hash`: FNV-1a over name and image, all that a running container may not change.
pub fn hash(container: &Container) -> String {
    let image = serde_json::Value::from(container.image.clone().unwrap_or_default());
    let name = serde_json::Value::from(container.name.clone());
    let text = format!("{{\"image\":{image},\"name\":{name}}}");
    let hash = text.bytes().fold(0x811c_9dc5_u32, |h, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193));
    format!("{hash:x}")
}

/// `static` pods come from a folder and are only mirrored in the API.
pub fn mirror(pod: &Pod) -> bool {
    pod.metadata.annotations.as_ref().is_some_and(|a| a.contains_key("kubernetes.io/config.mirror"))
}
