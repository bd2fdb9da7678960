//! The forked child that creates and starts one container, and ends. Not here: what the shim keeps of it.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};

use container::create::{self, Stdio};
use rustix::mount::MountPropagationFlags;

use super::protocol::Start;
use super::replies::Outcome;
use super::{process, wire};

/// The container's ends of its streams.
pub struct Streams {
    pub stdin: Option<OwnedFd>,
    pub stdout: Option<OwnedFd>,
    pub stderr: Option<OwnedFd>,
}

/// Does everything, reports through `result`, and ends the process.
pub fn main(start: &Start, streams: Streams, result: OwnedFd) -> ! {
    let outcome = match create(start, streams, &result) {
        Ok(pid) => Outcome { pid: Some(pid), error: None },
        Err(problem) => Outcome { pid: None, error: Some(problem) },
    };
    let bytes = serde_json::to_vec(&outcome).unwrap_or_default();
    let sent = wire::send(&result, &bytes, &[]);
    process::exit(i32::from(sent.is_err()))
}

fn create(start: &Start, streams: Streams, result: &OwnedFd) -> Result<i32, String> {
    mount_rootfs(start)?;
    adjust_oom_score(start.oom_score_adj);
    let stdio = if start.tty {
        Stdio::Terminal
    } else {
        pipes(start, streams).map_err(|problem| format!("cannot prepare the streams: {problem}"))?
    };
    let send_master = |master: &OwnedFd| hand_over(result, master);
    create::run(&start.bundle, stdio, send_master).map_err(|problem| problem.to_string())
}

/// Sends a terminal's master side to the shim, before the report of the process that has the other side.
pub fn hand_over(result: &OwnedFd, master: &OwnedFd) -> container::Result<()> {
    let bytes = serde_json::to_vec(&Outcome::default()).unwrap_or_default();
    wire::send(result, &bytes, &[master.as_fd()])
        .map_err(|problem| container::Error::Refused(format!("cannot hand over the terminal: {problem}")))
}

/// Mounts the root file system where only this process and the container see it: it goes when they go.
fn mount_rootfs(start: &Start) -> Result<(), String> {
    let target = start.bundle.join("rootfs");
    let at = |what: &str, problem: &dyn std::fmt::Display| format!("{what}: {problem}");
    std::fs::create_dir_all(&target).map_err(|problem| at("cannot make the mount point", &problem))?;
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNS) }
        .map_err(|problem| at("cannot make a mount namespace", &problem))?;
    if !start.shared_root {
        rustix::mount::mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)
            .map_err(|problem| at("cannot detach the mount namespace", &problem))?;
    }
    start.rootfs.mount(&target).map_err(|problem| problem.to_string())?;
    image::rootfs::make_dir_in(&target, &start.cwd, start.uid, start.gid).map_err(|problem| problem.to_string())
}

/// Lowering the score needs a privilege that not every machine gives; a container runs without it as well.
fn adjust_oom_score(score: Option<i32>) {
    if let Some(score) = score {
        let _ = std::fs::write("/proc/self/oom_score_adj", score.to_string());
    }
}

fn pipes(start: &Start, streams: Streams) -> std::io::Result<Stdio> {
    let null = || File::options().read(true).write(true).open("/dev/null").map(OwnedFd::from);
    let stdin = streams.stdin.map_or_else(null, Ok)?;
    let stdout = streams.stdout.map_or_else(null, Ok)?;
    let stderr = streams.stderr.map_or_else(null, Ok)?;
    // A user other than root must be able to open /dev/stdout again.
    for stream in [&stdin, &stdout, &stderr] {
        if start.uid != 0 && rustix::fs::fstat(stream)?.st_mode & libc::S_IFMT == libc::S_IFIFO {
            rustix::fs::fchown(stream, Some(rustix::fs::Uid::from_raw(start.uid)), None)?;
        }
    }
    Ok(Stdio::Pipes { stdin, stdout, stderr })
}
