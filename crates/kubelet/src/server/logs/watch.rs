//! Waits for a file to change, or for another one to take its name, through inotify.

use std::io;
use std::path::Path;

use rustix::fs::inotify::{CreateFlags, WatchFlags, add_watch, init};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;

/// Room for many events; what they say does not matter.
const BUFFER_BYTES: usize = 4096;

/// A watch on a file and on its folder.
pub struct Watch {
    /// An inotify descriptor is read as a pipe is.
    events: Receiver,
}

impl Watch {
    /// # Errors
    /// There is no such file, or the user's limit of watches is reached.
    pub fn new(path: &Path) -> io::Result<Self> {
        let fd = init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        add_watch(&fd, path, WatchFlags::MODIFY | WatchFlags::MOVE_SELF)?;
        if let Some(folder) = path.parent() {
            // New names matter; and after a rotation the new file's writes show here.
            add_watch(&fd, folder, WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::MODIFY)?;
        }
        Ok(Self { events: Receiver::from_owned_fd_unchecked(fd)? })
    }

    /// Returns after a change since the last call; safe to drop and call again.
    ///
    /// # Errors
    /// The descriptor fails.
    pub async fn changed(&mut self) -> io::Result<()> {
        let mut buffer = [0; BUFFER_BYTES];
        self.events.read(&mut buffer).await.map(drop)
    }
}
