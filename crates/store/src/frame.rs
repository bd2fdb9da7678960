//! The bytes of the log: frames of records.
//!
//! A frame is one group commit: `magic, length, crc32, payload`, padded to 8 bytes. It is written and synced
//! as a whole before the next one is begun, so an unreadable frame with nothing readable after it is a torn
//! last write (and was never acknowledged), and one with anything readable after it is damage.
//!
//! ```text
//!   segment = u32 magic | u32 salt | frame* zero*        frame = u32 magic | u32 length | u32 crc | payload | pad
//!   payload = record*             record = u8 tag | u64 revision | fields, all little endian, bytes as u32 length + data
//! ```
//!
//! The checksum starts from the segment's random salt: nobody who may write values can make one that looks
//! like a frame of the log.

use bytes::Bytes;

use crate::{LeaseId, Op, Revision};

const MAGIC: u32 = 0x314c_424b;
const SEGMENT_MAGIC: u32 = 0x3153_424b;
const HEADER_BYTES: usize = 12;
/// Where the first frame of a segment starts.
pub const SEGMENT_HEADER_BYTES: usize = 8;
const ALIGN_BYTES: usize = 8;

/// One durable change.
#[derive(Clone, Debug)]
pub enum Record {
    Commit { revision: Revision, ops: Vec<Op> },
    Grant { revision: Revision, lease: LeaseId, ttl_seconds: u64 },
    Revoke { revision: Revision, lease: LeaseId },
}

/// What stands at an offset of a segment.
pub enum Found {
    Frame {
        records: Vec<Record>,
        next: usize,
    },
    /// Zeros, or the end of the file: nothing was written here yet.
    End,
    Unreadable(&'static str),
}

pub fn segment_header(salt: u32) -> [u8; SEGMENT_HEADER_BYTES] {
    let mut header = [0; SEGMENT_HEADER_BYTES];
    header[..4].copy_from_slice(&SEGMENT_MAGIC.to_le_bytes());
    header[4..].copy_from_slice(&salt.to_le_bytes());
    header
}

/// The salt of a segment; `None` when it was never begun.
pub fn salt(segment: &[u8]) -> Option<u32> {
    let mut reader = Reader { rest: segment };
    (reader.int()? == SEGMENT_MAGIC).then(|| reader.int())?
}

/// Appends a frame with these records.
pub fn write(out: &mut Vec<u8>, salt: u32, records: &[Record]) {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER_BYTES]);
    for record in records {
        write_record(out, record);
    }
    let length = out.len() - start - HEADER_BYTES;
    let crc = checksum(salt, &out[start + HEADER_BYTES..]);
    out[start..start + 4].copy_from_slice(&MAGIC.to_le_bytes());
    out[start + 4..start + 8].copy_from_slice(&(length as u32).to_le_bytes());
    out[start + 8..start + 12].copy_from_slice(&crc.to_le_bytes());
    let padded = (out.len() - start).next_multiple_of(ALIGN_BYTES);
    out.resize(start + padded, 0);
}

/// Reads what stands at `offset`.
pub fn read(segment: &[u8], salt: u32, offset: usize) -> Found {
    let Some(rest) = segment.get(offset..).filter(|r| !r.is_empty()) else { return Found::End };
    let Some(header) = rest.get(..HEADER_BYTES) else {
        return if rest.iter().all(|b| *b == 0) { Found::End } else { Found::Unreadable("a cut frame header") };
    };
    let word = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    if header.iter().all(|b| *b == 0) {
        return Found::End;
    }
    if word(0) != MAGIC {
        return Found::Unreadable("no frame starts here");
    }
    let length = word(4) as usize;
    let Some(payload) = rest.get(HEADER_BYTES..HEADER_BYTES + length) else {
        return Found::Unreadable("a frame longer than its file");
    };
    if checksum(salt, payload) != word(8) {
        return Found::Unreadable("the checksum does not match");
    }
    match read_records(payload) {
        Some(records) => Found::Frame { records, next: offset + (HEADER_BYTES + length).next_multiple_of(ALIGN_BYTES) },
        None => Found::Unreadable("a frame with unknown records"),
    }
}

/// Whether a readable frame starts anywhere after `offset`.
pub fn readable_after(segment: &[u8], salt: u32, offset: usize) -> bool {
    let mut at = (offset + 1).next_multiple_of(ALIGN_BYTES);
    while at + HEADER_BYTES <= segment.len() {
        if segment[at..at + 4] == MAGIC.to_le_bytes() && matches!(read(segment, salt, at), Found::Frame { .. }) {
            return true;
        }
        at += ALIGN_BYTES;
    }
    false
}

fn checksum(salt: u32, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(salt);
    hasher.update(payload);
    hasher.finalize()
}

const COMMIT: u8 = 1;
const GRANT: u8 = 2;
const REVOKE: u8 = 3;
const PUT: u8 = 1;
const DELETE: u8 = 2;

