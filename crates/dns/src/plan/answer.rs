//! Answers as they leave: header, the client's own question, records as far as they fit, OPT.

use std::net::IpAddr;

use super::wire::{CLASS_IN, Code, Edns, HEADER_BYTES, Query, UDP_BYTES_MAX, flag, kind};
use super::zone::{Data, Owner, Record, TTL_S};

/// A name that is the question's, written as a pointer.
const POINTER_TO_QUESTION: [u8; 2] = [0xc0, HEADER_BYTES as u8];
const OPT_BYTES: usize = 11;
const REFRESH_S: u32 = 7_200;
const RETRY_S: u32 = 1_800;
const EXPIRE_S: u32 = 86_400;
const BAD_VERSION: u8 = 1;

/// What goes into an answer.
#[derive(Clone, Debug, Default)]
pub struct Sections {
    pub answers: Vec<Record>,
    pub authority: Vec<Record>,
    pub additional: Vec<Record>,
    /// Records that somebody else made, ready for the wire, after `answers`.
    pub foreign: Vec<Vec<u8>>,
}

/// Writes an answer of at most `limit` bytes; what does not fit is left out and said to be. `turn` rotates the answers,
/// so that clients that take the first spread over all.
pub fn write(query: &Query<'_>, code: Code, is_ours: bool, sections: &Sections, limit: usize, turn: usize) -> Vec<u8> {
    let mut packet = start(query, code, is_ours);
    let limit = limit - if query.edns.is_some() { OPT_BYTES } else { 0 };
    let count = sections.answers.len();
    let turned = (0..count).map(|place| &sections.answers[(place + turn) % count]);
    let mut counts = [0_u16; 3];
    let mut fits = push_all(&mut packet, turned, limit, &mut counts[0]);
    fits = fits && push_foreign(&mut packet, &sections.foreign, limit, &mut counts[0]);
    fits = fits && push_all(&mut packet, sections.authority.iter(), limit, &mut counts[1]);
    // Additional records are a kindness: leaving them out is no truncation.
    if fits {
        push_all(&mut packet, sections.additional.iter(), limit, &mut counts[2]);
    } else {
        packet[2] |= (flag::TRUNCATED >> 8) as u8;
    }
    if let Some(edns) = query.edns {
        push_opt(&mut packet, edns);
        counts[2] += 1;
    }
    for (place, count) in (6..).step_by(2).zip(counts) {
        packet[place..place + 2].copy_from_slice(&count.to_be_bytes());
    }
    packet
}

/// An answer without records.
pub fn empty(query: &Query<'_>, code: Code) -> Vec<u8> {
    write(query, code, false, &Sections::default(), UDP_BYTES_MAX, 0)
}

/// The answer to what is no proper query: only a header.
pub fn refusal(id: u16, flags: u16, code: Code) -> Vec<u8> {
    let mut packet = vec![0; HEADER_BYTES];
    packet[..2].copy_from_slice(&id.to_be_bytes());
    let kept = flags & (flag::OPCODE | flag::RECURSION_DESIRED);
    packet[2..4].copy_from_slice(&(flag::RESPONSE | kept | code as u16).to_be_bytes());
    packet
}

fn start(query: &Query<'_>, code: Code, is_ours: bool) -> Vec<u8> {
    let mut packet = Vec::with_capacity(UDP_BYTES_MAX / 8);
    let kept = query.flags & (flag::RECURSION_DESIRED | flag::CHECKING_DISABLED);
    let ours = if is_ours { flag::AUTHORITATIVE } else { 0 };
    let flags = flag::RESPONSE | flag::RECURSION_AVAILABLE | kept | ours | code as u16;
    packet.extend_from_slice(&query.id.to_be_bytes());
    packet.extend_from_slice(&flags.to_be_bytes());
    packet.extend_from_slice(&[0, 1, 0, 0, 0, 0, 0, 0]);
    packet.extend_from_slice(query.question);
    packet
}

/// Whether all fitted.
fn push_all<'a>(
    packet: &mut Vec<u8>,
    records: impl Iterator<Item = &'a Record>,
    limit: usize,
    count: &mut u16,
) -> bool {
    for record in records {
        let before = packet.len();
        push(packet, record);
        if packet.len() > limit {
            packet.truncate(before);
            return false;
        }
        *count += 1;
    }
    true
}

fn push_foreign(packet: &mut Vec<u8>, records: &[Vec<u8>], limit: usize, count: &mut u16) -> bool {
    for record in records {
        if packet.len() + record.len() > limit {
            return false;
        }
        packet.extend_from_slice(record);
        *count += 1;
    }
    true
}

fn push(packet: &mut Vec<u8>, record: &Record) {
    match &record.owner {
        Owner::Asked => packet.extend_from_slice(&POINTER_TO_QUESTION),
        Owner::Name(name) => packet.extend_from_slice(name.wire()),
    }
    packet.extend_from_slice(&kind_of(&record.data).to_be_bytes());
    packet.extend_from_slice(&CLASS_IN.to_be_bytes());
    packet.extend_from_slice(&record.ttl_s.to_be_bytes());
    let at = packet.len();
    packet.extend_from_slice(&[0, 0]);
    push_data(packet, &record.data);
    let length = (packet.len() - at - 2) as u16;
    packet[at..at + 2].copy_from_slice(&length.to_be_bytes());
}

fn kind_of(data: &Data) -> u16 {
    match data {
        Data::Address(IpAddr::V4(_)) => kind::A,
        Data::Address(IpAddr::V6(_)) => kind::AAAA,
        Data::Alias(_) => kind::CNAME,
        Data::Pointer(_) => kind::PTR,
        Data::NameServer(_) => kind::NS,
        Data::Server { .. } => kind::SRV,
        Data::Text(_) => kind::TXT,
        Data::Authority { .. } => kind::SOA,
    }
}

fn push_data(packet: &mut Vec<u8>, data: &Data) {
    match data {
        Data::Address(IpAddr::V4(address)) => packet.extend_from_slice(&address.octets()),
        Data::Address(IpAddr::V6(address)) => packet.extend_from_slice(&address.octets()),
        Data::Alias(name) | Data::Pointer(name) | Data::NameServer(name) => packet.extend_from_slice(name.wire()),
        Data::Server { priority, weight, port, target } => {
            for number in [priority, weight, port] {
                packet.extend_from_slice(&number.to_be_bytes());
            }
            packet.extend_from_slice(target.wire());
        }
        Data::Text(text) => {
            packet.push(text.len() as u8);
            packet.extend_from_slice(text.as_bytes());
        }
        Data::Authority { primary, mailbox, serial } => {
            packet.extend_from_slice(primary.wire());
            packet.extend_from_slice(mailbox.wire());
            // The last number is how long an answer "there is none" may be kept.
            for number in [*serial, REFRESH_S, RETRY_S, EXPIRE_S, TTL_S] {
                packet.extend_from_slice(&number.to_be_bytes());
            }
        }
    }
}

/// Only version 0 of EDNS is known; to others it is said so (RFC 6891, 6.1.3).
fn push_opt(packet: &mut Vec<u8>, edns: Edns) {
    packet.push(0);
    packet.extend_from_slice(&kind::OPT.to_be_bytes());
    packet.extend_from_slice(&(UDP_BYTES_MAX as u16).to_be_bytes());
    let extended = if edns.version > 0 { BAD_VERSION } else { 0 };
    let dnssec_ok = if edns.dnssec_ok { 0x80 } else { 0 };
    packet.extend_from_slice(&[extended, 0, dnssec_ok, 0, 0, 0]);
}
