//! Security contexts of sandbox and containers, pod's and container's merged.
//!
//! Source: <https://kubernetes.io/docs/tasks/configure-pod-container/security-context/>.

use k8s_openapi::api::core::v1::{Container, Pod, SeccompProfile, SecurityContext};
use rpc::cri::security_profile::ProfileType;
use rpc::cri::{
    Capability, Int64Value, LinuxContainerSecurityContext, LinuxSandboxSecurityContext, NamespaceMode, NamespaceOption,
    SecurityProfile, SupplementalGroupsPolicy,
};

use crate::plan::spec;

const MASKED: [&str; 11] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
];
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// The user that the image would run as, when the container does not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageUser {
    pub uid: Option<i64>,
    pub name: String,
}

/// The container's own settings over the pod's.
pub fn effective(pod: &Pod, container: &Container) -> SecurityContext {
    let of_pod = spec::spec(pod).security_context.clone().unwrap_or_default();
    let own = container.security_context.clone().unwrap_or_default();
    SecurityContext {
        run_as_user: own.run_as_user.or(of_pod.run_as_user),
        run_as_group: own.run_as_group.or(of_pod.run_as_group),
        run_as_non_root: own.run_as_non_root.or(of_pod.run_as_non_root),
        seccomp_profile: own.seccomp_profile.or(of_pod.seccomp_profile),
        app_armor_profile: own.app_armor_profile.or(of_pod.app_armor_profile),
        ..own
    }
}

/// Refuses a container that must not run as root but would.
///
/// # Errors
/// The message of a `CreateContainerConfigError`.
pub fn verify_non_root(pod: &Pod, container: &Container, image: &ImageUser) -> Result<(), String> {
    let context = effective(pod, container);
    if context.run_as_non_root != Some(true) {
        return Ok(());
    }
    let (full, name) = (spec::full_name(pod), &container.name);
    let uid = context.run_as_user.or(image.uid);
    match (context.run_as_user, uid) {
        (Some(0), _) => Err(format!("container's runAsUser breaks non-root policy (pod: {full:?}, container: {name})")),
        (None, Some(0)) => {
            Err(format!("container has runAsNonRoot and image will run as root (pod: {full:?}, container: {name})"))
        }
        (None, None) if !image.name.is_empty() => Err(format!(
            "container has runAsNonRoot and image has non-numeric user ({}), cannot verify user is non-root \
             (pod: {full:?}, container: {name})",
            image.name
        )),
        _ => Ok(()),
    }
}

/// Namespaces: what is the host's, what the pod shares.
pub fn namespaces(pod: &Pod) -> NamespaceOption {
    let spec = spec::spec(pod);
    let of =
        |host: Option<bool>, other: NamespaceMode| if host == Some(true) { NamespaceMode::Node } else { other } as i32;
    let pid = if spec.share_process_namespace == Some(true) { NamespaceMode::Pod } else { NamespaceMode::Container };
    NamespaceOption {
        network: of(spec.host_network, NamespaceMode::Pod),
        ipc: of(spec.host_ipc, NamespaceMode::Pod),
        pid: of(spec.host_pid, pid),
        ..NamespaceOption::default()
    }
}

fn seccomp(profile: Option<&SeccompProfile>, folder: &str) -> SecurityProfile {
    let localhost = |p: &SeccompProfile| format!("{folder}/{}", p.localhost_profile.as_deref().unwrap_or_default());
    match profile.map(|p| (p.type_.as_str(), p)) {
        Some(("RuntimeDefault", _)) => of_type(ProfileType::RuntimeDefault, String::new()),
        Some(("Localhost", p)) => of_type(ProfileType::Localhost, localhost(p)),
        _ => of_type(ProfileType::Unconfined, String::new()),
    }
}

fn of_type(profile_type: ProfileType, localhost_ref: String) -> SecurityProfile {
    SecurityProfile { profile_type: profile_type as i32, localhost_ref }
}

