//! The shim: one small process per pod. It holds the pod's namespaces and owns its containers: starts them, pumps their
//! output into logs, hears how they end, and outlives agent and control plane.
//!
//! ```text
//! runtime ══ packets ══▶ machine ──fork──▶ creator ──namespaces, files──▶ container  (becomes the shim's child)
//!                          ▲  └──fork──▶ entrant ──setns──▶ extra process       (becomes the shim's child)
//!    signalfd, pipes, ttys ┘
//! ```
//!
//! One thread, one epoll loop, no async runtime: its memory is paid once per pod. Whatever needs much memory or spoils the
//! process (making a container does both) happens in a forked child that ends at once.
//! Not here: images, networks, records on disk, and every decision about when a container should run.
#![allow(unsafe_code)]

mod creator;
mod entrant;
mod log;
mod machine;
mod outputs;
mod process;
pub mod protocol;
mod replies;
pub mod wire;

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};

/// The hidden role's name: `kybern shim <socket>`.
pub const ROLE: &str = "shim";

/// Runs a shim; call it first thing in `main`, before any thread. `args` are the program's arguments after its name:
/// the role's name and the path of the socket to listen on. Descriptor 0 is the first connection.
pub fn main(args: impl IntoIterator<Item = String>) -> ! {
    let mut args = args.into_iter().skip_while(|arg| arg == ROLE);
    let Some(socket) = args.next() else {
        eprintln!("usage: kybern {ROLE} SOCKET");
        std::process::exit(2);
    };
    match run(Path::new(&socket)) {
        Ok(()) => std::process::exit(0),
        Err(problem) => {
            eprintln!("shim {socket}: {problem}");
            std::process::exit(1);
        }
    }
}

fn run(socket: &Path) -> std::io::Result<()> {
    process::become_reaper()?;
    std::env::set_current_dir("/")?;
    let first = unsafe { OwnedFd::from_raw_fd(0) };
    let listener = listen(socket)?;
    let signals = process::child_signals()?;
    machine::Machine::new(socket.to_path_buf(), listener, signals)?.run(first)
}

/// Listens at a path that may be longer than a socket's address: through the descriptor of its folder.
fn listen(path: &Path) -> std::io::Result<OwnedFd> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType};
    let (folder, address) = short_address(path)?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, 16)?;
    drop(folder);
    Ok(socket)
}

/// Connects to a shim that listens at `path`.
pub fn connect(path: &Path) -> std::io::Result<OwnedFd> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType};
    let (folder, address) = short_address(path)?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    rustix::net::connect(&socket, &address)?;
    drop(folder);
    Ok(socket)
}

fn short_address(path: &Path) -> std::io::Result<(std::fs::File, rustix::net::SocketAddrUnix)> {
    let name = path.file_name().ok_or(std::io::ErrorKind::InvalidInput)?;
    let folder = std::fs::File::open(path.parent().unwrap_or(Path::new("/")))?;
    let short = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())).join(name);
    Ok((folder, rustix::net::SocketAddrUnix::new(short)?))
}
