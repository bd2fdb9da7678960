//! The supervisor: a small process that starts the server, starts it again when it dies, and passes on the end.
//!
//! It is the one process that `up` starts. While it lives it holds a lock on a file with its process id.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::signal::unix::{SignalKind, signal};

use crate::cgroup;
use crate::home::Home;

const BACKOFF_MS_MIN: u64 = 100;
const BACKOFF_MS_MAX: u64 = 10_000;
/// A server that lived this long had started well: the next death waits the shortest time again.
const SETTLED_SECONDS: u64 = 30;
const SYSTEM_LEAF: &str = "system";
/// The allocator would back its first few kilobytes with huge pages: 4 MiB for each process, most of it never used.
pub const HUGE_PAGES: (&str, &str) = ("MIMALLOC_ALLOW_THP", "0");

/// Starts a detached supervisor for the cluster. The caller has checked that none lives.
pub fn start(home: &Home) -> Result<()> {
    std::fs::create_dir_all(&home.run).with_context(|| format!("create {}", home.run.display()))?;
    std::fs::create_dir_all(&home.logs).with_context(|| format!("create {}", home.logs.display()))?;
    let log = OpenOptions::new().create(true).append(true).open(home.server_log());
    let log = log.with_context(|| format!("open {}", home.server_log().display()))?;
    let mut command = Command::new(std::env::current_exe().context("find this executable")?);
    command.args(["supervise", "--name", &home.name]).current_dir("/").env(HUGE_PAGES.0, HUGE_PAGES.1);
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0);
    command.spawn().context("start the supervisor")?;
    Ok(())
}

/// The process id of a living supervisor.
pub fn living(home: &Home) -> Result<Option<u32>> {
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

/// Ends a living supervisor, and with it the server; waits until it is gone.
pub fn stop(home: &Home) -> Result<()> {
    let Some(process) = living(home)? else { return Ok(()) };
    let Some(pid) = i32::try_from(process).ok().and_then(Pid::from_raw) else { bail!("{process} is no process id") };
    let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else { return Ok(()) };
    pidfd_send_signal(&handle, Signal::TERM).context("end the supervisor")?;
    let mut polled = [rustix::event::PollFd::new(&handle, rustix::event::PollFlags::IN)];
    rustix::event::poll(&mut polled, None).context("wait for the supervisor")?;
    Ok(())
}

/// The supervisor's life: until SIGTERM or SIGINT.
///
/// # Errors
/// Another supervisor of this cluster lives, or the server cannot even be started.
pub async fn run(home: &Home) -> Result<()> {
    let _held = hold(home)?;
    // The terminal that `up` ran in may close.
    rustix::process::setsid().ok();
    cgroup::enter(&home.kernel_name(), SYSTEM_LEAF, std::process::id())?;
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    let mut backoff_ms = BACKOFF_MS_MIN;
    loop {
        let begun = Instant::now();
        let mut server = server(home)?;
        tokio::select! {
            status = server.wait() => eprintln!("supervisor: the server ended: {}", status?),
            _ = term.recv() => return end(server).await,
            _ = int.recv() => return end(server).await,
        }
        if begun.elapsed() > Duration::from_secs(SETTLED_SECONDS) {
            backoff_ms = BACKOFF_MS_MIN;
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(backoff_ms)) => {}
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
    command.spawn().context("start the server")
}

/// The server is asked to end; when it does not, killed.
async fn end(mut server: tokio::process::Child) -> Result<()> {
    const PATIENCE_SECONDS: u64 = 20;
    if let Some(pid) = server.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw) {
        rustix::process::kill_process(pid, Signal::TERM).context("end the server")?;
    }
    match tokio::time::timeout(Duration::from_secs(PATIENCE_SECONDS), server.wait()).await {
        Ok(status) => status.map(drop).context("wait for the server"),
        Err(_) => server.kill().await.context("kill the server"),
    }
}

fn hold(home: &Home) -> Result<File> {
    let path = home.supervisor();
    let mut file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path)?;
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        bail!("the cluster {:?} has a supervisor already", home.name);
    }
    file.set_len(0)?;
    file.rewind()?;
    write!(file, "{}", std::process::id()).with_context(|| format!("write {}", path.display()))?;
    Ok(file)
}