/// Seccomp is on by default here: a pod that says nothing gets the runtime's profile, not none.
fn seccomp_or_default(context: &SecurityContext, folder: &str) -> SecurityProfile {
    match &context.seccomp_profile {
        None if context.privileged == Some(true) => of_type(ProfileType::Unconfined, String::new()),
        None => of_type(ProfileType::RuntimeDefault, String::new()),
        some => seccomp(some.as_ref(), folder),
    }
}

fn groups(pod: &Pod) -> (Vec<i64>, i32) {
    let context = spec::spec(pod).security_context.as_ref();
    let mut groups: Vec<i64> = context.and_then(|c| c.fs_group).into_iter().collect();
    groups.extend(context.and_then(|c| c.supplemental_groups.clone()).into_iter().flatten());
    let strict = context.and_then(|c| c.supplemental_groups_policy.as_deref()) == Some("Strict");
    let policy = if strict { SupplementalGroupsPolicy::Strict } else { SupplementalGroupsPolicy::Merge };
    (groups, policy as i32)
}

pub fn of_sandbox(pod: &Pod, seccomp_folder: &str) -> LinuxSandboxSecurityContext {
    let context = spec::spec(pod).security_context.clone().unwrap_or_default();
    let all = spec::containers(pod).iter().chain(spec::init_containers(pod));
    let privileged = all.filter_map(|c| c.security_context.as_ref()).any(|c| c.privileged == Some(true));
    let (supplemental_groups, supplemental_groups_policy) = groups(pod);
    let of_pod = SecurityContext { seccomp_profile: context.seccomp_profile, ..SecurityContext::default() };
    LinuxSandboxSecurityContext {
        namespace_options: Some(namespaces(pod)),
        run_as_user: context.run_as_user.map(|value| Int64Value { value }),
        run_as_group: context.run_as_group.map(|value| Int64Value { value }),
        supplemental_groups,
        supplemental_groups_policy,
        privileged,
        seccomp: Some(seccomp_or_default(&of_pod, seccomp_folder)),
        ..LinuxSandboxSecurityContext::default()
    }
}

/// The container's context; `target` is the container whose process namespace an ephemeral one joins.
pub fn of_container(
    pod: &Pod,
    container: &Container,
    image: &ImageUser,
    target: Option<&str>,
    seccomp_folder: &str,
) -> LinuxContainerSecurityContext {
    let context = effective(pod, container);
    let mut namespaces = namespaces(pod);
    if let Some(target) = target {
        namespaces.pid = NamespaceMode::Target as i32;
        namespaces.target_id = target.to_owned();
    }
    let (supplemental_groups, supplemental_groups_policy) = groups(pod);
    let unmasked = context.proc_mount.as_deref() == Some("Unmasked");
    let list = |paths: &[&str]| if unmasked { Vec::new() } else { paths.iter().map(|&p| p.into()).collect() };
    let own_user = context.run_as_user;
    LinuxContainerSecurityContext {
        capabilities: context.capabilities.as_ref().map(|c| Capability {
            add_capabilities: c.add.clone().unwrap_or_default(),
            drop_capabilities: c.drop.clone().unwrap_or_default(),
            ..Capability::default()
        }),
        privileged: context.privileged.unwrap_or(false),
        namespace_options: Some(namespaces),
        run_as_user: own_user.or(image.uid).map(|value| Int64Value { value }),
        run_as_username: if own_user.is_none() && image.uid.is_none() { image.name.clone() } else { String::new() },
        run_as_group: context.run_as_group.map(|value| Int64Value { value }),
        readonly_rootfs: context.read_only_root_filesystem.unwrap_or(false),
        supplemental_groups,
        supplemental_groups_policy,
        no_new_privs: context.allow_privilege_escalation == Some(false),
        masked_paths: list(&MASKED),
        readonly_paths: list(&READ_ONLY),
        seccomp: Some(seccomp_or_default(&context, seccomp_folder)),
        ..LinuxContainerSecurityContext::default()
    }
}
