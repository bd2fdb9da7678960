//! Security contexts of pods and containers: users, seccomp, AppArmor, sysctls, capabilities, Windows options.

use machinery::field::Problems;
use serde_json::Value;

use crate::cursor::Field;
use crate::rule;

use super::CONTAINER_LISTS;

const SYSCTL_BYTES_MAX: usize = 253;
const SYSCTL_EXPRESSION: &str = "^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$";
const PROFILE_TYPES: [&str; 3] = ["Localhost", "RuntimeDefault", "Unconfined"];
const CREDENTIAL_SPEC_KIB_MAX: usize = 64;
const USER_NAME_DOMAIN_MAX: usize = 256;
const USER_NAME_MAX: usize = 104;

pub fn pod(spec: &Field, problems: &mut Problems) {
    let context = spec.get("securityContext");
    for field in ["fsGroup", "runAsUser", "runAsGroup"] {
        rule::id(&context.get(field), problems);
    }
    for group in context.get("supplementalGroups").items() {
        rule::id(&group, problems);
    }
    if spec.get("shareProcessNamespace").bool() && spec.get("hostPID").bool() {
        let at = context.get("shareProcessNamespace");
        at.invalid_as(problems, true, "ShareProcessNamespace and HostPID cannot both be enabled");
    }
    sysctls(spec, &context.get("sysctls"), problems);
    const CLOSED: [(&str, &[&str]); 3] = [
        ("fsGroupChangePolicy", &["Always", "OnRootMismatch"]),
        ("supplementalGroupsPolicy", &["Merge", "Strict"]),
        ("seLinuxChangePolicy", &["MountOption", "Recursive"]),
    ];
    for (field, supported) in CLOSED {
        if context.get(field).is_set() {
            rule::one_of(&context.get(field), supported, problems);
        }
    }
    profile(&context.get("seccompProfile"), "seccomp", problems);
    profile(&context.get("appArmorProfile"), "AppArmor", problems);
    windows_options(&context.get("windowsOptions"), problems);
}

pub fn container(container: &Field, host_users: bool, problems: &mut Problems) {
    let context = container.get("securityContext");
    if !context.is_set() {
        return;
    }
    for field in ["runAsUser", "runAsGroup"] {
        rule::id(&context.get(field), problems);
    }
    let mount = context.get("procMount");
    if mount.is_set() {
        rule::one_of(&mount, &["Default", "Unmasked"], problems);
        if host_users && mount.str() == "Unmasked" {
            mount.invalid(problems, "`hostUsers` must be false to use `Unmasked`");
        }
    }
    profile(&context.get("seccompProfile"), "seccomp", problems);
    profile(&context.get("appArmorProfile"), "AppArmor", problems);
    if context.get("allowPrivilegeEscalation").is_false() {
        if context.get("privileged").bool() {
            context.invalid(problems, "cannot set `allowPrivilegeEscalation` to false and `privileged` to true");
        }
        if context.get("capabilities.add").items().any(|c| c.str() == "CAP_SYS_ADMIN") {
            let detail = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
            context.invalid(problems, detail);
        }
    }
    windows_options(&context.get("windowsOptions"), problems);
}

fn sysctls(spec: &Field, sysctls: &Field, problems: &mut Problems) {
    let mut seen: Vec<&str> = Vec::new();
    for sysctl in sysctls.items() {
        let name = sysctl.get("name");
        if name.is_empty() {
            name.required(problems, "");
        } else if !machinery::validation::sysctl(name.str()).is_empty() {
            let detail = format!("must have at most {SYSCTL_BYTES_MAX} characters and match regex {SYSCTL_EXPRESSION}");
            name.invalid(problems, detail);
        } else if seen.contains(&name.str()) {
            name.duplicate(problems);
        }
        seen.push(name.str());
        let of = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.str().replace('/', ".").starts_with(prefix));
        if spec.get("hostNetwork").bool() && of(&["net."]) {
            name.invalid(problems, "may not be specified when 'hostNetwork' is true");
        } else if spec.get("hostIPC").bool() && of(&["kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue."]) {
            name.invalid(problems, "may not be specified when 'hostIPC' is true");
        }
    }
}

