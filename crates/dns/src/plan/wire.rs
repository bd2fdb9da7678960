//! Queries as they arrive (RFC 1035, RFC 6891): parsed, or found to be none.

use super::name::{NAME_BYTES_MAX, Name};

pub const HEADER_BYTES: usize = 12;
/// What a client without EDNS takes over UDP.
pub const UDP_BYTES_MIN: usize = 512;
/// What we send over UDP at most, whatever a client says it takes: more would be cut to fragments.
pub const UDP_BYTES_MAX: usize = 4_096;

pub mod kind {
    pub const A: u16 = 1;
    pub const NS: u16 = 2;
    pub const CNAME: u16 = 5;
    pub const SOA: u16 = 6;
    pub const PTR: u16 = 12;
    pub const TXT: u16 = 16;
    pub const AAAA: u16 = 28;
    pub const SRV: u16 = 33;
    pub const OPT: u16 = 41;
    pub const ANY: u16 = 255;
}

pub const CLASS_IN: u16 = 1;

pub mod flag {
    pub const RESPONSE: u16 = 1 << 15;
    pub const AUTHORITATIVE: u16 = 1 << 10;
    pub const TRUNCATED: u16 = 1 << 9;
    pub const RECURSION_DESIRED: u16 = 1 << 8;
    pub const RECURSION_AVAILABLE: u16 = 1 << 7;
    pub const CHECKING_DISABLED: u16 = 1 << 4;
    pub const OPCODE: u16 = 0xf << 11;
}

/// How an answer came out (RCODE).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    NoError = 0,
    FormatError = 1,
    ServerFailure = 2,
    NoSuchName = 3,
    NotImplemented = 4,
    Refused = 5,
}

/// What the client's OPT record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edns {
    pub udp_bytes: u16,
    pub version: u8,
    pub dnssec_ok: bool,
}

/// A query with one question.
#[derive(Clone, Debug)]
pub struct Query<'a> {
    pub id: u16,
    pub flags: u16,
    /// Name (in the client's spelling), type and class as they came.
    pub question: &'a [u8],
    pub name: Name,
    pub kind: u16,
    pub class: u16,
    pub edns: Option<Edns>,
}

/// What is no query that can be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bad {
    /// Not even a header, or itself an answer: replying could start a loop.
    Ignore,
    Refuse {
        id: u16,
        flags: u16,
        code: Code,
    },
}

impl<'a> Query<'a> {
    pub fn parse(packet: &'a [u8]) -> Result<Self, Bad> {
        let word = |at: usize| Some(u16::from_be_bytes([*packet.get(at)?, *packet.get(at + 1)?]));
        let (Some(id), Some(flags)) = (word(0), word(2)) else { return Err(Bad::Ignore) };
        if packet.len() < HEADER_BYTES || flags & flag::RESPONSE != 0 {
            return Err(Bad::Ignore);
        }
        let refuse = |code| Bad::Refuse { id, flags, code };
        if flags & flag::OPCODE != 0 {
            return Err(refuse(Code::NotImplemented));
        }
        let format = refuse(Code::FormatError);
        if word(4) != Some(1) {
            return Err(format);
        }
        let (name, end) = read_name(packet, HEADER_BYTES).ok_or(format)?;
        let (kind, class) = (word(end).ok_or(format)?, word(end + 2).ok_or(format)?);
        let question = packet.get(HEADER_BYTES..end + 4).ok_or(format)?;
        let records = [6, 8, 10].into_iter().filter_map(word).map(usize::from).sum();
        let edns = read_edns(packet, end + 4, records).ok_or(format)?;
        Ok(Self { id, flags, question, name, kind, class, edns })
    }

    /// How many bytes the client takes over UDP.
    pub fn udp_bytes(&self) -> usize {
        let said = self.edns.map_or(UDP_BYTES_MIN, |edns| usize::from(edns.udp_bytes));
        said.clamp(UDP_BYTES_MIN, UDP_BYTES_MAX)
    }
}

/// The name at `at`, in lower case, and where it ends. Pointers are followed, but only backwards.
pub fn read_name(packet: &[u8], at: usize) -> Option<(Name, usize)> {
    let mut wire = Vec::with_capacity(64);
    let (mut at, mut end, mut bound) = (at, None, at);
    loop {
        let length = usize::from(*packet.get(at)?);
        match length {
            0 => {
                wire.push(0);
                return Some((Name::from_wire(wire), end.unwrap_or(at + 1)));
            }
            1..=63 => {
                wire.push(length as u8);
                wire.extend(packet.get(at + 1..at + 1 + length)?.iter().map(u8::to_ascii_lowercase));
                if wire.len() >= NAME_BYTES_MAX {
                    return None;
                }
                at += length + 1;
            }
            0xc0.. => {
                let target = (length & 0x3f) << 8 | usize::from(*packet.get(at + 1)?);
                end = end.or(Some(at + 2));
                // Strictly backwards: a loop of pointers ends here.
                if target >= bound {
                    return None;
                }
                (at, bound) = (target, target);
            }
            _ => return None,
        }
    }
}

/// A resource record's fixed part.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    pub kind: u16,
    pub class: u16,
    /// Where its time to live is in the packet.
    pub ttl_at: usize,
    pub ttl: u32,
    pub data: (usize, usize),
}

/// The record at `at` without its owner's name; the next one begins at `data.1`.
pub fn read_record(packet: &[u8], at: usize) -> Option<Header> {
    let at = skip_name(packet, at)?;
    let word = |at: usize| Some(u16::from_be_bytes([*packet.get(at)?, *packet.get(at + 1)?]));
    let ttl = u32::from(word(at + 4)?) << 16 | u32::from(word(at + 6)?);
    let end = at + 10 + usize::from(word(at + 8)?);
    (end <= packet.len()).then_some(Header {
        kind: word(at)?,
        class: word(at + 2)?,
        ttl_at: at + 4,
        ttl,
        data: (at + 10, end),
    })
}

fn skip_name(packet: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match usize::from(*packet.get(at)?) {
            0 => return Some(at + 1),
            length @ 1..=63 => at += length + 1,
            0xc0.. => return Some(at + 2),
            _ => return None,
        }
    }
}

/// The outer `None` is a malformed packet.
fn read_edns(packet: &[u8], mut at: usize, records: usize) -> Option<Option<Edns>> {
    let mut found = None;
    for _ in 0..records {
        let record = read_record(packet, at)?;
        if record.kind == kind::OPT {
            let [_, version, high, _] = record.ttl.to_be_bytes();
            found = Some(Edns { udp_bytes: record.class, version, dnssec_ok: high & 0x80 != 0 });
        }
        at = record.data.1;
    }
    Some(found)
}
