//! The kernel's switches that clusters need, which belong to the machine and so to all clusters on it: the first one
//! records what they were, the last one puts it back.
//!
//! A cluster's record is with its run files, because a reboot forgets both, and exists from `up` until `down`. Its
//! name has the network namespace, whose switches they are. Who goes first hands what it recorded to one that stays.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::home::Home;
use crate::turn;

/// How the names of records begin.
const PREFIX: &str = "sysctls-";

/// Turns them on for a cluster; harmless when they are.
pub fn turn_on(home: &Home) -> Result<()> {
    let record = record(home)?;
    if record.exists() {
        // Another cluster may be writing into this record: it needs no more than it has.
        return network::host::enable_forwarding().map(drop).context("turn forwarding on");
    }
    let _turn = turn::take(all(home)?)?;
    network::host::enable_forwarding_recorded(&record).context("turn forwarding on")
}

/// The cluster needs them no more.
pub fn give_back(home: &Home) -> Result<()> {
    let record = record(home)?;
    if !record.exists() {
        return Ok(());
    }
    let _turn = turn::take(all(home)?)?;
    match users(home)?.first() {
        Some(heir) => network::host::hand_over_recorded(&record, &self::record(heir)?).context("hand switches over"),
        None => network::host::restore_recorded(&record).context("put switches back"),
    }
}

/// The other clusters that are up in this network namespace.
pub fn users(home: &Home) -> Result<Vec<Home>> {
    let mut others = home.siblings().context("list the other clusters")?;
    let name = file_name()?;
    others.retain(|other| other.run.join(&name).exists());
    Ok(others)
}

/// Whether the cluster was brought up, in any network namespace, and not down.
pub fn was_up(home: &Home) -> Result<bool> {
    let entries = match std::fs::read_dir(&home.run) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        other => other.with_context(|| format!("list {}", home.run.display()))?,
    };
    for entry in entries {
        if entry?.file_name().to_string_lossy().starts_with(PREFIX) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether it was in this network namespace.
pub fn is_up_here(home: &Home) -> Result<bool> {
    Ok(record(home)?.exists())
}

fn record(home: &Home) -> Result<PathBuf> {
    Ok(home.run.join(file_name()?))
}

fn file_name() -> Result<String> {
    let space = std::fs::metadata("/proc/self/ns/net").context("this process' network namespace")?;
    Ok(format!("{PREFIX}{}", space.ino()))
}

fn all(home: &Home) -> Result<&std::path::Path> {
    home.run.parent().context("run files without a folder")
}
