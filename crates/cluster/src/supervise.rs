//! The supervisor: a small process that starts the server, starts it again when it dies, and passes on the end.
//!
//! It is the one process that `up` starts. Who keeps a cluster running holds a lock on a file with its process id while
//! it lives: the supervisor, or a server in the foreground (see [`crate::foreground`]), which has none. `up` takes the
//! lock and hands it down, so that there is no moment in which two could start.

use std::ffi::CStr;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

use crate::cgroup;
use crate::home::{self, Home};
use crate::progress::{self, Said};

/// Two starts are so far apart at least; one that lived longer is started again at once.
const BACKOFF_MS_MIN: u64 = 100;
const BACKOFF_MS_MAX: u64 = 10_000;
/// The cgroup of supervisor and server, below the cluster's.
pub(crate) const SYSTEM_LEAF: &str = "system";
/// What the kernel calls a server.
const SERVER_NAME: &CStr = c"kybern-server";
/// How long a server may take to end before it is killed.
const SERVER_PATIENCE_SECONDS: u64 = 20;
/// Who keeps a cluster may have to wait for its server first.
const KEEPER_PATIENCE_SECONDS: u64 = SERVER_PATIENCE_SECONDS + 10;
/// The allocator would back its first few kilobytes with huge pages: 4 MiB for each process, most of it never used.
pub const HUGE_PAGES: (&str, &str) = ("MIMALLOC_ALLOW_THP", "0");

/// Starts a detached supervisor for the cluster, when none lives. The caller has the cluster's turn.
///
/// # Errors
/// Another supervisor lives, or this one cannot be started.
pub fn start(home: &Home) -> Result<()> {
    std::fs::create_dir_all(&home.logs).with_context(|| format!("create {}", home.logs.display()))?;
    let log = OpenOptions::new().create(true).append(true).open(home.server_log());
    let log = log.with_context(|| format!("open {}", home.server_log().display()))?;
    let mut held = hold(home)?;
    let mut command = Command::new(std::env::current_exe().context("find this executable")?);
    if let Some(root) = &home.root {
        // The supervisor is elsewhere: a relative path would lead it elsewhere.
        command.env(home::ROOT, root);
    }
    command.args(["supervise", "--name", &home.name]).current_dir("/").env(HUGE_PAGES.0, HUGE_PAGES.1);
    // The lock belongs to the open file: it lasts until the supervisor, who has it as its input, is gone.
    command.stdin(Stdio::from(held.try_clone()?)).stdout(log.try_clone()?).stderr(log).process_group(0);
    let process = command.spawn().context("start the supervisor")?;
    // At once, and not only by itself: whose the name is must be seen when this command ends.
    cgroup::enter(&home.kernel_name(), SYSTEM_LEAF, process.id())?;
    sign(&mut held, process.id())
}

/// Makes this process, a server, the one that keeps the cluster: as long as the answer is open. The caller has the
/// cluster's turn.
///
/// # Errors
/// Another one keeps it, or the cgroup cannot be entered.
pub fn take_place(home: &Home) -> Result<File> {
    let mut held = hold(home)?;
    rustix::thread::set_name(SERVER_NAME).context("name the server")?;
    cgroup::enter(&home.kernel_name(), SYSTEM_LEAF, std::process::id())?;
    sign(&mut held, std::process::id())?;
    Ok(held)
}

/// Takes the lock of who keeps the cluster running.
fn hold(home: &Home) -> Result<File> {
    let path = home.supervisor();
    let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path);
    let file = file.with_context(|| format!("open {}", path.display()))?;
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        bail!("the cluster {:?} is kept running already", home.name);
    }
    Ok(file)
}

/// Writes into the locked file whose it is.
fn sign(held: &mut File, process: u32) -> Result<()> {
    held.set_len(0).and_then(|()| held.rewind()).context("empty the file of who keeps the cluster")?;
    write!(held, "{process}").context("write who keeps the cluster")
}

/// A server whose supervisor was killed is told by the kernel, and ends; its port is free when it is gone.
pub fn end_orphans(home: &Home) -> Result<()> {
    cgroup::end(&servers(home)?)
}

/// The servers of a cluster; shims, which outlive them, are in the same cgroup.
pub fn servers(home: &Home) -> Result<Vec<u32>> {
    let mut found = cgroup::processes(&home.kernel_name())?;
    // By this name one is known that is dying, too: it has lost its command line, and still holds its sockets.
    found.retain(|process| {
        std::fs::read(format!("/proc/{process}/comm")).is_ok_and(|name| name.trim_ascii_end() == SERVER_NAME.to_bytes())
    });
    Ok(found)
}

/// A handle of who keeps the cluster running, if somebody does: a supervisor, or a server in the foreground.
pub fn living(home: &Home) -> Result<Option<OwnedFd>> {
    let pid = process(home)?.and_then(|process| Pid::from_raw(i32::try_from(process).ok()?));
    // It ended just now when there is nothing to open.
    Ok(pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()))
}

