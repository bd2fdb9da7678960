//! Starts shims from a sealed copy of this executable, so that no container can ever overwrite the file that is also the
//! control plane. Not here: talking to them.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use rustix::fs::{MemfdFlags, SealFlags};
use rustix::io::Errno;
use tokio::sync::watch;

use crate::shim;

/// `F_SEAL_EXEC`: the mode's bits for execution stay.
const SEAL_EXECUTABLE: SealFlags = SealFlags::from_bits_retain(0x20);
const PAGE_LENGTH: usize = 4096;

/// The executable in memory, sealed against every change. It is copied in the background: the first pod waits for it.
pub struct Executable(watch::Receiver<Option<Result<Arc<File>, String>>>);

impl Executable {
    /// Copies the running executable.
    pub fn of_this_process() -> Executable {
        let (sender, copied) = watch::channel(None);
        tokio::task::spawn_blocking(move || {
            let copy = sealed_copy().map(Arc::new).map_err(|problem| format!("cannot copy the executable: {problem}"));
            sender.send_replace(Some(copy));
        });
        Executable(copied)
    }

    async fn copy(&self) -> io::Result<Arc<File>> {
        let mut copied = self.0.clone();
        let copy = copied.wait_for(Option::is_some).await.map_err(io::Error::other)?.clone();
        copy.unwrap_or_else(|| Err("the copying task broke".into())).map_err(io::Error::other)
    }

    /// Starts a shim that listens at `socket`. Returns our end of its first connection, and its process id.
    pub async fn spawn(&self, socket: &Path) -> io::Result<(OwnedFd, u32)> {
        let copy = self.copy().await?;
        use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        let log = File::options().create(true).append(true).open(socket.with_extension("log"))?;
        let child = tokio::process::Command::new(format!("/proc/self/fd/{}", copy.as_raw_fd()))
            .arg0("kybern")
            .arg(shim::ROLE)
            .arg(socket)
            .env_clear()
            // The binary's allocator would take memory in huge pages; a shim needs a few small ones.
            .env("MIMALLOC_ALLOW_THP", "0")
            // No other folder, user or group: with those the standard library forks, and a fork copies the page tables of
            // a large process. The shim leaves our folder by itself.
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::from(log))
            .spawn()?;
        let pid = child.id().unwrap_or_default();
        Ok((ours, pid))
    }
}

fn sealed_copy() -> io::Result<File> {
    let mut source = File::open("/proc/self/exe")?;
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut copy = File::from(rustix::fs::memfd_create("kybern", flags)?);
    copy_in_pages(&mut source, &mut copy)?;
    let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    // A container may run this file as /proc/self/exe, and root in it owns it: nobody may take away that it can be executed.
    match rustix::fs::fcntl_add_seals(&copy, seals | SEAL_EXECUTABLE) {
        // Kernels before 6.3 do not know that seal.
        Err(Errno::INVAL) => rustix::fs::fcntl_add_seals(&copy, seals)?,
        other => other?,
    }
    Ok(copy)
}

/// One page at a time: a larger write makes the kernel keep the file in large folios, and a shim that touches one byte of
/// its code would then have all of a folio mapped.
fn copy_in_pages(source: &mut File, copy: &mut File) -> io::Result<()> {
    let mut page = [0; PAGE_LENGTH];
    loop {
        match source.read(&mut page)? {
            0 => return Ok(()),
            length => copy.write_all(&page[..length])?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{Mode, fchmod};

    #[test]
    fn the_copy_stays_executable() {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let probe = rustix::fs::memfd_create("probe", flags).unwrap();
        if rustix::fs::fcntl_add_seals(&probe, SEAL_EXECUTABLE).is_err() {
            eprintln!("skipped: the kernel does not know the seal");
            return;
        }
        let copy = sealed_copy().unwrap();
        assert_eq!(fchmod(&copy, Mode::empty()), Err(Errno::PERM));
        assert!(rustix::io::write(&copy, b"x").is_err());
    }
}