/// A seccomp or AppArmor profile: its type, and the path of a local one.
fn profile(profile: &Field, noun: &str, problems: &mut Problems) {
    if !profile.is_set() {
        return;
    }
    let (kind, local) = (profile.get("type"), profile.get("localhostProfile"));
    match kind.str() {
        "" if noun == "seccomp" => kind.required(problems, "type is required when seccompProfile is set"),
        "" => kind.required(problems, "type is required when appArmorProfile is set"),
        known if PROFILE_TYPES.contains(&known) => {}
        _ => kind.not_supported(problems, &PROFILE_TYPES),
    }
    if kind.str() != "Localhost" {
        if local.is_set() {
            let shown = if noun == "seccomp" { profile.value } else { local.value };
            local.invalid_as(
                problems,
                shown.clone(),
                format!("can only be set when {} type is Localhost", noun_in_message(noun)),
            );
        }
    } else if !local.is_set() {
        local.required(problems, &format!("must be set when {} type is Localhost", noun_in_message(noun)));
    } else if noun == "seccomp" {
        rule::descending_path(&local, problems);
    } else {
        app_armor_name(&local, problems);
    }
}

fn noun_in_message(noun: &str) -> &str {
    if noun == "seccomp" { "seccomp" } else { "AppArmor" }
}

fn app_armor_name(name: &Field, problems: &mut Problems) {
    const NAME_BYTES_MAX: usize = 4095;
    if name.str().trim() != name.str() {
        name.invalid(problems, "must not be padded with whitespace");
    } else if name.str().is_empty() {
        name.required(problems, "must be set when AppArmor type is Localhost");
    }
    if name.len() > NAME_BYTES_MAX {
        name.too_long(problems, NAME_BYTES_MAX);
    }
}

/// User namespaces go with none of the host's.
pub fn host_users(spec: &Field, problems: &mut Problems) {
    if !spec.get("hostUsers").is_false() {
        return;
    }
    for (field, at) in [("hostNetwork", "hostNetwork"), ("hostPID", "HostPID"), ("hostIPC", "HostIPC")] {
        if spec.get(field).bool() {
            spec.get(at).forbidden(problems, "when `hostUsers` is false");
        }
    }
}

// === Windows ===

fn windows_options(options: &Field, problems: &mut Problems) {
    if !options.is_set() {
        return;
    }
    let name = options.get("gmsaCredentialSpecName");
    if name.is_set() {
        rule::dns_subdomain(&name, problems);
    }
    let spec = options.get("gmsaCredentialSpec");
    if spec.is_set() && spec.is_empty() {
        spec.invalid(problems, "gmsaCredentialSpec cannot be an empty string");
    } else if spec.len() > CREDENTIAL_SPEC_KIB_MAX * 1024 {
        spec.invalid(problems, format!("gmsaCredentialSpec size must be under {CREDENTIAL_SPEC_KIB_MAX} KiB"));
    }
    let user = options.get("runAsUserName");
    if user.is_set() {
        user_name(&user, problems);
    }
}

/// `DOMAIN\user`, or the user alone.
fn user_name(at: &Field, problems: &mut Problems) {
    let text = at.str();
    if text.is_empty() {
        return at.invalid(problems, "runAsUserName cannot be an empty string");
    }
    if text.chars().any(char::is_control) {
        return at.invalid(problems, "runAsUserName cannot contain control characters");
    }
    if text.matches('\\').count() > 1 {
        return at.invalid(problems, "runAsUserName cannot contain more than one backslash");
    }
    let (domain, user) = text.split_once('\\').map_or((None, text), |(domain, user)| (Some(domain), user));
    if domain.is_some_and(|d| d.len() >= USER_NAME_DOMAIN_MAX) {
        let detail = format!("runAsUserName's Domain length must be under {USER_NAME_DOMAIN_MAX} characters");
        at.invalid(problems, detail);
    }
    if domain.is_some_and(|d| !is_net_bios(d) && !is_dns_name(d)) {
        at.invalid(problems, "runAsUserName's Domain doesn't match the NetBios nor the DNS format");
    }
    if user.is_empty() {
        at.invalid(problems, "runAsUserName's User cannot be empty");
    } else if user.len() > USER_NAME_MAX {
        let detail = format!("runAsUserName's User length must not be longer than {USER_NAME_MAX} characters");
        at.invalid(problems, detail);
    }
    if !user.is_empty() && user.chars().all(|c| matches!(c, '.' | ' ')) {
        at.invalid(problems, "runAsUserName's User cannot contain only periods or spaces");
    }
    if user.contains(['"', '/', '\\', ':', ';', '|', '=', ',', '+', '*', '?', '<', '>', '@', '[', ']']) {
        let detail = "runAsUserName's User cannot contain the following characters: \"/\\:;|=,+*?<>@[]";
        at.invalid(problems, detail);
    }
}