/// The process id of who keeps the cluster running, if somebody does.
pub fn process(home: &Home) -> Result<Option<u32>> {
    let mut file = match File::open(home.supervisor()) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("open {}", home.supervisor().display())),
    };
    if flock(&file, FlockOperation::NonBlockingLockShared).is_ok() {
        return Ok(None);
    }
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok(text.trim().parse().ok())
}

/// Asks who keeps the cluster to end, and with it the server; waits until it is gone, and kills it when it does not go.
pub fn stop(home: &Home) -> Result<()> {
    let Some(keeper) = living(home)? else { return Ok(()) };
    tell(&keeper, Signal::TERM)?;
    let patience = Timespec { tv_sec: KEEPER_PATIENCE_SECONDS as i64, tv_nsec: 0 };
    if poll(&mut [PollFd::new(&keeper, PollFlags::IN)], Some(&patience)).context("wait for the cluster's end")? == 0 {
        tell(&keeper, Signal::KILL)?;
        poll(&mut [PollFd::new(&keeper, PollFlags::IN)], None).context("wait for the cluster's end")?;
    }
    Ok(())
}

fn tell(process: &OwnedFd, what: Signal) -> Result<()> {
    match pidfd_send_signal(process, what) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(error).context("end who keeps the cluster running"),
    }
}

/// The supervisor's life: until SIGTERM or SIGINT.
///
/// # Errors
/// It was not started by [`start`], or it cannot hear signals.
pub async fn run(home: &Home) -> Result<()> {
    holds(home)?;
    // The terminal that `up` ran in may close.
    rustix::process::setsid().ok();
    cgroup::enter(&home.kernel_name(), SYSTEM_LEAF, std::process::id())?;
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    let mut backoff_ms = BACKOFF_MS_MIN;
    loop {
        let begun = Instant::now();
        match server(home) {
            Err(error) => eprintln!("supervisor: {error:#}"),
            Ok(mut server) => tokio::select! {
                status = server.wait() => eprintln!("supervisor: the server ended: {}", status?),
                _ = term.recv() => return end(server).await,
                _ = int.recv() => return end(server).await,
            },
        }
        // One that got ready is started again soon; one that cannot start is not tried ever faster.
        if let Some(Said::Ready { .. }) = progress::last(&home.progress()) {
            backoff_ms = BACKOFF_MS_MIN;
            // `up` and `status` shall not take the dead one's word for the next one's.
            progress::Teller::new(&home.progress(), std::time::Instant::now())?;
        }
        tokio::select! {
            () = tokio::time::sleep_until(begun + Duration::from_millis(backoff_ms)) => {}
            _ = term.recv() => return Ok(()),
            _ = int.recv() => return Ok(()),
        }
        backoff_ms = (backoff_ms * 2).min(BACKOFF_MS_MAX);
    }
}

fn server(home: &Home) -> Result<tokio::process::Child> {
    let mut command = tokio::process::Command::new("/proc/self/exe");
    // By this link an executable that was replaced meanwhile is still found; `ps` shows the usual name.
    command.arg0("kybern").args(["server", "--name", &home.name]).kill_on_drop(true);
    command.args(["--supervisor", &std::process::id().to_string()]);
    // The lock is the supervisor's alone.
    command.stdin(Stdio::null());
    command.spawn().context("start the server")
}

/// In the server: it does not outlive its supervisor, or `up` could not start another one.
///
/// # Errors
/// The supervisor is gone already.
pub fn end_with(supervisor: u32) -> Result<()> {
    rustix::thread::set_name(SERVER_NAME).context("name the server")?;
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).context("follow the supervisor")?;
    let parent = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get().unsigned_abs());
    if parent != Some(supervisor) {
        bail!("the supervisor {supervisor} is gone");
    }
    Ok(())
}

/// The server is asked to end; when it does not, killed.
async fn end(mut server: tokio::process::Child) -> Result<()> {
    if let Some(pid) = server.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw) {
        rustix::process::kill_process(pid, Signal::TERM).context("end the server")?;
    }
    match tokio::time::timeout(Duration::from_secs(SERVER_PATIENCE_SECONDS), server.wait()).await {
        Ok(status) => status.map(drop).context("wait for the server"),
        Err(_) => server.kill().await.context("kill the server"),
    }
}

/// The supervisor's input is the locked file.
fn holds(home: &Home) -> Result<()> {
    let input = rustix::fs::fstat(rustix::stdio::stdin()).context("the supervisor's input")?;
    let path = home.supervisor();
    let file = std::fs::metadata(&path).with_context(|| format!("read {}", path.display()))?;
    if (input.st_dev, input.st_ino) != (file.dev(), file.ino()) {
        bail!("kybern up starts the supervisor");
    }
    Ok(())
}
