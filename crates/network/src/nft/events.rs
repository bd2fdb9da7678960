//! Word from the kernel that somebody removed a table: `nft flush ruleset`, a firewall's restart.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use rustix::net::RecvFlags;

use super::SUBSYSTEM;
use crate::Result;
use crate::netlink::{Socket, attributes, u32_at};

const REMOVED_TABLE: u16 = SUBSYSTEM | 2;
const RECEIVE_BYTES: usize = 1 << 16;
const HEADERS_BYTES: usize = 20;
const TABLE_NAME: u16 = 1;

/// Events since it was opened. Readable when there are some, so it may be waited for with epoll.
pub struct Events {
    fd: OwnedFd,
}

impl AsRawFd for Events {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

impl Events {
    pub fn open() -> Result<Self> {
        Ok(Self { fd: Socket::nft_events()? })
    }

    /// Reads some events; whether a table of this name may have been removed (by whomever: ourselves, too).
    ///
    /// # Errors
    /// `WouldBlock` when there are none.
    pub fn read(&self, table: &str) -> io::Result<bool> {
        let mut buffer = vec![0_u8; RECEIVE_BYTES];
        match rustix::net::recv(&self.fd, buffer.as_mut_slice(), RecvFlags::empty()) {
            Ok((length, _)) => Ok(is_removal(&buffer[..length], table)),
            // More happened than was kept for us.
            Err(rustix::io::Errno::NOBUFS) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }
}

fn is_removal(mut rest: &[u8], table: &str) -> bool {
    while let Some(length) = u32_at(rest, 0).map(|length| length as usize).filter(|length| *length >= HEADERS_BYTES) {
        let kind = u16::from_ne_bytes([rest[4], rest[5]]);
        let body = rest.get(HEADERS_BYTES..length).unwrap_or(&[]);
        let mut names = attributes(body).filter(|(kind, _)| *kind == TABLE_NAME);
        let is_ours = |name: &[u8]| name.strip_suffix(b"\0").unwrap_or(name) == table.as_bytes();
        if kind == REMOVED_TABLE && names.any(|(_, name)| is_ours(name)) {
            return true;
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or(&[]);
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nft::{Family, Transaction, remove_table};

    #[test]
    fn a_removed_table_is_heard_of() {
        let heard = crate::namespace::apart(|| {
            let events = Events::open()?;
            let silent = events.read("kybtest").unwrap_err().kind();
            for name in ["kybtest", "kybtest-other"] {
                let mut transaction = Transaction::new(Family::Ipv4, name);
                transaction.add_table();
                transaction.commit()?;
            }
            remove_table(Family::Ipv4, "kybtest-other")?;
            let all = || std::iter::from_fn(|| events.read("kybtest").ok()).collect::<Vec<_>>();
            let before = all();
            remove_table(Family::Ipv4, "kybtest")?;
            Ok((silent, before.contains(&true), all().contains(&true)))
        })
        .unwrap();
        assert_eq!(heard, (io::ErrorKind::WouldBlock, false, true));
    }
}
