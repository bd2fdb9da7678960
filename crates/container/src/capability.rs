//! Capability names, the default set, and how additions and drops combine. Not here: applying them to a process.

use std::collections::BTreeSet;

use crate::{Error, Result};

/// Every capability of Linux 6.x, in the kernel's order: a name's index is its number.
pub const ALL: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// What a container has when nothing is asked: the set that containerd and Docker agree on.
pub const DEFAULT: [&str; 14] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
];

/// The four sets that a process starts with; inheritable stays empty (CVE-2022-24769).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sets {
    pub bounding: BTreeSet<String>,
    pub ambient: BTreeSet<String>,
}

/// The sets after additions and drops, which are names with or without `CAP_`, or `ALL`. An unknown name is an error.
pub fn combine(privileged: bool, add: &[String], drop: &[String], ambient: &[String]) -> Result<Sets> {
    let held = held_by_this_process();
    if privileged {
        return Ok(Sets { bounding: held, ambient: BTreeSet::new() });
    }
    let mut set: BTreeSet<String> = DEFAULT.iter().map(|name| name.to_string()).collect();
    if drop.iter().any(|name| is_all(name)) {
        set.clear();
    }
    if add.iter().any(|name| is_all(name)) {
        set = ALL.iter().map(|name| name.to_string()).collect();
    }
    for name in drop.iter().filter(|name| !is_all(name)) {
        set.remove(&full_name(name)?);
    }
    for name in add.iter().chain(ambient).filter(|name| !is_all(name)) {
        set.insert(full_name(name)?);
    }
    let ambient = ambient.iter().filter(|name| !is_all(name)).map(|name| full_name(name)).collect::<Result<_>>()?;
    Ok(Sets { bounding: set.intersection(&held).cloned().collect(), ambient })
}

fn is_all(name: &str) -> bool {
    name.eq_ignore_ascii_case("ALL") || name.eq_ignore_ascii_case("CAP_ALL")
}

fn full_name(name: &str) -> Result<String> {
    let upper = name.to_ascii_uppercase();
    let full = if upper.starts_with("CAP_") { upper } else { format!("CAP_{upper}") };
    if ALL.contains(&full.as_str()) { Ok(full) } else { Err(Error::Invalid(format!("unknown capability {name:?}"))) }
}

/// The bounding set of this process: nothing above it can be given to a container.
fn held_by_this_process() -> BTreeSet<String> {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let bits = text
        .lines()
        .find_map(|line| line.strip_prefix("CapBnd:"))
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .unwrap_or(u64::MAX);
    ALL.iter().enumerate().filter(|(bit, _)| bits & (1 << bit) != 0).map(|(_, name)| name.to_string()).collect()
}

/// The kernel's bit mask of a set of names.
pub fn mask<'a>(names: impl IntoIterator<Item = &'a String>) -> u64 {
    names.into_iter().filter_map(|name| ALL.iter().position(|known| known == name)).fold(0, |bits, bit| bits | 1 << bit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|name| name.to_string()).collect()
    }

    #[test]
    fn drop_all_and_add_one_leaves_one() {
        let sets = combine(false, &names(&["NET_BIND_SERVICE"]), &names(&["ALL"]), &[]).unwrap();
        assert_eq!(sets.bounding.into_iter().collect::<Vec<_>>(), ["CAP_NET_BIND_SERVICE"]);
    }

    #[test]
    fn unknown_names_are_refused() {
        assert!(combine(false, &names(&["FLY"]), &[], &[]).is_err());
    }
}
