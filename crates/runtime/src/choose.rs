//! From what the kubelet asks and the image says to the container's configuration. Pure but for what is passed in.
//! Not here: host paths, devices and files; [`crate::containers`] looks those up.

use container::capability;
use container::cgroup;
use container::spec::Mount;
use container::user::{User, Wish};
use image::RunConfig;
use rpc::cri;
use rpc::cri::{MountPropagation, SupplementalGroupsPolicy};
use tonic::Status;

use crate::record::Resources;

const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What is hidden and what is protected: as the caller says, who may want neither (`procMount: Unmasked`).
pub fn masked_paths(security: &cri::LinuxContainerSecurityContext) -> (Vec<String>, Vec<String>) {
    if security.privileged {
        return (Vec::new(), Vec::new());
    }
    (security.masked_paths.clone(), security.readonly_paths.clone())
}

/// Command and arguments: the caller's command replaces the image's entrypoint and its arguments too.
pub fn args(config: &cri::ContainerConfig, image: &RunConfig) -> Result<Vec<String>, Status> {
    let (command, args) = (&config.command, &config.args);
    let head = if command.is_empty() { &image.entrypoint } else { command };
    let tail = if command.is_empty() && args.is_empty() { &image.cmd } else { args };
    let all: Vec<String> = head.iter().chain(tail).cloned().collect();
    if all.is_empty() { Err(Status::invalid_argument("no command specified")) } else { Ok(all) }
}

/// The environment: the image's, then the caller's, a later entry replacing an earlier one of its name.
pub fn env(config: &cri::ContainerConfig, image: &RunConfig, hostname: &str, user: &User) -> Vec<String> {
    let mut entries: Vec<(String, String)> = Vec::new();
    let mut set = |key: &str, value: &str| match entries.iter_mut().find(|(known, _)| known == key) {
        Some(entry) => entry.1 = value.to_string(),
        None => entries.push((key.to_string(), value.to_string())),
    };
    let (path, value) = DEFAULT_PATH.split_once('=').unwrap_or_default();
    set(path, value);
    set("HOSTNAME", hostname);
    if config.tty {
        set("TERM", "xterm");
    }
    set("HOME", user.home.as_deref().unwrap_or("/"));
    for entry in &image.env {
        let (key, value) = entry.split_once('=').unwrap_or((entry, ""));
        set(key, value);
    }
    for entry in &config.envs {
        set(&entry.key, &entry.value);
    }
    entries.into_iter().map(|(key, value)| format!("{key}={value}")).collect()
}

pub fn cwd(config: &cri::ContainerConfig, image: &RunConfig) -> String {
    [&config.working_dir, &image.working_dir]
        .into_iter()
        .find(|path| !path.is_empty())
        .map_or("/".into(), |path| if path.starts_with('/') { path.clone() } else { format!("/{path}") })
}

/// Who to run as: the caller's wish, else the image's.
pub fn user_wish(security: &cri::LinuxContainerSecurityContext, image: &RunConfig) -> Result<Wish, Status> {
    let (image_user, image_group) = container::user::parse(&image.user);
    let uid = security.run_as_user.as_ref().map(|value| value.value.to_string());
    let name = Some(security.run_as_username.clone()).filter(|name| !name.is_empty());
    let gid = security.run_as_group.as_ref().map(|value| value.value.to_string());
    let asked = uid.or(name);
    if gid.is_some() && asked.is_none() && image_user.is_none() {
        return Err(Status::invalid_argument("user group is specified without user"));
    }
    let group = gid.or(if asked.is_none() { image_group } else { None });
    let supplementary = security.supplemental_groups.iter().map(|group| u32::try_from(*group));
    Ok(Wish {
        user: asked.or(image_user),
        group,
        supplementary: supplementary
            .collect::<Result<_, _>>()
            .map_err(|_| Status::invalid_argument("group out of range"))?,
        strict: security.supplemental_groups_policy() == SupplementalGroupsPolicy::Strict,
    })
}

pub fn capabilities(security: &cri::LinuxContainerSecurityContext) -> Result<capability::Sets, Status> {
    let wanted = security.capabilities.clone().unwrap_or_default();
    capability::combine(
        security.privileged,
        &wanted.add_capabilities,
        &wanted.drop_capabilities,
        &wanted.add_ambient_capabilities,
    )
    .map_err(|problem| Status::invalid_argument(problem.to_string()))
}

pub fn resources(wanted: &cri::LinuxContainerResources) -> Resources {
    Resources {
        cpu_period: wanted.cpu_period,
        cpu_quota: wanted.cpu_quota,
        cpu_shares: wanted.cpu_shares,
        memory_limit_in_bytes: wanted.memory_limit_in_bytes,
        oom_score_adj: wanted.oom_score_adj,
        cpuset_cpus: wanted.cpuset_cpus.clone(),
        cpuset_mems: wanted.cpuset_mems.clone(),
        unified: wanted.unified.clone(),
    }
}

/// Former resources with what an update names.
pub fn merged(former: &Resources, update: Resources) -> Resources {
    let number = |new: i64, old: i64| if new == 0 { old } else { new };
    let text = |new: String, old: &String| if new.is_empty() { old.clone() } else { new };
    Resources {
        cpu_period: number(update.cpu_period, former.cpu_period),
        cpu_quota: number(update.cpu_quota, former.cpu_quota),
        cpu_shares: number(update.cpu_shares, former.cpu_shares),
        memory_limit_in_bytes: number(update.memory_limit_in_bytes, former.memory_limit_in_bytes),
        oom_score_adj: number(update.oom_score_adj, former.oom_score_adj),
        cpuset_cpus: text(update.cpuset_cpus, &former.cpuset_cpus),
        cpuset_mems: text(update.cpuset_mems, &former.cpuset_mems),
        unified: if update.unified.is_empty() { former.unified.clone() } else { update.unified },
    }
}

