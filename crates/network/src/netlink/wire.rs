//! The bytes of netlink: messages in a batch, nested attributes, and the way back.
//!
//! Every message is `nlmsghdr`, a family header, attributes; all padded to four bytes, in the machine's byte order
//! unless a family says otherwise (netfilter's numbers are big endian).

use std::borrow::Cow;

pub(crate) const HEADER_BYTES: usize = 16;
const NESTED: u16 = 1 << 15;
const TYPE_MASK: u16 = (1 << 14) - 1;

/// Messages that are sent in one system call.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) bytes: Vec<u8>,
    pub(crate) operations: Vec<Cow<'static, str>>,
    /// Where the last message begins.
    last: usize,
}

impl Batch {
    /// Adds a message; `operation` names it in errors. The body writes its attributes.
    pub(crate) fn push(
        &mut self,
        operation: impl Into<Cow<'static, str>>,
        kind: u16,
        flags: u16,
        header: &[u8],
        body: impl FnOnce(&mut Attributes<'_>),
    ) {
        let start = self.bytes.len();
        self.last = start;
        self.bytes.extend_from_slice(&[0; HEADER_BYTES]);
        self.bytes.extend_from_slice(header);
        pad(&mut self.bytes);
        body(&mut Attributes(&mut self.bytes));
        let length = (self.bytes.len() - start) as u32;
        self.bytes[start..start + 4].copy_from_slice(&length.to_ne_bytes());
        self.bytes[start + 4..start + 6].copy_from_slice(&kind.to_ne_bytes());
        self.bytes[start + 6..start + 8].copy_from_slice(&flags.to_ne_bytes());
        self.operations.push(operation.into());
    }

    /// Adds a flag to the last message.
    pub(crate) fn ask_acknowledgement(&mut self, flag: u16) {
        let at = self.last;
        if let Some(flags) = self.bytes.get_mut(at + 6..at + 8) {
            let old = u16::from_ne_bytes([flags[0], flags[1]]);
            flags.copy_from_slice(&(old | flag).to_ne_bytes());
        }
    }

    /// Numbers the messages, the first one `first`.
    pub(crate) fn number(&mut self, first: u32) {
        let (mut at, mut sequence) = (0, first);
        while let Some(length) = u32_at(&self.bytes, at) {
            self.bytes[at + 8..at + 12].copy_from_slice(&sequence.to_ne_bytes());
            sequence = sequence.wrapping_add(1);
            at += length as usize;
        }
    }
}

/// Writes attributes at the end of a message.
pub(crate) struct Attributes<'a>(&'a mut Vec<u8>);

impl Attributes<'_> {
    pub(crate) fn bytes(&mut self, kind: u16, value: &[u8]) {
        self.0.extend_from_slice(&((value.len() + 4) as u16).to_ne_bytes());
        self.0.extend_from_slice(&kind.to_ne_bytes());
        self.0.extend_from_slice(value);
        pad(self.0);
    }

    pub(crate) fn u8(&mut self, kind: u16, value: u8) {
        self.bytes(kind, &[value]);
    }

    pub(crate) fn u32(&mut self, kind: u16, value: u32) {
        self.bytes(kind, &value.to_ne_bytes());
    }

    pub(crate) fn be32(&mut self, kind: u16, value: u32) {
        self.bytes(kind, &value.to_be_bytes());
    }

    pub(crate) fn be64(&mut self, kind: u16, value: u64) {
        self.bytes(kind, &value.to_be_bytes());
    }

    /// A string with its terminating zero.
    pub(crate) fn text(&mut self, kind: u16, value: &str) {
        let mut bytes = Vec::with_capacity(value.len() + 1);
        bytes.extend_from_slice(value.as_bytes());
        bytes.push(0);
        self.bytes(kind, &bytes);
    }

    pub(crate) fn nest(&mut self, kind: u16, body: impl FnOnce(&mut Attributes<'_>)) {
        self.nest_after(kind, &[], body);
    }

    /// A nested attribute that starts with a fixed header (as a veth peer does).
    pub(crate) fn nest_after(&mut self, kind: u16, header: &[u8], body: impl FnOnce(&mut Attributes<'_>)) {
        let start = self.0.len();
        self.0.extend_from_slice(&[0; 4]);
        self.0.extend_from_slice(header);
        pad(self.0);
        body(&mut Attributes(self.0));
        let length = (self.0.len() - start) as u16;
        self.0[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self.0[start + 2..start + 4].copy_from_slice(&(kind | NESTED).to_ne_bytes());
    }

    /// How many bytes of a nested attribute's 64 KiB are taken since `start`.
    pub(crate) fn position(&self) -> usize {
        self.0.len()
    }
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

/// The attributes in `bytes`; damaged ones end the walk.
pub(crate) fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes([*rest.first()?, *rest.get(1)?]));
        let kind = u16::from_ne_bytes([*rest.get(2)?, *rest.get(3)?]) & TYPE_MASK;
        let value = rest.get(4..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        Some((kind, value))
    })
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

pub(crate) fn be32(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(..4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_come_back_as_written() {
        let mut batch = Batch::default();
        batch.push("test", 7, 1, &[1, 2, 3], |a| {
            a.text(1, "eth0");
            a.nest(2, |a| a.bytes(5, &[0x12, 0x34]));
        });
        batch.push("test", 8, 1, &[], |_| ());
        batch.number(40);
        assert_eq!(u32_at(&batch.bytes, 8), Some(40));
        let first = u32_at(&batch.bytes, 0).unwrap() as usize;
        assert_eq!(u32_at(&batch.bytes, first + 8), Some(41));
        let read: Vec<_> = attributes(&batch.bytes[HEADER_BYTES + 4..first]).collect();
        assert_eq!(read[0], (1, &b"eth0\0"[..]));
        assert_eq!(attributes(read[1].1).next(), Some((5, &[0x12, 0x34][..])));
    }
}