fn is_net_bios(domain: &str) -> bool {
    let bad = ['\\', '/', ':', '*', '?', '"', '<', '>', '|'];
    (1..=15).contains(&domain.chars().count()) && !domain.starts_with('.') && !domain.contains(bad)
}

fn is_dns_name(domain: &str) -> bool {
    domain.split('.').all(|label| {
        let inner = label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        inner && (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
    })
}

/// Host process containers stand together, on the host's network.
pub fn host_process(spec: &Field, problems: &mut Problems) {
    let pod = spec.get("securityContext.windowsOptions.hostProcess").value.as_bool();
    let (mut containers, mut host) = (0, 0);
    for list in CONTAINER_LISTS {
        for container in spec.get(list).items() {
            let own = container.get("securityContext.windowsOptions.hostProcess");
            containers += 1;
            host += usize::from(own.value.as_bool().or(pod).unwrap_or(false));
            if let (Some(pod), Some(of_container)) = (pod, own.value.as_bool())
                && pod != of_container
            {
                let detail = format!("pod hostProcess value must be identical if both are specified, was {pod}");
                own.invalid(problems, detail);
            }
        }
    }
    if host == 0 {
        return;
    }
    if host != containers {
        let detail = "If pod contains any hostProcess containers then all containers must be HostProcess containers";
        spec.invalid_as(problems, "", detail);
    }
    if !spec.get("hostNetwork").bool() {
        let detail = "hostNetwork must be true if pod contains any hostProcess containers";
        spec.get("hostNetwork").invalid_as(problems, false, detail);
    }
}

/// What a pod that says it is for Linux may not say.
pub fn linux(spec: &Field, problems: &mut Problems) {
    const DETAIL: &str = "windows options cannot be set for a linux pod";
    let forbid = |at: &Field, problems: &mut Problems| {
        if at.is_set() {
            at.forbidden(problems, DETAIL);
        }
    };
    forbid(&spec.get("securityContext.windowsOptions"), problems);
    for list in CONTAINER_LISTS {
        for container in spec.get(list).items() {
            forbid(&container.get("securityContext.windowsOptions"), problems);
        }
    }
}

/// What a pod that says it is for Windows may not say.
pub fn windows(spec: &Field, problems: &mut Problems) {
    const POD: [&str; 15] = [
        "securityContext.appArmorProfile",
        "securityContext.seLinuxOptions",
        "hostUsers",
        "hostPID",
        "hostIPC",
        "securityContext.seccompProfile",
        "securityContext.fsGroup",
        "securityContext.fsGroupChangePolicy",
        "securityContext.sysctls",
        "shareProcessNamespace",
        "securityContext.runAsUser",
        "securityContext.runAsGroup",
        "securityContext.supplementalGroups",
        "securityContext.supplementalGroupsPolicy",
        "resources",
    ];
    const CONTAINER: [&str; 10] = [
        "appArmorProfile",
        "seLinuxOptions",
        "seccompProfile",
        "capabilities",
        "readOnlyRootFilesystem",
        "privileged",
        "allowPrivilegeEscalation",
        "procMount",
        "runAsUser",
        "runAsGroup",
    ];
    for field in POD {
        forbidden_on_windows(&spec.get(field), problems);
    }
    for list in CONTAINER_LISTS {
        for container in spec.get(list).items() {
            for field in CONTAINER {
                forbidden_on_windows(&container.get("securityContext").get(field), problems);
            }
        }
    }
}

fn forbidden_on_windows(at: &Field, problems: &mut Problems) {
    let by_value = matches!(at.value, Value::Bool(false)) && at.path().as_str().contains("hostPID");
    if at.is_set() && !by_value {
        at.forbidden(problems, "cannot be set for a windows pod");
    }
}
