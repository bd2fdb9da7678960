//! Processes and signals of a shim: forking helpers, hearing of the dead, the clock. Not here: what is done in a child.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// The user and group of a process that needs none, as that of upstream's pause image.
const NOBODY: libc::uid_t = 65_535;

/// Nanoseconds since 1970.
pub fn now() -> i64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

/// A descriptor that becomes readable when a child ends. The signal stays blocked in this process.
pub fn child_signals() -> io::Result<OwnedFd> {
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGCHLD);
        libc::sigprocmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
        match libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) {
            -1 => Err(io::Error::last_os_error()),
            fd => Ok(OwnedFd::from_raw_fd(fd)),
        }
    }
}

/// Adopts orphans below this process and leads a session of its own: a terminal's Ctrl-C is not for shims.
pub fn become_reaper() -> io::Result<()> {
    unsafe {
        libc::setsid();
        if libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    }
}

/// A child that has ended: its id, and its exit code (128 + signal for a killed one). `None` when there is none.
pub fn reap() -> Option<(i32, i32)> {
    let mut status = 0;
    match unsafe { libc::waitpid(-1, &mut status, libc::WNOHANG | libc::__WALL) } {
        pid if pid > 0 => Some((pid, code(status))),
        _ => None,
    }
}

fn code(status: i32) -> i32 {
    if libc::WIFSIGNALED(status) { 128 + libc::WTERMSIG(status) } else { libc::WEXITSTATUS(status) }
}

/// Forks. Sound here because the process has one thread. The child has no signal blocked.
/// `Ok(0)` in the child, which must end by [`exit`].
pub fn fork() -> io::Result<i32> {
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            unblock_signals();
            // The allocator forbade huge pages to the shim; what runs in containers may have them.
            unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 0, 0, 0, 0) };
            Ok(0)
        }
        pid => Ok(pid),
    }
}

fn unblock_signals() {
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigprocmask(libc::SIG_SETMASK, &set, std::ptr::null_mut());
    }
}

/// Ends a forked child without running what the parent registered.
pub fn exit(code: i32) -> ! {
    unsafe { libc::_exit(code) }
}

/// The first process of a new process id namespace: it only reaps, and ends with this process.
///
/// The containers see it, and one with `CAP_SYS_PTRACE` may look into it and act through it: it has no files, no
/// capabilities and, where the kernel lets it choose, no system calls.
pub fn fork_pause() -> io::Result<i32> {
    let (ready, told) = pipe(false)?;
    let flags = libc::CLONE_NEWPID | libc::SIGCHLD;
    let pid = match unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) } as i32 {
        -1 => return Err(io::Error::last_os_error()),
        0 => {
            unblock_signals();
            // Whoever waits reads the end of the pipe.
            let _ = pause(&told);
            exit(1)
        }
        pid => pid,
    };
    drop(told);
    match rustix::io::retry_on_intr(|| rustix::io::read(&ready, &mut [0; 1]))? {
        0 => Err(io::Error::other("the process that holds the pod's process ids could not be confined")),
        _ => Ok(pid),
    }
}

/// Confines this process, says so, and waits for ever.
fn pause(told: &OwnedFd) -> io::Result<()> {
    // Ignored, the kernel reaps the orphans by itself.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
    leave_all_files()?;
    let failed = |outcome: i64| if outcome < 0 { Err(io::Error::last_os_error()) } else { Ok(()) };
    unsafe {
        failed(libc::dup2(told.as_raw_fd(), 0).into())?;
        failed(libc::syscall(libc::SYS_close_range, 1, u32::MAX, 0))?;
        let mut never = [0; 2];
        failed(libc::pipe(never.as_mut_ptr()).into())?;
        failed(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0).into())?;
        failed(libc::syscall(libc::SYS_setgroups, 0, 0))?;
        failed(libc::syscall(libc::SYS_setresgid, NOBODY, NOBODY, NOBODY))?;
        failed(libc::syscall(libc::SYS_setresuid, NOBODY, NOBODY, NOBODY))?;
        failed(libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0).into())?;
        // After the change of the user, which takes it back.
        failed(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0).into())?;
        // Reading and writing stay. Refused where this process is filtered already, which holds it as well.
        let _ = libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_STRICT, 0, 0, 0);
        failed(libc::write(0, [1_u8].as_ptr().cast(), 1) as i64)?;
        loop {
            let mut byte = 0_u8;
            libc::read(never[0], (&raw mut byte).cast(), 1);
        }
    }
}

