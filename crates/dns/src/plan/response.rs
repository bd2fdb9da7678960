//! Answers of upstream resolvers: checked, kept for a while, given on to whoever asked the same.

use super::answer;
use super::name::Name;
use super::wire::{Code, HEADER_BYTES, Query, flag, kind, read_name, read_record};

/// Nothing is kept for longer, so that a change upstream is seen soon.
pub const KEEP_S_MAX: u32 = 30;
/// A resolver's own failure is remembered so long (RFC 2308, 7.1 allows five minutes).
const KEEP_FAILURE_S: u32 = 1;
/// "There is none" without a word on how long that holds.
const KEEP_UNSAID_S: u32 = 5;
const CODE_MASK: u16 = 0xf;

#[derive(Clone, Debug)]
pub struct Response {
    packet: Vec<u8>,
    /// Where the times to live are, and what they were.
    ttls: Vec<(usize, u32)>,
    question_end: usize,
    answer_count: usize,
    /// For how long it may be given on; 0: only to who asked.
    pub keep_s: u32,
}

impl Response {
    /// `None` unless the packet is a whole answer with this id to this question.
    pub fn parse(packet: Vec<u8>, id: u16, name: &Name, kind: u16, class: u16) -> Option<Self> {
        let word = |at: usize| Some(u16::from_be_bytes([*packet.get(at)?, *packet.get(at + 1)?]));
        let flags = word(2)?;
        if word(0)? != id || flags & flag::RESPONSE == 0 || word(4)? != 1 {
            return None;
        }
        let (asked, end) = read_name(&packet, HEADER_BYTES)?;
        if asked != *name || word(end)? != kind || word(end + 2)? != class {
            return None;
        }
        let counts = [word(6)?, word(8)?, word(10)?].map(usize::from);
        let ttls = ttls(&packet, end + 4, counts.iter().sum())?;
        let keep_s = keep(flags, &ttls);
        Some(Self { ttls, question_end: end + 4, answer_count: counts[0], keep_s, packet })
    }

    /// The answer for a client: its id, its spelling of the name, and times to live less the age. What exceeds `limit`
    /// becomes an empty answer that says so; the client then asks over TCP.
    pub fn reply(&self, query: &Query<'_>, age_s: u32, limit: usize) -> Vec<u8> {
        if self.packet.len() > limit || self.question_end != HEADER_BYTES + query.question.len() {
            let mut packet = answer::empty(query, Code::NoError);
            packet[2] |= (flag::TRUNCATED >> 8) as u8;
            return packet;
        }
        let mut packet = self.packet.clone();
        packet[..2].copy_from_slice(&query.id.to_be_bytes());
        packet[HEADER_BYTES..self.question_end].copy_from_slice(query.question);
        let asked = (query.flags & flag::RECURSION_DESIRED) >> 8;
        packet[2] = packet[2] & !((flag::RECURSION_DESIRED >> 8) as u8) | asked as u8;
        for (at, ttl) in &self.ttls {
            packet[*at..at + 4].copy_from_slice(&ttl.saturating_sub(age_s).to_be_bytes());
        }
        packet
    }

    /// Its addresses and aliases, as records that stand for themselves (names written out).
    pub fn addresses(&self) -> Vec<Vec<u8>> {
        let mut at = self.question_end;
        let mut found = Vec::new();
        for _ in 0..self.answer_count {
            let (Some((owner, _)), Some(record)) = (read_name(&self.packet, at), read_record(&self.packet, at)) else {
                break;
            };
            let raw = &self.packet[record.data.0..record.data.1];
            let data = match record.kind {
                kind::A | kind::AAAA => Some(raw.to_vec()),
                kind::CNAME => read_name(&self.packet, record.data.0).map(|(name, _)| name.wire().to_vec()),
                _ => None,
            };
            if let Some(data) = data {
                let mut bytes = owner.wire().to_vec();
                bytes.extend_from_slice(&record.kind.to_be_bytes());
                bytes.extend_from_slice(&record.class.to_be_bytes());
                bytes.extend_from_slice(&record.ttl.to_be_bytes());
                bytes.extend_from_slice(&(data.len() as u16).to_be_bytes());
                bytes.extend_from_slice(&data);
                found.push(bytes);
            }
            at = record.data.1;
        }
        found
    }

    pub fn bytes(&self) -> usize {
        self.packet.len()
    }

    /// The upstream's own verdict: no error, or no such name; anything else is its failure.
    pub fn is_failure(&self) -> bool {
        !matches!(u16::from(self.packet[3]) & CODE_MASK, 0 | 3)
    }

    pub fn is_no_such_name(&self) -> bool {
        u16::from(self.packet[3]) & CODE_MASK == Code::NoSuchName as u16
    }
}

fn ttls(packet: &[u8], mut at: usize, records: usize) -> Option<Vec<(usize, u32)>> {
    let mut found = Vec::new();
    for _ in 0..records {
        let record = read_record(packet, at)?;
        if record.kind != kind::OPT {
            found.push((record.ttl_at, record.ttl));
        }
        at = record.data.1;
    }
    Some(found)
}

fn keep(flags: u16, ttls: &[(usize, u32)]) -> u32 {
    let least = ttls.iter().map(|(_, ttl)| *ttl).min();
    match flags & CODE_MASK {
        _ if flags & flag::TRUNCATED != 0 => 0,
        0 | 3 => least.unwrap_or(KEEP_UNSAID_S).min(KEEP_S_MAX),
        2 => KEEP_FAILURE_S,
        _ => 0,
    }
}
