//! The cgroups of pods: made with the pod's limits before its sandbox, removed when all is gone. v1 and v2.
//!
//! The runtime makes the containers' cgroups below them.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use rpc::cri::LinuxContainerResources;

const ROOT: &str = "/sys/fs/cgroup";
const CONTROLLERS: [&str; 8] = ["cpu", "cpuacct", "cpuset", "memory", "pids", "blkio", "devices", "freezer"];
/// The controllers that v2 gives to children.
const CONTROLLERS_V2: [&str; 5] = ["cpu", "cpuset", "memory", "pids", "io"];

fn unified() -> bool {
    Path::new(ROOT).join("cgroup.controllers").exists()
}

/// The hierarchies in which a pod has a cgroup.
fn hierarchies() -> Vec<PathBuf> {
    if unified() {
        return vec![PathBuf::from(ROOT)];
    }
    let all = CONTROLLERS.iter().map(|c| Path::new(ROOT).join(c));
    let mut out: Vec<PathBuf> = Vec::new();
    for path in all.filter_map(|p| fs::canonicalize(p).ok()) {
        // cpu and cpuacct are often one hierarchy under two names.
        if !out.contains(&path) {
            out.push(path);
        }
    }
    out
}

fn below(root: &Path, cgroup: &str) -> PathBuf {
    root.join(cgroup.trim_start_matches('/'))
}

/// Makes the pod's cgroup, with its limits, in every hierarchy.
///
/// # Errors
/// The kernel refuses; the message names the file.
pub fn create(cgroup: &str, limits: &LinuxContainerResources) -> Result<(), String> {
    for root in hierarchies() {
        let path = below(&root, cgroup);
        fs::create_dir_all(&path).map_err(|e| format!("cgroup {} was not made: {e}", path.display()))?;
        if unified() {
            delegate(&root, cgroup);
        }
        inherit_cpuset(&root, &path);
    }
    let files = if unified() { v2(limits) } else { v1(limits) };
    for (controller, file, value) in files {
        let root = if unified() { PathBuf::from(ROOT) } else { Path::new(ROOT).join(controller) };
        let path = below(&root, cgroup).join(file);
        if path.exists() {
            fs::write(&path, &value).map_err(|e| format!("{value} was not written to {}: {e}", path.display()))?;
        }
    }
    Ok(())
}

/// Lets the children of each folder on the way have the controllers; those that are missing are done without.
fn delegate(root: &Path, cgroup: &str) {
    let mut path = root.to_owned();
    for part in Path::new(cgroup.trim_start_matches('/')).components() {
        for controller in CONTROLLERS_V2 {
            let _ = fs::write(path.join("cgroup.subtree_control"), format!("+{controller}"));
        }
        path.push(part);
    }
}

/// In v1 a new cpuset is empty, and nothing can run in it before it has its parent's processors and memory.
fn inherit_cpuset(root: &Path, path: &Path) {
    let below = path.strip_prefix(root).unwrap_or(path);
    let mut folder = root.to_owned();
    for part in below.components() {
        let parent = folder.clone();
        folder.push(part);
        for file in ["cpuset.cpus", "cpuset.mems"] {
            let own = fs::read_to_string(folder.join(file)).unwrap_or_default();
            let given = fs::read_to_string(parent.join(file)).unwrap_or_default();
            if own.trim().is_empty() && !given.trim().is_empty() {
                let _ = fs::write(folder.join(file), given.trim());
            }
        }
    }
}

/// Gives a class of pods its part of the processors.
///
/// # Errors
/// The kernel refuses; the message names the file.
pub fn set_shares(cgroup: &str, shares: i64) -> Result<(), String> {
    let (root, file, value) = if unified() {
        (PathBuf::from(ROOT), "cpu.weight", weight(shares).to_string())
    } else {
        (Path::new(ROOT).join("cpu"), "cpu.shares", shares.to_string())
    };
    let path = below(&root, cgroup);
    fs::create_dir_all(&path).map_err(|e| format!("cgroup {} was not made: {e}", path.display()))?;
    let path = path.join(file);
    if !path.exists() || fs::read_to_string(&path).is_ok_and(|now| now.trim() == value) {
        return Ok(());
    }
    fs::write(&path, &value).map_err(|e| format!("{value} was not written to {}: {e}", path.display()))
}

/// Shares of v1 on the scale of v2.
fn weight(shares: i64) -> i64 {
    1 + (shares.max(2) - 2) * 9999 / 262_142
}

type Setting = (&'static str, &'static str, String);

fn v1(limits: &LinuxContainerResources) -> Vec<Setting> {
    let mut out = vec![("cpu", "cpu.shares", limits.cpu_shares.to_string())];
    if limits.cpu_quota > 0 {
        out.push(("cpu", "cpu.cfs_period_us", limits.cpu_period.to_string()));
        out.push(("cpu", "cpu.cfs_quota_us", limits.cpu_quota.to_string()));
    }
    if limits.memory_limit_in_bytes > 0 {
        out.push(("memory", "memory.limit_in_bytes", limits.memory_limit_in_bytes.to_string()));
    }
    out
}

fn v2(limits: &LinuxContainerResources) -> Vec<Setting> {
    let mut out = vec![("", "cpu.weight", weight(limits.cpu_shares).to_string())];
    if limits.cpu_quota > 0 {
        out.push(("", "cpu.max", format!("{} {}", limits.cpu_quota, limits.cpu_period)));
    }
    if limits.memory_limit_in_bytes > 0 {
        out.push(("", "memory.max", limits.memory_limit_in_bytes.to_string()));
    }
    out
}

/// Removes the pod's cgroup of any QoS class, with what the runtime left below it.
///
/// # Errors
/// Processes are still in it.
pub fn remove(cgroup_root: &str, uid: &str) -> Result<(), String> {
    for root in hierarchies() {
        for class in ["", "/burstable", "/besteffort"] {
            let path = below(&root, &format!("{cgroup_root}{class}/pod{uid}"));
            remove_tree(&path).map_err(|e| format!("cgroup {} stays: {e}", path.display()))?;
        }
    }
    Ok(())
}

fn remove_tree(path: &Path) -> std::io::Result<()> {
    let entries = match fs::read_dir(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    fs::remove_dir(path)
}
