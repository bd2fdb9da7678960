//! The host's resolv.conf: read, and followed through inotify. It is often a link into a folder of somebody else, and
//! replaced rather than written, so the folders are watched.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::plan::upstream;

const EVENT_BYTES: usize = 4_096;

pub struct Watch {
    path: PathBuf,
    /// `None` on a machine that has no more inotify instances: the file is read once then.
    events: Option<AsyncFd<OwnedFd>>,
}

impl Watch {
    pub fn start(path: &Path) -> Self {
        let events = watch(path).inspect_err(|error| tracing::warn!("{} is not followed: {error}", path.display()));
        Self { path: path.to_owned(), events: events.ok() }
    }

    /// The resolvers to ask now, but for our own addresses; none if the file cannot be read.
    pub fn read(&self, own: &[IpAddr]) -> Vec<SocketAddr> {
        match std::fs::read_to_string(&self.path) {
            Ok(text) => upstream::parse(&text, own),
            Err(error) => {
                tracing::warn!("{}: {error}; names outside of the cluster are not known", self.path.display());
                Vec::new()
            }
        }
    }

    /// Waits until something happened in one of the folders.
    pub async fn changed(&mut self) {
        let Some(events) = &self.events else { return std::future::pending().await };
        let drained = events.async_io(Interest::READABLE, drain).await;
        if let Err(error) = drained {
            tracing::warn!("{} is not followed any more: {error}", self.path.display());
            self.events = None;
        }
    }
}

fn watch(path: &Path) -> std::io::Result<AsyncFd<OwnedFd>> {
    let fd = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
    let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    for folder in [path.parent(), real.parent()].into_iter().flatten() {
        let what = WatchFlags::CLOSE_WRITE | WatchFlags::MOVED_TO | WatchFlags::CREATE | WatchFlags::DELETE;
        inotify::add_watch(&fd, folder, what)?;
    }
    register(fd)
}

/// The call is deprecated for types that may close their descriptor behind its back; an `OwnedFd` does not.
#[allow(deprecated)]
fn register(fd: OwnedFd) -> std::io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(fd, Interest::READABLE)
}

/// What happened is of no interest: the file is read again anyway.
fn drain(fd: &OwnedFd) -> std::io::Result<()> {
    let mut buffer = [std::mem::MaybeUninit::uninit(); EVENT_BYTES];
    let mut events = inotify::Reader::new(fd, &mut buffer);
    let mut seen = false;
    loop {
        match events.next() {
            Ok(event) => seen |= !event.events().contains(ReadFlags::IGNORED),
            Err(rustix::io::Errno::AGAIN) if seen => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}
