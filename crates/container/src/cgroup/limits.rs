//! Limits written to a group's files. Not here: which limits a container should have.

use std::path::Path;

use super::{Layout, Resources, folder, layout, write};
use crate::{Error, Result};

pub(super) fn apply(path: &str, resources: &Resources) -> Result<()> {
    match layout() {
        Layout::V2(root) => v2(&root.join(path.trim_start_matches('/')), resources),
        Layout::V1(_) => v1(path, resources),
    }
}

fn v1(path: &str, resources: &Resources) -> Result<()> {
    let set = |controller: &str, file: &str, value: Option<String>| -> Result<()> {
        match (value, folder(controller, path)) {
            (Some(value), Some(folder)) => write(&folder.join(file), &value),
            _ => Ok(()),
        }
    };
    set("cpu", "cpu.shares", resources.cpu_shares.map(|n| n.to_string()))?;
    set("cpu", "cpu.cfs_period_us", resources.cpu_period.map(|n| n.to_string()))?;
    set("cpu", "cpu.cfs_quota_us", resources.cpu_quota.map(|n| n.to_string()))?;
    set("cpuset", "cpuset.cpus", resources.cpuset_cpus.clone())?;
    set("cpuset", "cpuset.mems", resources.cpuset_mems.clone())?;
    set("memory", "memory.limit_in_bytes", resources.memory_limit.map(|n| n.to_string()))?;
    set("pids", "pids.max", resources.pids_limit.map(pids_text))
}

fn v2(folder: &Path, resources: &Resources) -> Result<()> {
    let set = |file: &str, value: Option<String>| -> Result<()> {
        value.map_or(Ok(()), |value| write(&folder.join(file), &value))
    };
    set("cpu.weight", resources.cpu_shares.map(|shares| weight_of(shares).to_string()))?;
    if resources.cpu_quota.is_some() || resources.cpu_period.is_some() {
        let quota = resources.cpu_quota.filter(|quota| *quota > 0).map_or("max".to_string(), |quota| quota.to_string());
        set("cpu.max", Some(format!("{quota} {}", resources.cpu_period.unwrap_or(100_000))))?;
    }
    set("cpuset.cpus", resources.cpuset_cpus.clone())?;
    set("cpuset.mems", resources.cpuset_mems.clone())?;
    set("memory.max", resources.memory_limit.map(|n| if n < 0 { "max".into() } else { n.to_string() }))?;
    set("pids.max", resources.pids_limit.map(pids_text))?;
    for (file, value) in &resources.unified {
        if file.contains('/') {
            return Err(Error::Invalid(format!("{file:?} is not a file of a cgroup")));
        }
        set(file, Some(value.clone()))?;
    }
    Ok(())
}

fn pids_text(limit: i64) -> String {
    if limit <= 0 { "max".into() } else { limit.to_string() }
}

/// Version 2's weight (1 to 10000) of version 1's shares (2 to 262144), as the OCI runtimes convert it.
fn weight_of(shares: u64) -> u64 {
    if shares == 0 { 100 } else { 1 + (shares.clamp(2, 262_144) - 2) * 9_999 / 262_142 }
}

#[cfg(test)]
mod tests {
    #[test]
    fn shares_become_weights() {
        assert_eq!([2, 1024, 262_144].map(super::weight_of), [1, 39, 10_000]);
    }
}
