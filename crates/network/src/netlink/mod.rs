//! Netlink sockets, messages and attributes, as raw bytes. Knows no family's contents.

mod socket;
mod wire;

pub(crate) use socket::Socket;
pub(crate) use wire::{Attributes, Batch, attributes, be32, u32_at, u64_at};