/// How ready the kernel is to kill the container's processes for memory; zero is "not specified".
pub fn oom_score(wanted: &Resources) -> Option<i32> {
    i32::try_from(wanted.oom_score_adj).ok().filter(|score| *score != 0)
}

/// In the CRI zero and empty mean "not specified".
pub fn limits(wanted: &Resources) -> cgroup::Resources {
    let positive = |value: i64| u64::try_from(value).ok().filter(|value| *value > 0);
    let text = |value: &String| Some(value.clone()).filter(|value| !value.is_empty());
    cgroup::Resources {
        cpu_shares: positive(wanted.cpu_shares),
        cpu_quota: Some(wanted.cpu_quota).filter(|quota| *quota != 0),
        cpu_period: positive(wanted.cpu_period),
        cpuset_cpus: text(&wanted.cpuset_cpus),
        cpuset_mems: text(&wanted.cpuset_mems),
        memory_limit: Some(wanted.memory_limit_in_bytes).filter(|limit| *limit != 0),
        pids_limit: None,
        unified: wanted.unified.clone(),
    }
}

/// One of the kubelet's mounts, its host path already resolved.
pub fn mount(wanted: &cri::Mount, source: String) -> Result<Mount, Status> {
    let propagation = match wanted.propagation() {
        MountPropagation::PropagationPrivate => "rprivate",
        MountPropagation::PropagationHostToContainer => "rslave",
        MountPropagation::PropagationBidirectional => "rshared",
    };
    if wanted.recursive_read_only && (!wanted.readonly || propagation != "rprivate") {
        return Err(Status::invalid_argument("recursive_read_only needs a read-only mount without propagation"));
    }
    let access = match (wanted.recursive_read_only, wanted.readonly) {
        (true, _) => "rro",
        (false, true) => "ro",
        (false, false) => "rw",
    };
    let options = ["rbind", propagation, access].map(str::to_string).to_vec();
    Ok(Mount { source, target: wanted.container_path.clone(), kind: "bind".into(), options })
}

/// The file systems that every container has.
pub fn system_mounts(privileged: bool, shm: Option<&str>) -> Vec<Mount> {
    let mount = |kind: &str, source: &str, target: &str, options: &[&str]| Mount {
        source: source.into(),
        target: target.into(),
        kind: kind.into(),
        options: options.iter().map(|option| option.to_string()).collect(),
    };
    let access = if privileged { "rw" } else { "ro" };
    let mut mounts = vec![
        mount("proc", "proc", "/proc", &["nosuid", "noexec", "nodev"]),
        mount("tmpfs", "tmpfs", "/dev", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount(
            "devpts",
            "devpts",
            "/dev/pts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        mount("mqueue", "mqueue", "/dev/mqueue", &["nosuid", "noexec", "nodev"]),
        mount("sysfs", "sysfs", "/sys", &["nosuid", "noexec", "nodev", access]),
        mount("cgroup", "cgroup", "/sys/fs/cgroup", &["nosuid", "noexec", "nodev", "relatime", access]),
    ];
    mounts.push(match shm {
        Some(source) => mount("bind", source, "/dev/shm", &["rbind", "nosuid", "noexec", "nodev"]),
        None => mount("tmpfs", "shm", "/dev/shm", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
    });
    mounts
}

/// A signal's number; `SIGTERM` where nothing or nothing known was said. Names and numbers as images have them.
pub fn signal_number(name: &str) -> i32 {
    const NAMES: [&str; 31] = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM",
        "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF",
        "WINCH", "IO", "PWR", "SYS",
    ];
    const TERM: i32 = 15;
    const RT_MIN: i32 = 34;
    const RT_MAX: i32 = 64;
    let short = name.trim_start_matches("SIG");
    if let Ok(number) = short.parse() {
        return number;
    }
    let real_time = |base: i32, rest: &str, sign: i32| {
        let digits = rest.trim_start_matches(|c: char| !c.is_ascii_digit());
        base + sign * digits.parse::<i32>().unwrap_or(0)
    };
    if let Some(rest) = short.strip_prefix("RTMIN") {
        return real_time(RT_MIN, rest, 1);
    }
    if let Some(rest) = short.strip_prefix("RTMAX") {
        return real_time(RT_MAX, rest, -1);
    }
    NAMES.iter().position(|known| *known == short).map_or(TERM, |index| index as i32 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_combine_as_documented() {
        let image = RunConfig { entrypoint: vec!["e".into()], cmd: vec!["c".into()], ..RunConfig::default() };
        let of = |command: &[&str], arguments: &[&str]| {
            let list = |words: &[&str]| words.iter().map(|word| word.to_string()).collect();
            let config = cri::ContainerConfig { command: list(command), args: list(arguments), ..Default::default() };
            args(&config, &image).unwrap().join(" ")
        };
        assert_eq!([of(&[], &[]), of(&[], &["a"]), of(&["x"], &[]), of(&["x"], &["a"])], ["e c", "e a", "x", "x a"]);
    }

    #[test]
    fn signals_have_numbers() {
        assert_eq!(
            ["SIGTERM", "QUIT", "9", "SIGRTMIN+3", "SIGRTMAXMINUS1", ""].map(signal_number),
            [15, 3, 9, 37, 63, 15]
        );
    }
}
