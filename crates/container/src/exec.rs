//! An extra process in a running container. Runs in a process of its own, and never returns when it succeeds.
//!
//! The order is the point: groups and namespaces first (they need our privileges), then the filter, then the user.
//! Not here: the fork before, and the streams, which are descriptors 0 to 2 already or a terminal to be made.

use std::ffi::CString;
use std::fs;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use oci_spec::runtime::Spec;

use crate::filter::Filter;
use crate::{Error, Result, cgroup, check, confine, program, rootfs};

/// What to run, where everything else (user, capabilities, filter, environment) is as the container's spec says.
pub struct Process<'a> {
    pub bundle: &'a Path,
    /// The container's first process (a `pidfd`, opened while its number was surely its own).
    pub init: BorrowedFd<'a>,
    pub args: &'a [String],
    /// Make a terminal: its master side is handed to `send_master`.
    pub terminal: bool,
}

/// Enters the container and, in a child, executes the program. Returns the child's process id in the parent.
/// The child reports what prevented the execution through `failure`, which is closed when the program runs.
pub fn run(process: &Process, failure: OwnedFd, send_master: impl FnOnce(&OwnedFd) -> Result<()>) -> Result<i32> {
    let file = process.bundle.join("config.json");
    let spec =
        Spec::load(&file).map_err(|problem| Error::Invalid(format!("cannot read {}: {problem}", file.display())))?;
    // Read here: inside, the bundle is out of reach.
    let filter = Filter::of_bundle(process.bundle, &spec)?;
    let linux = spec.linux().as_ref();
    if let Some(path) = linux.and_then(|linux| linux.cgroups_path().as_ref()) {
        cgroup::enter(&path.to_string_lossy())?;
    }
    if let Some(score) = spec.process().as_ref().and_then(|process| process.oom_score_adj()) {
        // Not every machine lets it be lowered; the container runs without that as well.
        let _ = fs::write("/proc/self/oom_score_adj", score.to_string());
    }
    enter_namespaces(process.init, &spec)?;
    // A pid namespace holds for children only. The child's parent is ours: it reaps.
    match fork_sibling()? {
        0 => {
            let done = in_container(process, &spec, filter.as_ref(), send_master);
            let problem = done.err().map_or(String::new(), |problem| problem.to_string());
            let _ = rustix::io::write(&failure, problem.as_bytes());
            unsafe { libc::_exit(126) }
        }
        pid => Ok(pid),
    }
}

fn enter_namespaces(init: BorrowedFd, spec: &Spec) -> Result<()> {
    let mut flags =
        libc::CLONE_NEWNS | libc::CLONE_NEWCGROUP | libc::CLONE_NEWNET | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;
    let namespaces = spec.linux().as_ref().and_then(|linux| linux.namespaces().as_ref());
    let own_pids = |list: &Vec<oci_spec::runtime::LinuxNamespace>| {
        list.iter().any(|namespace| namespace.typ() == oci_spec::runtime::LinuxNamespaceType::Pid)
    };
    if namespaces.is_some_and(own_pids) {
        flags |= libc::CLONE_NEWPID;
    }
    check(unsafe { libc::setns(init.as_raw_fd(), flags) }, "cannot enter the container's namespaces")
}

/// A child of our parent: whoever started us waits for it, as for the container's first process.
///
/// Others in the container's process id namespace see it before it is confined and while it holds descriptors of the
/// host's. They must not look into it: nobody may who lacks the capability, until it executes the program.
pub(crate) fn fork_sibling() -> Result<i32> {
    check(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) }, "set dumpable")?;
    let flags = libc::CLONE_PARENT;
    // With a zero stack and these flags clone is fork, which is safe in a process with one thread.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags | libc::SIGCHLD, 0, 0, 0, 0) } as i32;
    if pid < 0 { Err(Error::io("cannot fork", std::io::Error::last_os_error())) } else { Ok(pid) }
}

fn in_container(
    process: &Process,
    spec: &Spec,
    filter: Option<&Filter>,
    send_master: impl FnOnce(&OwnedFd) -> Result<()>,
) -> Result<()> {
    check(unsafe { libc::setsid() }, "setsid")?;
    let wanted = spec.process().as_ref().ok_or_else(|| Error::Invalid("the spec has no process".into()))?;
    if process.terminal {
        take_terminal(wanted.user().uid(), send_master)?;
    }
    leave_the_hosts_null()?;
    become_program(wanted, process.args, process.terminal, filter)
}

