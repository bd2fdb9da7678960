//! A netlink socket that sends a batch and reads what the kernel says to it.
//!
//! The kernel answers inside `send`, so the answers are there to be read when it returns: nothing ever waits.
//! A socket stays in the network namespace in which it was opened, whoever uses it afterwards.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, netlink};

use super::wire::{Batch, HEADER_BYTES, attributes, u32_at};
use crate::{Error, Result};

const RECEIVE_BYTES: usize = 1 << 16;
const SOL_NETLINK: i32 = 270;
const NETLINK_ADD_MEMBERSHIP: i32 = 1;
const GROUP_NFTABLES: i32 = 7;
const NETLINK_CAP_ACK: i32 = 10;
const NETLINK_EXT_ACK: i32 = 11;
const FLAG_CAPPED: u16 = 0x100;
const FLAG_ACK_TLVS: u16 = 0x200;
const KIND_ERROR: u16 = 2;
const KIND_DONE: u16 = 3;
const NLMSGERR_ATTR_MSG: u16 = 1;

pub(crate) struct Socket {
    fd: OwnedFd,
    next_sequence: u32,
}

/// One message of the kernel's answer.
struct Reply<'a> {
    kind: u16,
    flags: u16,
    sequence: u32,
    body: &'a [u8],
}

impl Socket {
    /// rtnetlink, whose protocol number is zero.
    pub(crate) fn route() -> Result<Self> {
        Self::open(None)
    }

    pub(crate) fn netfilter() -> Result<Self> {
        Self::open(Some(netlink::NETFILTER))
    }

    /// The descriptor of a socket that hears what everybody changes in nf_tables and never waits.
    pub(crate) fn nft_events() -> Result<OwnedFd> {
        let fd = Self::open(Some(netlink::NETFILTER))?.fd;
        let listen = || -> io::Result<()> {
            set_option(&fd, NETLINK_ADD_MEMBERSHIP, GROUP_NFTABLES)?;
            rustix::io::ioctl_fionbio(&fd, true)?;
            Ok(())
        };
        listen().map_err(|error| Error::system("listen to changes of nf_tables", error))?;
        Ok(fd)
    }

