//! An extra process in a running container. Runs in a process of its own, and never returns when it succeeds.
//!
//! Our own rather than libcontainer's: that one starts extra processes without the container's seccomp filter, and
//! reads and writes its state each time, which probes would pay once a second.
//! The order is the point: groups and namespaces first (they need our privileges), then the filter, then the user.
//! Not here: the fork before, and the streams, which are descriptors 0 to 2 already or a terminal to be made.

use std::ffi::CString;
use std::fs;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;

use oci_spec::runtime::{LinuxSeccomp, Spec};

use crate::{Error, Result, capability, cgroup, create};

/// What to run, where everything else (user, capabilities, filter, environment) is as the container's spec says.
pub struct Process<'a> {
    pub bundle: &'a Path,
    /// The container's first process.
    pub init: i32,
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
    let linux = spec.linux().as_ref();
    if let Some(path) = linux.and_then(|linux| linux.cgroups_path().as_ref()) {
        cgroup::enter(&path.to_string_lossy(), std::process::id())?;
    }
    enter_namespaces(process.init, &spec)?;
    // A pid namespace holds for children only. The child's parent is ours: it reaps.
    match fork_sibling()? {
        0 => {
            let problem =
                in_container(process, &spec, send_master).err().map_or(String::new(), |problem| problem.to_string());
            let _ = rustix::io::write(&failure, problem.as_bytes());
            unsafe { libc::_exit(126) }
        }
        pid => Ok(pid),
    }
}

fn enter_namespaces(init: i32, spec: &Spec) -> Result<()> {
    let pidfd = unsafe { libc::syscall(libc::SYS_pidfd_open, init, 0) } as i32;
    if pidfd < 0 {
        return Err(Error::io("the container's process is gone", std::io::Error::last_os_error()));
    }
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    let mut flags =
        libc::CLONE_NEWNS | libc::CLONE_NEWCGROUP | libc::CLONE_NEWNET | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;
    let namespaces = spec.linux().as_ref().and_then(|linux| linux.namespaces().as_ref());
    let own_pids = |list: &Vec<oci_spec::runtime::LinuxNamespace>| {
        list.iter().any(|namespace| namespace.typ() == oci_spec::runtime::LinuxNamespaceType::Pid)
    };
    if namespaces.is_some_and(own_pids) {
        flags |= libc::CLONE_NEWPID;
    }
    check(unsafe { libc::setns(pidfd.as_raw_fd(), flags) }, "cannot enter the container's namespaces")
}

/// A child of our parent: whoever started us waits for it, as for the container's first process.
fn fork_sibling() -> Result<i32> {
    let flags = libc::CLONE_PARENT;
    // With a zero stack and these flags clone is fork, which is safe in a process with one thread.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags | libc::SIGCHLD, 0, 0, 0, 0) } as i32;
    if pid < 0 { Err(Error::io("cannot fork", std::io::Error::last_os_error())) } else { Ok(pid) }
}

fn in_container(process: &Process, spec: &Spec, send_master: impl FnOnce(&OwnedFd) -> Result<()>) -> Result<()> {
    check(unsafe { libc::setsid() }, "setsid")?;
    if process.terminal {
        let (master, slave) = terminal()?;
        send_master(&master)?;
        check(unsafe { libc::ioctl(slave.as_raw_fd(), libc::TIOCSCTTY, 0) }, "cannot take the terminal")?;
        for fd in 0..3 {
            check(unsafe { libc::dup2(slave.as_raw_fd(), fd) }, "dup2")?;
        }
    }
    check(
        unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) } as i32,
        "close_range",
    )?;
    let wanted = spec.process().as_ref().ok_or_else(|| Error::Invalid("the spec has no process".into()))?;
    let env = environment(wanted, process.terminal);
    let cwd = CString::new(wanted.cwd().to_string_lossy().as_bytes()).map_err(|_| Error::Invalid("bad cwd".into()))?;
    check(unsafe { libc::chdir(cwd.as_ptr()) }, "chdir to the working directory")?;
    confine(spec, wanted)?;
    let program = process.args.first().map_or("", String::as_str);
    let program = create::find_program(program, &env).map_err(Error::Refused)?;
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    let problem = create::execute(&program, process.args, &env);
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

/// Gives up what the container does not have: groups, ids, capabilities, calls. Nothing may come after but `execve`.
fn confine(spec: &Spec, wanted: &oci_spec::runtime::Process) -> Result<()> {
    let user = wanted.user();
    unsafe { libc::umask(user.umask().unwrap_or(0o022)) };
    let no_new_privileges = wanted.no_new_privileges() == Some(true);
    if no_new_privileges {
        check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }, "no_new_privs")?;
    }
    let filter = spec.linux().as_ref().and_then(|linux| linux.seccomp().as_ref());
    if !no_new_privileges {
        load_filter(filter)?;
    }
    let capabilities = wanted.capabilities().as_ref();
    let names = |set: Option<&oci_spec::runtime::Capabilities>| -> Vec<String> {
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
    if no_new_privileges {
        load_filter(filter)?;
    }
    Ok(())
}

fn load_filter(filter: Option<&LinuxSeccomp>) -> Result<()> {
    let Some(filter) = filter else { return Ok(()) };
    let loaded = libcontainer::seccomp::initialize_seccomp(filter);
    loaded.map(|_| ()).map_err(|problem| Error::Refused(format!("cannot load the seccomp filter: {problem}")))
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

fn check(result: i32, what: &str) -> Result<()> {
    if result < 0 { Err(Error::io(what, std::io::Error::last_os_error())) } else { Ok(()) }
}