/// The host's null device is a way into the host's /dev: its mode and owner could be changed through it.
fn leave_the_hosts_null() -> Result<()> {
    let is_null = |number: i32| rootfs::is_null(unsafe { BorrowedFd::borrow_raw(number) });
    for number in (0..3).filter(|number| is_null(*number)) {
        let own = rootfs::null()?;
        check(unsafe { libc::dup2(own.as_raw_fd(), number) }, "dup2")?;
    }
    Ok(())
}

/// The last steps of every process: confine it, and execute the program. Returns only when that fails.
pub(crate) fn become_program(
    wanted: &oci_spec::runtime::Process,
    args: &[String],
    terminal: bool,
    filter: Option<&Filter>,
) -> Result<()> {
    check(
        unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) } as i32,
        "close_range",
    )?;
    let env = environment(wanted, terminal);
    let cwd = CString::new(wanted.cwd().to_string_lossy().as_bytes()).map_err(|_| Error::Invalid("bad cwd".into()))?;
    check(unsafe { libc::chdir(cwd.as_ptr()) }, "chdir to the working directory")?;
    if !std::env::current_dir().is_ok_and(|folder| folder.is_absolute()) {
        return Err(Error::Refused("the working directory is not in the container".into()));
    }
    confine::apply(wanted, filter)?;
    let program = args.first().map_or("", String::as_str);
    let program = program::find(program, &env).map_err(Error::Refused)?;
    // The standard library ignores SIGPIPE, and execve keeps that: programs expect the default.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    let problem = program::execute(&program, args, &env);
    Err(Error::io(format!("exec: \"{program}\""), problem))
}

fn environment(wanted: &oci_spec::runtime::Process, terminal: bool) -> Vec<String> {
    let mut env = wanted.env().clone().unwrap_or_default();
    let has = |env: &[String], name: &str| env.iter().any(|entry| entry.starts_with(name));
    if !has(&env, "HOME=") {
        let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let wish = crate::user::Wish { user: Some(wanted.user().uid().to_string()), ..Default::default() };
        let home = crate::user::resolve(&wish, &passwd, "").ok().and_then(|user| user.home);
        env.push(format!("HOME={}", home.unwrap_or_else(|| "/".into())));
    }
    if terminal && !has(&env, "TERM=") {
        env.push("TERM=xterm".into());
    }
    env
}

/// Makes a terminal of the container's, this process's own, and hands the master side out. The terminal.
pub(crate) fn take_terminal(uid: u32, send_master: impl FnOnce(&OwnedFd) -> Result<()>) -> Result<OwnedFd> {
    let (master, slave) = terminal()?;
    send_master(&master)?;
    check(unsafe { libc::ioctl(slave.as_raw_fd(), libc::TIOCSCTTY, 0) }, "cannot take the terminal")?;
    for fd in 0..3 {
        check(unsafe { libc::dup2(slave.as_raw_fd(), fd) }, "dup2")?;
    }
    if uid != 0 {
        let owned = rustix::fs::fchown(&slave, Some(rustix::fs::Uid::from_raw(uid)), None);
        owned.map_err(|problem| Error::io("cannot give the terminal to the user", problem))?;
    }
    Ok(slave)
}

fn terminal() -> Result<(OwnedFd, OwnedFd)> {
    use rustix::fs::{Mode, OFlags, open};
    let io = |problem: rustix::io::Errno| Error::io("cannot make a terminal", problem);
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let master = open("/dev/ptmx", flags, Mode::empty()).map_err(io)?;
    rustix::pty::unlockpt(&master).map_err(io)?;
    let name = rustix::pty::ptsname(&master, Vec::new()).map_err(io)?;
    let slave = open(name.as_c_str(), flags, Mode::empty()).map_err(io)?;
    Ok((master, slave))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_looks_into_a_process_that_is_half_ours() {
        let (read, write) = rustix::pipe::pipe().unwrap();
        // The children of a process with threads make system calls only.
        let child = match unsafe { libc::fork() } {
            0 => match fork_sibling() {
                Ok(0) => unsafe { libc::_exit(libc::prctl(libc::PR_GET_DUMPABLE, 0, 0, 0, 0)) },
                Ok(sibling) => {
                    let _ = rustix::io::write(&write, &sibling.to_ne_bytes());
                    unsafe { libc::_exit(0) }
                }
                Err(_) => unsafe { libc::_exit(1) },
            },
            child => child,
        };
        let mut sibling = [0; 4];
        assert_eq!(rustix::io::read(&read, &mut sibling), Ok(4));
        let code = |pid: i32| {
            let mut status = 0;
            assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
            libc::WEXITSTATUS(status)
        };
        // Ours too: that is what is tested.
        assert_eq!((code(child), code(i32::from_ne_bytes(sibling))), (0, 0));
    }
}
