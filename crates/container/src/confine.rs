//! What makes a process one of its container: user, groups, capabilities and the seccomp filter, in the one right order.
//! The first process and extra ones go the same way. Not here: namespaces, groups of processes and what is executed.

use oci_spec::runtime::{Capabilities, Process};

use crate::filter::Filter;
use crate::{Result, capability, check};

/// Gives up what the container does not have: groups, ids, capabilities, calls. Nothing may come after but `execve`.
///
/// Without `no_new_privs` loading a filter needs a capability: it is loaded before they go. With it, it is loaded last.
pub fn apply(process: &Process, filter: Option<&Filter>) -> Result<()> {
    let user = process.user();
    unsafe { libc::umask(user.umask().unwrap_or(0o022)) };
    let no_new_privileges = process.no_new_privileges() == Some(true);
    if no_new_privileges {
        check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }, "no_new_privs")?;
    }
    let late = filter.filter(|_| no_new_privileges);
    if let Some(filter) = filter.filter(|_| !no_new_privileges) {
        filter.load()?;
    }
    let capabilities = process.capabilities().as_ref();
    let names = |set: Option<&Capabilities>| -> Vec<String> {
        set.into_iter()
            .flatten()
            .map(|capability| format!("CAP_{}", capability.to_string().trim_start_matches("CAP_")))
            .collect()
    };
    let bounding = capability::mask(&names(capabilities.and_then(|sets| sets.bounding().as_ref())));
    let ambient = capability::mask(&names(capabilities.and_then(|sets| sets.ambient().as_ref())));
    let held = capability::mask(&names(capabilities.and_then(|sets| sets.permitted().as_ref())));
    drop_bounding(bounding)?;
    let groups: Vec<libc::gid_t> = user.additional_gids().clone().unwrap_or_default();
    check(unsafe { libc::prctl(libc::PR_SET_KEEPCAPS, 1, 0, 0, 0) }, "keep capabilities")?;
    check(unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) } as i32, "setgroups")?;
    check(unsafe { libc::syscall(libc::SYS_setresgid, user.gid(), user.gid(), user.gid()) } as i32, "setgid")?;
    check(unsafe { libc::syscall(libc::SYS_setresuid, user.uid(), user.uid(), user.uid()) } as i32, "setuid")?;
    set_capabilities(held, ambient)?;
    late.map_or(Ok(()), Filter::load)
}

fn drop_bounding(keep: u64) -> Result<()> {
    for bit in 0..capability::ALL.len() as u64 {
        if keep & (1 << bit) == 0 && unsafe { libc::prctl(libc::PR_CAPBSET_READ, bit, 0, 0, 0) } == 1 {
            check(unsafe { libc::prctl(libc::PR_CAPBSET_DROP, bit, 0, 0, 0) }, "drop capability")?;
        }
    }
    Ok(())
}

/// `_LINUX_CAPABILITY_VERSION_3`: two words per set.
const CAPABILITY_VERSION: u32 = 0x2008_0522;

fn set_capabilities(held: u64, ambient: u64) -> Result<()> {
    let header: [u32; 2] = [CAPABILITY_VERSION, 0];
    let (low, high) = (held as u32, (held >> 32) as u32);
    let (ambient_low, ambient_high) = (ambient as u32, (ambient >> 32) as u32);
    // Effective, permitted, inheritable; low words first.
    let data: [u32; 6] = [low, low, ambient_low, high, high, ambient_high];
    check(unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), data.as_ptr()) } as i32, "capset")?;
    for bit in (0..64).filter(|bit| ambient & (1 << bit) != 0) {
        check(
            unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE, bit as u64, 0, 0) },
            "ambient capability",
        )?;
    }
    Ok(())
}
