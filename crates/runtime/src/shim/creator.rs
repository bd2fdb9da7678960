//! The forked child that creates and starts one container, and ends. Not here: what the shim keeps of it.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;

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
    let (outcome, master) = match create(start, streams) {
        Ok((pid, master)) => (Outcome { pid: Some(pid), error: None }, master),
        Err(problem) => (Outcome { pid: None, error: Some(problem) }, None),
    };
    let bytes = serde_json::to_vec(&outcome).unwrap_or_default();
    let master: Vec<_> = master.iter().map(|master| master.as_fd()).collect();
    let sent = wire::send(&result, &bytes, &master);
    process::exit(i32::from(sent.is_err()))
}

fn create(start: &Start, streams: Streams) -> Result<(i32, Option<OwnedFd>), String> {
    mount_rootfs(start)?;
    adjust_oom_score(start.oom_score_adj);
    if !start.tty {
        let stdio = pipes(start, streams).map_err(|problem| format!("cannot prepare the streams: {problem}"))?;
        let pid = create::run(&start.container, &start.bundle, stdio).map_err(|problem| problem.to_string())?;
        return Ok((pid, None));
    }
    let console_socket = start.bundle.join("console.sock");
    let listener = listen(&console_socket).map_err(|problem| format!("cannot listen for the terminal: {problem}"))?;
    let pid = create::run(&start.container, &start.bundle, Stdio::Terminal { console_socket });
    let pid = pid.map_err(|problem| problem.to_string())?;
    let master = receive_master(&listener).map_err(|problem| format!("no terminal came: {problem}"))?;
    Ok((pid, Some(master)))
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

/// Binds with a relative name: the whole path may be too long for an address.
fn listen(path: &Path) -> std::io::Result<UnixListener> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    std::env::set_current_dir(folder)?;
    UnixListener::bind(path.file_name().unwrap_or_default())
}

fn receive_master(listener: &UnixListener) -> std::io::Result<OwnedFd> {
    let (connection, _) = listener.accept()?;
    let (_, descriptors) = wire::receive(&connection)?;
    descriptors.into_iter().next().ok_or_else(|| std::io::ErrorKind::UnexpectedEof.into())
}
