//! Creates and starts a container. Runs in a process of its own with a mount namespace of its own, and ends afterwards.
//!
//! ```text
//! caller: group made and limited, process id namespace ──fork──▶ into the group, group namespace, files, root,
//!    ◀──── nothing (the program runs), or what prevented it ────  terminal, user and filter (`confine`), execve
//! ```
//!
//! The container's first process becomes a child of the *parent* of the process that calls [`run`]. It is in the network,
//! IPC and UTS namespaces of the caller.
//! Not here: the root file system, which must be mounted at `<bundle>/rootfs`, and the spec in `<bundle>/config.json`.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use oci_spec::runtime::{LinuxNamespaceType, LinuxResources, Spec};
use rustix::thread::{LinkNameSpaceType, UnshareFlags};

use crate::filter::Filter;
use crate::{Error, Result, cgroup, check, exec, rootfs};

/// What went wrong is a few lines at most.
const FAILURE_LENGTH_MAX: usize = 4096;

/// What the container's first process has as its standard streams.
pub enum Stdio {
    Pipes {
        stdin: OwnedFd,
        stdout: OwnedFd,
        stderr: OwnedFd,
    },
    /// A new terminal, whose master side is handed to `send_master`.
    Terminal,
}

/// Creates the container of `bundle` and starts it. Returns the process id of its first process, which then runs the program.
pub fn run(bundle: &Path, stdio: Stdio, send_master: impl FnOnce(&OwnedFd) -> Result<()>) -> Result<i32> {
    let file = bundle.join("config.json");
    let spec =
        Spec::load(&file).map_err(|problem| Error::Invalid(format!("cannot read {}: {problem}", file.display())))?;
    let filter = Filter::of_bundle(bundle, &spec)?;
    make_group(&spec)?;
    choose_process_ids(&spec)?;
    let (failure, failed) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
        .map_err(|problem| Error::io("cannot make a pipe", problem))?;
    let pid = match exec::fork_sibling()? {
        0 => {
            let done = in_child(bundle, &spec, filter.as_ref(), stdio, send_master);
            let problem = done.err().map_or(String::new(), |problem| problem.to_string());
            let _ = rustix::io::write(&failed, problem.as_bytes());
            unsafe { libc::_exit(126) }
        }
        pid => pid,
    };
    drop((failed, stdio));
    // The other end is closed when the program runs, or says why it does not.
    let mut text = vec![0; FAILURE_LENGTH_MAX];
    match rustix::io::retry_on_intr(|| rustix::io::read(&failure, &mut text)) {
        Ok(0) => Ok(pid),
        Ok(length) => {
            let text = String::from_utf8_lossy(&text[..length]);
            Err(Error::Refused(format!("failed to create container: {text}")))
        }
        Err(problem) => Err(Error::io("cannot hear of the container's start", problem)),
    }
}

fn make_group(spec: &Spec) -> Result<()> {
    let linux = spec.linux().as_ref();
    let wanted = linux.and_then(|linux| linux.resources().as_ref());
    let rules = wanted.and_then(|wanted| wanted.devices().as_deref()).unwrap_or_default();
    match linux.and_then(|linux| linux.cgroups_path().as_ref()) {
        Some(path) => cgroup::create_leaf(&path.to_string_lossy(), &wanted.map(limits).unwrap_or_default(), rules),
        None => Ok(()),
    }
}

fn limits(wanted: &LinuxResources) -> cgroup::Resources {
    let cpu = wanted.cpu().as_ref();
    cgroup::Resources {
        cpu_shares: cpu.and_then(|cpu| cpu.shares()),
        cpu_quota: cpu.and_then(|cpu| cpu.quota()),
        cpu_period: cpu.and_then(|cpu| cpu.period()),
        cpuset_cpus: cpu.and_then(|cpu| cpu.cpus().clone()),
        cpuset_mems: cpu.and_then(|cpu| cpu.mems().clone()),
        memory_limit: wanted.memory().as_ref().and_then(|memory| memory.limit()),
        pids_limit: wanted.pids().as_ref().map(|pids| pids.limit()),
        unified: wanted.unified().clone().unwrap_or_default().into_iter().collect(),
    }
}

/// A process id namespace holds for children only: the one forked next is its first, or one more in it.
fn choose_process_ids(spec: &Spec) -> Result<()> {
    let namespaces = spec.linux().as_ref().and_then(|linux| linux.namespaces().as_deref()).unwrap_or_default();
    let Some(wanted) = namespaces.iter().find(|namespace| namespace.typ() == LinuxNamespaceType::Pid) else {
        return Ok(());
    };
    match wanted.path() {
        Some(path) => {
            let what = || format!("cannot enter {}", path.display());
            let file = File::open(path).map_err(|problem| Error::io(what(), problem))?;
            // Not `move_into_thread_name_spaces`: the file says which kind it is, and must be of this one.
            rustix::thread::move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::ProcessID))
                .map_err(|problem| Error::io(what(), problem))
        }
        None => unshare(UnshareFlags::NEWPID, "cannot make a process id namespace"),
    }
}

fn unshare(flags: UnshareFlags, what: &str) -> Result<()> {
    // Files and memory stay shared with nobody: this process has one thread.
    unsafe { rustix::thread::unshare_unsafe(flags) }.map_err(|problem| Error::io(what, problem))
}

fn in_child(
    bundle: &Path,
    spec: &Spec,
    filter: Option<&Filter>,
    stdio: Stdio,
    send_master: impl FnOnce(&OwnedFd) -> Result<()>,
) -> Result<()> {
    check(unsafe { libc::setsid() }, "setsid")?;
    unsafe { libc::umask(0) };
    let wanted = spec.process().as_ref().ok_or_else(|| Error::Invalid("the spec has no process".into()))?;
    if let Some(path) = spec.linux().as_ref().and_then(|linux| linux.cgroups_path().as_ref()) {
        cgroup::enter(&path.to_string_lossy())?;
    }
    unshare(UnshareFlags::NEWCGROUP, "cannot make a group namespace")?;
    let root = bundle.join("rootfs");
    rootfs::assemble(&root, spec)?;
    rootfs::enter(&root, spec)?;
    let has_terminal = take_streams(stdio, wanted.user().uid(), send_master)?;
    rootfs::protect(spec)?;
    exec::become_program(wanted, wanted.args().as_deref().unwrap_or_default(), has_terminal, filter)
}

/// Whether it is a terminal.
fn take_streams(stdio: Stdio, uid: u32, send_master: impl FnOnce(&OwnedFd) -> Result<()>) -> Result<bool> {
    let Stdio::Pipes { stdin, stdout, stderr } = stdio else {
        let terminal = exec::take_terminal(uid, send_master)?;
        rootfs::put_console(terminal.as_fd())?;
        return Ok(true);
    };
    for (number, stream) in [stdin, stdout, stderr].into_iter().enumerate() {
        // The host's null device is a way into the host's /dev: the container's own serves as well.
        let stream = if rootfs::is_null(stream.as_fd()) { rootfs::null()? } else { stream };
        check(unsafe { libc::dup2(stream.as_raw_fd(), number as i32) }, "dup2")?;
    }
    Ok(false)
}