/// Changes the root to an empty folder that cannot be written to, in a mount namespace of this process's own.
fn leave_all_files() -> io::Result<()> {
    use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNS) }?;
    rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    let flags = MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    rustix::mount::mount("pause", "/proc", "tmpfs", flags, None)?;
    rustix::process::chdir("/proc")?;
    // The old root lies on the new one then, and is taken off.
    rustix::process::pivot_root(".", ".")?;
    rustix::mount::unmount(".", UnmountFlags::DETACH)?;
    Ok(rustix::process::chdir("/")?)
}

/// A handle of a process that stays its own when the number is another's.
pub fn handle(pid: i32) -> io::Result<OwnedFd> {
    let pid = rustix::process::Pid::from_raw(pid).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())?)
}

/// Sends a signal; a process that has ended is no error.
pub fn signal(pid: i32, signal: i32) -> io::Result<()> {
    match unsafe { libc::kill(pid, signal) } {
        0 => Ok(()),
        _ => match io::Error::last_os_error() {
            problem if problem.raw_os_error() == Some(libc::ESRCH) => Ok(()),
            problem => Err(problem),
        },
    }
}

/// A pipe whose reading end does not block; both ends are closed on execution.
pub fn pipe(nonblocking_reader: bool) -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    if nonblocking_reader {
        set_nonblocking(&read)?;
    }
    Ok((read, write))
}

pub fn set_nonblocking(fd: &OwnedFd) -> io::Result<()> {
    let flags = rustix::fs::fcntl_getfl(fd)?;
    Ok(rustix::fs::fcntl_setfl(fd, flags | rustix::fs::OFlags::NONBLOCK)?)
}

/// Read-only parts of this executable's mapping.
pub struct Text(Vec<(usize, usize)>);

impl Text {
    /// Mappings of the executable that are read-only and that nobody changed before they became so (as the loader does
    /// with relocated data): what `smaps` calls anonymous in them would be lost.
    pub fn of_this_process() -> Text {
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap_or_default();
        let executable = std::fs::read_link("/proc/self/exe").unwrap_or_default();
        let name = executable.to_string_lossy().trim_end_matches(" (deleted)").to_string();
        let mut found = Vec::new();
        let mut current = None;
        for line in maps.lines() {
            if line.contains(&name) {
                current = read_only_range(line);
            } else if let Some(size) = line.strip_prefix("Anonymous:") {
                found.extend(current.take().filter(|_| size.trim() == "0 kB"));
            }
        }
        Text(found)
    }

    /// Lets go of the pages: the next use takes them from the file again, which all shims share. A pod's shim is idle
    /// nearly always, and most of what it touched it touched only to set up.
    pub fn give_back(&self) {
        for (start, length) in &self.0 {
            // Clean pages of a file: nothing can be lost.
            unsafe { libc::madvise(*start as *mut libc::c_void, *length, libc::MADV_DONTNEED) };
        }
    }
}

/// `400000-401000 r-xp …`: where it begins, and its length.
fn read_only_range(line: &str) -> Option<(usize, usize)> {
    let mut words = line.split(' ');
    let (start, end) = words.next()?.split_once('-')?;
    if words.next()?.contains('w') {
        return None;
    }
    let (start, end) = (usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?);
    Some((start, end - start))
}
