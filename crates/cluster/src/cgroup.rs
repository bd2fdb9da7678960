//! The cluster's cgroup in every hierarchy that the machine has: v1 ones, the empty v2 one beside them, or pure v2.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

pub(crate) const ROOT: &str = "/sys/fs/cgroup";

/// The roots of all mounted hierarchies, each once.
fn hierarchies() -> Result<Vec<PathBuf>> {
    if Path::new(ROOT).join("cgroup.controllers").exists() {
        return Ok(vec![ROOT.into()]);
    }
    let mut roots = Vec::new();
    for entry in fs::read_dir(ROOT).context("list /sys/fs/cgroup: are cgroups mounted?")? {
        let entry = entry?;
        // Links such as `cpu -> cpu,cpuacct` name a hierarchy a second time.
        if entry.file_type()?.is_dir() && entry.path().join("cgroup.procs").exists() {
            roots.push(entry.path());
        }
    }
    Ok(roots)
}

/// Puts a process into `name/leaf` of every hierarchy; made when absent.
pub fn enter(name: &str, leaf: &str, process: u32) -> Result<()> {
    for root in hierarchies()? {
        let group = root.join(name).join(leaf);
        fs::create_dir_all(&group).with_context(|| format!("create {}", group.display()))?;
        inherit_cpuset(&root.join(name))?;
        inherit_cpuset(&group)?;
        let procs = group.join("cgroup.procs");
        fs::write(&procs, process.to_string()).with_context(|| format!("write {}", procs.display()))?;
    }
    Ok(())
}

/// A new v1 cpuset has no processors and memory nodes, and takes no process until it has.
fn inherit_cpuset(group: &Path) -> Result<()> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let own = group.join(file);
        let Ok(now) = fs::read_to_string(&own) else { continue };
        if now.trim().is_empty()
            && let Some(parent) = group.parent()
            && let Ok(above) = fs::read_to_string(parent.join(file))
        {
            fs::write(&own, above.trim()).with_context(|| format!("write {}", own.display()))?;
        }
    }
    Ok(())
}

/// Every process in the group and below, in any hierarchy.
pub fn processes(name: &str) -> Result<Vec<u32>> {
    let mut found = Vec::new();
    for root in hierarchies()? {
        collect(&root.join(name), &mut |group| {
            let text = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
            found.extend(text.lines().filter_map(|line| line.parse::<u32>().ok()));
        })?;
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// Kills every process of the group but `spared`, and waits until each is gone.
pub fn kill(name: &str, spared: &[u32]) -> Result<()> {
    loop {
        let left: Vec<u32> = processes(name)?.into_iter().filter(|p| !spared.contains(p)).collect();
        if left.is_empty() {
            return Ok(());
        }
        // Forks since the listing are found by the next round.
        end(&left)?;
    }
}

/// Kills processes and waits until each is gone; all are told before the first is waited for.
pub fn end(processes: &[u32]) -> Result<()> {
    let told: Vec<_> = processes.iter().filter_map(|process| signalled(*process)).collect();
    for handle in told {
        let mut polled = [rustix::event::PollFd::new(&handle, rustix::event::PollFlags::IN)];
        rustix::event::poll(&mut polled, None).context("wait for a killed process")?;
    }
    Ok(())
}

fn signalled(process: u32) -> Option<rustix::fd::OwnedFd> {
    let pid = Pid::from_raw(i32::try_from(process).ok()?)?;
    // Gone already when it cannot be opened or told.
    let handle = pidfd_open(pid, PidfdFlags::empty()).ok()?;
    pidfd_send_signal(&handle, Signal::KILL).ok()?;
    Some(handle)
}

/// Removes the group and all below it from every hierarchy.
pub fn remove(name: &str) -> Result<()> {
    for root in hierarchies()? {
        let mut groups = Vec::new();
        collect(&root.join(name), &mut |group| groups.push(group.to_owned()))?;
        for group in groups.iter().rev() {
            match fs::remove_dir(group) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("remove {}", group.display()));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// Visits a group and all below it, parents first; a group that is gone is none.
fn collect(group: &Path, visit: &mut dyn FnMut(&Path)) -> Result<()> {
    let entries = match fs::read_dir(group) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other.with_context(|| format!("list {}", group.display()))?,
    };
    visit(group);
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), visit)?;
        }
    }
    Ok(())
}
