//! The OCI runtime spec of one container, from what the caller wants. Pure: a tree in, a tree out.
//! Not here: users, capabilities and seccomp rules are resolved before, nothing is written.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::capability::Sets;
use crate::cgroup::Resources;
use crate::user::User;

/// One mount, in the words of mount(8): `options` as in fstab, with `rbind`, `rslave` and their like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    pub source: String,
    pub target: String,
    pub kind: String,
    pub options: Vec<String>,
}

/// A device node of the host, given to the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    pub path: String,
    pub kind: char,
    pub major: u64,
    pub minor: u64,
    pub mode: u32,
    /// Some of `rwm`.
    pub access: String,
}

/// Whose process ids the container sees. Network, IPC and UTS namespaces are those of the process that creates it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProcessIds {
    Own,
    Inherited,
    /// `/proc/<pid>/ns/pid` of the holder.
    Of(PathBuf),
}

/// Everything that decides what a container is. All paths are absolute.
#[derive(Clone, Debug)]
pub struct Config {
    pub args: Vec<String>,
    pub env: Vec<String>,
    pub cwd: String,
    pub terminal: bool,
    pub user: User,
    pub capabilities: Sets,
    pub no_new_privileges: bool,
    /// Of every process, extra ones too. `None` leaves it as it is.
    pub oom_score_adj: Option<i32>,
    /// `None` runs the container unconfined: only when that was asked for.
    pub seccomp: Option<Value>,
    pub mounts: Vec<Mount>,
    pub devices: Vec<Device>,
    pub process_ids: ProcessIds,
    pub readonly_rootfs: bool,
    /// Mounts made inside may show outside (bidirectional propagation).
    pub shared_root: bool,
    pub masked_paths: Vec<String>,
    pub readonly_paths: Vec<String>,
    /// All devices of the host may be used.
    pub privileged: bool,
    /// Below the mount point of each hierarchy, with a leading slash.
    pub cgroup: String,
    pub resources: Resources,
}

/// Devices every container may use: null, zero, full, random, urandom, tty, ptmx, and the pseudo-terminals.
const ALLOWED_DEVICES: [(u64, Option<u64>); 8] =
    [(1, Some(3)), (1, Some(5)), (1, Some(7)), (1, Some(8)), (1, Some(9)), (5, Some(0)), (5, Some(2)), (136, None)];

/// The spec as the tree that goes into `config.json`.
pub fn build(config: &Config) -> Value {
    json!({
        "ociVersion": "1.2.0",
        "root": {"path": "rootfs", "readonly": config.readonly_rootfs},
        "process": process(config),
        "mounts": config.mounts.iter().map(mount).collect::<Vec<_>>(),
        "linux": linux(config),
    })
}

fn process(config: &Config) -> Value {
    let bounding: Vec<&String> = config.capabilities.bounding.iter().collect();
    let ambient: Vec<&String> = config.capabilities.ambient.iter().collect();
    // A user other than root holds no capability until it executes a file that grants one; ambient ones stay.
    let held = if config.user.uid == 0 { &bounding } else { &ambient };
    let mut process = json!({
        "terminal": config.terminal,
        "args": config.args,
        "env": config.env,
        "cwd": config.cwd,
        "user": {"uid": config.user.uid, "gid": config.user.gid, "additionalGids": config.user.groups, "umask": 0o022},
        "capabilities": {
            "bounding": bounding, "effective": held, "permitted": held, "inheritable": ambient, "ambient": ambient,
        },
    });
    // Absence is how shims of every version are told no.
    if config.no_new_privileges {
        process["noNewPrivileges"] = json!(true);
    }
    if let Some(score) = config.oom_score_adj {
        process["oomScoreAdj"] = json!(score);
    }
    process
}

fn mount(mount: &Mount) -> Value {
    json!({"destination": mount.target, "type": mount.kind, "source": mount.source, "options": mount.options})
}