    fn open(protocol: Option<Protocol>) -> Result<Self> {
        let open = || -> io::Result<OwnedFd> {
            let fd = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)?;
            rustix::net::bind(&fd, &netlink::SocketAddrNetlink::new(0, 0))?;
            // Only what they add to error messages would be missing on a kernel without them.
            let _ = set_option(&fd, NETLINK_EXT_ACK, 1);
            let _ = set_option(&fd, NETLINK_CAP_ACK, 1);
            Ok(fd)
        };
        let fd = open().map_err(|error| Error::system("open a netlink socket", error))?;
        Ok(Self { fd, next_sequence: 1 })
    }

    /// Sends messages that all ask for an acknowledgement. The kernel goes on after a refused one, so the outcome is
    /// one result per message, in their order.
    pub(crate) fn run(&mut self, batch: Batch) -> Result<Vec<Result<()>>> {
        if batch.operations.is_empty() {
            return Ok(Vec::new());
        }
        let operations = batch.operations.clone();
        let first = self.send(batch)?;
        let mut outcomes: Vec<Option<Result<()>>> = operations.iter().map(|_| None).collect();
        while outcomes.iter().any(Option::is_none) {
            self.receive("read acknowledgements", |reply| {
                let index = reply.sequence.wrapping_sub(first) as usize;
                if let (KIND_ERROR, Some(operation)) = (reply.kind, operations.get(index)) {
                    outcomes[index] = Some(reply.outcome(operation));
                }
                Ok(())
            })?;
        }
        Ok(outcomes.into_iter().flatten().collect())
    }

    /// Like `run`, but the first refusal is the result.
    pub(crate) fn run_all(&mut self, batch: Batch) -> Result<()> {
        self.run(batch)?.into_iter().collect()
    }

    /// Sends one dump (or get) request and gives each answering message's kind and body to `each`.
    pub(crate) fn dump(&mut self, batch: Batch, mut each: impl FnMut(u16, &[u8])) -> Result<()> {
        let operation = batch.operations.concat();
        let first = self.send(batch)?;
        let mut done = false;
        while !done {
            self.receive(&operation, |reply| {
                if reply.sequence != first {
                    return Ok(());
                }
                match reply.kind {
                    KIND_ERROR | KIND_DONE => {
                        done = true;
                        reply.outcome(&operation)?;
                    }
                    kind => each(kind, reply.body),
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Sends a netfilter transaction, whose last numbered message asks for an acknowledgement, and gives the first refusal.
    pub(crate) fn transact(&mut self, batch: Batch, acknowledged: usize) -> Result<()> {
        // The kernel takes a transaction only as one datagram; this needs no more than the right that nftables needs.
        rustix::net::sockopt::set_socket_send_buffer_size_force(&self.fd, batch.bytes.len() + (1 << 16))
            .map_err(|error| Error::system("size the netlink send buffer", error))?;
        let operations = batch.operations.clone();
        let first = self.send(batch)?;
        let mut outcome = None;
        while outcome.is_none() {
            self.receive("commit rules", |reply| {
                let index = reply.sequence.wrapping_sub(first) as usize;
                if reply.kind == KIND_ERROR && outcome.is_none() {
                    let said = reply.outcome(operations.get(index).map_or("commit rules", |name| name.as_ref()));
                    if said.is_err() || index == acknowledged {
                        outcome = Some(said);
                    }
                }
                Ok(())
            })?;
        }
        outcome.unwrap_or(Ok(()))
    }

    fn send(&mut self, mut batch: Batch) -> Result<u32> {
        let first = self.next_sequence;
        batch.number(first);
        self.next_sequence = first.wrapping_add(batch.operations.len() as u32);
        rustix::io::retry_on_intr(|| rustix::net::send(&self.fd, &batch.bytes, SendFlags::empty())).map_err(
            |error| Error::system(batch.operations.first().map_or("netlink", |name| name.as_ref()).to_owned(), error),
        )?;
        Ok(first)
    }

    fn receive(&mut self, operation: &str, mut each: impl FnMut(Reply<'_>) -> Result<()>) -> Result<()> {
        let mut buffer = vec![0_u8; RECEIVE_BYTES];
        let (length, _) =
            rustix::io::retry_on_intr(|| rustix::net::recv(&self.fd, buffer.as_mut_slice(), RecvFlags::empty()))
                .map_err(|error| Error::system(operation, error))?;
        let mut rest = &buffer[..length];
        while !rest.is_empty() {
            let malformed = || Error::Malformed { operation: operation.into() };
            let (reply, size) = Reply::read(rest).ok_or_else(malformed)?;
            each(reply)?;
            rest = rest.get(size.next_multiple_of(4)..).unwrap_or(&[]);
        }
        Ok(())
    }
}

impl<'a> Reply<'a> {
    fn read(bytes: &'a [u8]) -> Option<(Self, usize)> {
        let length = u32_at(bytes, 0)? as usize;
        let kind = u16::from_ne_bytes([*bytes.get(4)?, *bytes.get(5)?]);
        let flags = u16::from_ne_bytes([*bytes.get(6)?, *bytes.get(7)?]);
        let sequence = u32_at(bytes, 8)?;
        let body = bytes.get(HEADER_BYTES..length)?;
        Some((Self { kind, flags, sequence, body }, length))
    }

    /// What an acknowledgement, an error or the end of a dump says.
    fn outcome(&self, operation: &str) -> Result<()> {
        let code = u32_at(self.body, 0).unwrap_or(0) as i32;
        if code == 0 {
            return Ok(());
        }
        let source = io::Error::from_raw_os_error(-code);
        Err(Error::Refused { operation: operation.into(), source, detail: self.explanation() })
    }

    fn explanation(&self) -> Option<String> {
        if self.kind != KIND_ERROR || self.flags & FLAG_ACK_TLVS == 0 {
            return None;
        }
        // The refused message follows its error code, whole or (capped) only its header; then come the attributes.
        let inner = u32_at(self.body, 4)? as usize;
        let skip = 4 + if self.flags & FLAG_CAPPED == 0 { inner.next_multiple_of(4) } else { HEADER_BYTES };
        let (_, text) = attributes(self.body.get(skip..)?).find(|(kind, _)| *kind == NLMSGERR_ATTR_MSG)?;
        Some(String::from_utf8_lossy(text).trim_end_matches('\0').to_owned())
    }
}

#[allow(unsafe_code)]
fn set_option(fd: &OwnedFd, option: i32, value: i32) -> io::Result<()> {
    // SAFETY: the pointer and the length describe `value`, which lives through the call.
    let result = unsafe {
        libc::setsockopt(fd.as_raw_fd(), SOL_NETLINK, option, (&raw const value).cast(), size_of::<i32>() as u32)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