fn write_record(out: &mut Vec<u8>, record: &Record) {
    match record {
        Record::Commit { revision, ops } => {
            out.push(COMMIT);
            out.extend_from_slice(&revision.to_le_bytes());
            out.extend_from_slice(&(ops.len() as u32).to_le_bytes());
            ops.iter().for_each(|op| write_op(out, op));
        }
        Record::Grant { revision, lease, ttl_seconds } => {
            out.push(GRANT);
            [revision, lease, ttl_seconds].iter().for_each(|n| out.extend_from_slice(&n.to_le_bytes()));
        }
        Record::Revoke { revision, lease } => {
            out.push(REVOKE);
            [revision, lease].iter().for_each(|n| out.extend_from_slice(&n.to_le_bytes()));
        }
    }
}

fn write_op(out: &mut Vec<u8>, op: &Op) {
    match op {
        Op::Put { key, value, lease } => {
            out.push(PUT);
            out.extend_from_slice(&lease.unwrap_or(0).to_le_bytes());
            write_bytes(out, key);
            write_bytes(out, value);
        }
        Op::Delete { key } => {
            out.push(DELETE);
            write_bytes(out, key);
        }
    }
}

pub fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(bytes);
}

fn read_records(payload: &[u8]) -> Option<Vec<Record>> {
    let mut reader = Reader { rest: payload };
    let mut records = Vec::new();
    while !reader.rest.is_empty() {
        records.push(read_record(&mut reader)?);
    }
    Some(records)
}

fn read_record(reader: &mut Reader<'_>) -> Option<Record> {
    let (tag, revision) = (reader.byte()?, reader.long()?);
    match tag {
        COMMIT => {
            let count = reader.int()?;
            let ops = (0..count).map(|_| read_op(reader)).collect::<Option<Vec<_>>>()?;
            Some(Record::Commit { revision, ops })
        }
        GRANT => Some(Record::Grant { revision, lease: reader.long()?, ttl_seconds: reader.long()? }),
        REVOKE => Some(Record::Revoke { revision, lease: reader.long()? }),
        _ => None,
    }
}

fn read_op(reader: &mut Reader<'_>) -> Option<Op> {
    match reader.byte()? {
        PUT => {
            let lease = Some(reader.long()?).filter(|lease| *lease != 0);
            Some(Op::Put { key: reader.bytes()?, value: reader.bytes()?, lease })
        }
        DELETE => Some(Op::Delete { key: reader.bytes()? }),
        _ => None,
    }
}

/// Reads fields off the front; `None` when there is too little left.
pub struct Reader<'a> {
    pub rest: &'a [u8],
}

impl Reader<'_> {
    pub fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    pub fn int(&mut self) -> Option<u32> {
        let (head, rest) = self.rest.split_first_chunk::<4>()?;
        self.rest = rest;
        Some(u32::from_le_bytes(*head))
    }

    pub fn long(&mut self) -> Option<u64> {
        let (head, rest) = self.rest.split_first_chunk::<8>()?;
        self.rest = rest;
        Some(u64::from_le_bytes(*head))
    }

    /// Copied, so that one value does not keep a whole segment in memory.
    pub fn bytes(&mut self) -> Option<Bytes> {
        let length = self.int()? as usize;
        let (head, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(Bytes::copy_from_slice(head))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit(revision: u64, value: &'static [u8]) -> Record {
        let op = Op::Put { key: Bytes::from_static(b"/a"), value: Bytes::from_static(value), lease: Some(3) };
        Record::Commit { revision, ops: vec![op, Op::Delete { key: Bytes::from_static(b"/b") }] }
    }

    const SALT: u32 = 77;

    #[test]
    fn frames_are_read_back_in_order() {
        let mut out = Vec::new();
        write(&mut out, SALT, &[commit(1, b"x"), Record::Grant { revision: 1, lease: 9, ttl_seconds: 60 }]);
        write(&mut out, SALT, &[commit(2, b"yy")]);
        out.resize(out.len() + 64, 0);
        let Found::Frame { records, next } = read(&out, SALT, 0) else { panic!("no first frame") };
        assert_eq!(records.len(), 2);
        let Found::Frame { records, next } = read(&out, SALT, next) else { panic!("no second frame") };
        assert!(matches!(&records[0], Record::Commit { revision: 2, ops } if ops.len() == 2));
        assert!(matches!(read(&out, SALT, next), Found::End));
    }

    #[test]
    fn every_flipped_bit_is_noticed_and_told_from_a_torn_end() {
        let mut out = Vec::new();
        write(&mut out, SALT, &[commit(1, b"x")]);
        let second = out.len();
        write(&mut out, SALT, &[commit(2, b"y")]);
        for bit in 0..second * 8 {
            let mut bad = out.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let padding = matches!(read(&bad, SALT, 0), Found::Frame { next, .. } if next == second);
            assert!(padding || readable_after(&bad, SALT, 0), "bit {bit}");
        }
        assert!(!readable_after(&out, SALT, second));
    }

    #[test]
    fn a_value_that_looks_like_a_frame_is_none() {
        let mut forged = Vec::new();
        write(&mut forged, SALT + 1, &[commit(9, b"evil")]);
        assert!(!readable_after(&[&[0; 8], forged.as_slice()].concat(), SALT, 0));
    }
}