fn linux(config: &Config) -> Value {
    let mut namespaces = vec![json!({"type": "mount"}), json!({"type": "cgroup"})];
    match &config.process_ids {
        ProcessIds::Own => namespaces.push(json!({"type": "pid"})),
        ProcessIds::Of(path) => namespaces.push(json!({"type": "pid", "path": path})),
        ProcessIds::Inherited => {}
    }
    let mut linux = json!({
        "namespaces": namespaces,
        "devices": config.devices.iter().map(device).collect::<Vec<_>>(),
        "cgroupsPath": config.cgroup,
        "resources": resources(config),
        "rootfsPropagation": if config.shared_root { "shared" } else { "slave" },
        "maskedPaths": config.masked_paths,
        "readonlyPaths": config.readonly_paths,
    });
    if let Some(seccomp) = &config.seccomp {
        linux["seccomp"] = seccomp.clone();
    }
    linux
}

fn device(device: &Device) -> Value {
    json!({
        "path": device.path, "type": device.kind.to_string(), "major": device.major, "minor": device.minor,
        "fileMode": device.mode & 0o777, "uid": 0, "gid": 0,
    })
}

fn device_rules(config: &Config) -> Vec<Value> {
    if config.privileged {
        return vec![json!({"allow": true, "access": "rwm"})];
    }
    let mut rules = vec![json!({"allow": false, "access": "rwm"})];
    for (major, minor) in ALLOWED_DEVICES {
        let mut rule = json!({"allow": true, "type": "c", "major": major, "access": "rwm"});
        if let Some(minor) = minor {
            rule["minor"] = json!(minor);
        }
        rules.push(rule);
    }
    // Making nodes is not using them: mknod needs its capability anyway.
    rules.push(json!({"allow": true, "type": "c", "access": "m"}));
    rules.push(json!({"allow": true, "type": "b", "access": "m"}));
    rules.extend(config.devices.iter().map(|device| {
        json!({
            "allow": true, "type": device.kind.to_string(), "major": device.major, "minor": device.minor,
            "access": device.access,
        })
    }));
    rules
}

fn resources(config: &Config) -> Value {
    let wanted = &config.resources;
    let mut tree = json!({"devices": device_rules(config)});
    let mut cpu = BTreeMap::new();
    insert(&mut cpu, "shares", wanted.cpu_shares.map(|n| json!(n)));
    insert(&mut cpu, "quota", wanted.cpu_quota.map(|n| json!(n)));
    insert(&mut cpu, "period", wanted.cpu_period.map(|n| json!(n)));
    insert(&mut cpu, "cpus", wanted.cpuset_cpus.as_ref().map(|text| json!(text)));
    insert(&mut cpu, "mems", wanted.cpuset_mems.as_ref().map(|text| json!(text)));
    if !cpu.is_empty() {
        tree["cpu"] = json!(cpu);
    }
    if let Some(limit) = wanted.memory_limit {
        tree["memory"] = json!({"limit": limit});
    }
    if let Some(limit) = wanted.pids_limit {
        tree["pids"] = json!({"limit": limit});
    }
    if !wanted.unified.is_empty() {
        tree["unified"] = json!(wanted.unified);
    }
    tree
}

fn insert(map: &mut BTreeMap<&'static str, Value>, key: &'static str, value: Option<Value>) {
    if let Some(value) = value {
        map.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_a_spec() {
        let config = Config {
            args: vec!["/bin/true".into()],
            env: vec!["PATH=/bin".into()],
            cwd: "/".into(),
            terminal: false,
            user: User::default(),
            capabilities: Sets::default(),
            no_new_privileges: false,
            oom_score_adj: None,
            seccomp: Some(crate::seccomp::default_profile(&Default::default())),
            mounts: vec![],
            devices: vec![],
            process_ids: ProcessIds::Own,
            readonly_rootfs: true,
            shared_root: false,
            masked_paths: vec!["/proc/kcore".into()],
            readonly_paths: vec![],
            privileged: false,
            cgroup: "/a/b".into(),
            resources: Resources { memory_limit: Some(1 << 20), ..Resources::default() },
        };
        let spec: oci_spec::runtime::Spec = serde_json::from_value(build(&config)).unwrap();
        assert_eq!(spec.process().as_ref().unwrap().no_new_privileges(), None);
        assert!(spec.linux().as_ref().unwrap().seccomp().is_some());
    }
}
