//! What to say to a packet: at once where the zone or the cache knows, else after asking upstream. No sockets of clients.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwap;

use super::forward::Forwarder;
use crate::plan::answer::{self, Sections};
use crate::plan::cache::{Outcome, Question};
use crate::plan::name::Name;
use crate::plan::wire::{Bad, CLASS_IN, Code, Query, flag, kind};
use crate::plan::{Data, Found, Record, Zone, lookup};

const TCP_BYTES_MAX: usize = 65_535;
/// Aliases of aliases in the zone are followed so far.
const ALIASES_MAX: usize = 8;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    Udp,
    Tcp,
}

pub enum Reply {
    /// Nothing is to be said.
    Silence,
    Packet(Vec<u8>),
    /// Somebody else must be asked: `Server::later`.
    Ask,
}

pub struct Server {
    zone: ArcSwap<Zone>,
    pub forwarder: Forwarder,
    /// Counts answers, to rotate their records.
    turn: AtomicUsize,
}

impl Server {
    pub fn new(zone: Zone, forwarder: Forwarder) -> Self {
        Self { zone: ArcSwap::from_pointee(zone), forwarder, turn: AtomicUsize::new(0) }
    }

    pub fn set_zone(&self, zone: Zone) {
        self.zone.store(Arc::new(zone));
    }

    /// The answer, if it is known here.
    pub fn now(&self, packet: &[u8], transport: Transport) -> Reply {
        let query = match Query::parse(packet) {
            Ok(query) => query,
            Err(Bad::Ignore) => return Reply::Silence,
            Err(Bad::Refuse { id, flags, code }) => return Reply::Packet(answer::refusal(id, flags, code)),
        };
        if query.class != CLASS_IN {
            return Reply::Packet(answer::empty(&query, Code::Refused));
        }
        if query.edns.is_some_and(|edns| edns.version > 0) {
            return Reply::Packet(answer::empty(&query, Code::NoError));
        }
        let zone = self.zone.load();
        let (code, sections) = match lookup(&zone, &query.name, query.kind) {
            Found::Records { answers, additional } => {
                (Code::NoError, Sections { answers, additional, ..Sections::default() })
            }
            Found::Nothing => (Code::NoError, negative(&zone)),
            Found::NoSuchName => (Code::NoSuchName, negative(&zone)),
            Found::NotYet => return Reply::Packet(answer::empty(&query, Code::ServerFailure)),
            Found::Alias(_) => return Reply::Ask,
            Found::Foreign => return self.known(&query, transport),
        };
        Reply::Packet(self.write(&query, code, &sections, transport))
    }

    /// The answer to a packet for which `now` said `Ask`.
    pub async fn later(&self, packet: &[u8], transport: Transport) -> Vec<u8> {
        let Ok(query) = Query::parse(packet) else { return Vec::new() };
        let found = lookup(&self.zone.load(), &query.name, query.kind);
        if let Found::Alias(target) = found {
            return self.follow(&query, target, transport).await;
        }
        let question = Question::of(&query, transport == Transport::Tcp);
        let outcome = self.forwarder.ask(&question, packet).await;
        give_on(&query, &outcome, 0, transport)
    }

    fn known(&self, query: &Query<'_>, transport: Transport) -> Reply {
        if query.flags & flag::RECURSION_DESIRED == 0 {
            return Reply::Packet(answer::empty(query, Code::Refused));
        }
        match self.forwarder.known(&Question::of(query, transport == Transport::Tcp)) {
            Some((outcome, age_s)) => Reply::Packet(give_on(query, &outcome, age_s, transport)),
            None => Reply::Ask,
        }
    }

    /// An alias with what it leads to, in the zone or elsewhere.
    async fn follow(&self, query: &Query<'_>, target: Name, transport: Transport) -> Vec<u8> {
        let mut sections =
            Sections { answers: vec![Record::asked(Data::Alias(target.clone()))], ..Sections::default() };
        let mut target = target;
        for _ in 0..ALIASES_MAX {
            let found = lookup(&self.zone.load(), &target, query.kind);
            let code = match found {
                Found::Alias(next) => {
                    sections.answers.push(Record::named(target, Data::Alias(next.clone())));
                    target = next;
                    continue;
                }
                Found::Records { answers, .. } => {
                    let owned = answers.into_iter().map(|record| Record::named(target.clone(), record.data));
                    sections.answers.extend(owned);
                    Code::NoError
                }
                Found::Nothing => Code::NoError,
                Found::NoSuchName => Code::NoSuchName,
                Found::NotYet => Code::ServerFailure,
                Found::Foreign => self.foreign(query, &target, &mut sections).await,
            };
            // Their order matters: no rotation.
            return answer::write(query, code, true, &sections, limit(query, transport), 0);
        }
        answer::empty(query, Code::ServerFailure)
    }

    /// Addresses of a name elsewhere.
    async fn foreign(&self, query: &Query<'_>, target: &Name, sections: &mut Sections) -> Code {
        let packet = plain_query(target, query.kind);
        let Ok(parsed) = Query::parse(&packet) else { return Code::ServerFailure };
        // Over TCP, so that nothing is cut; but resolvers that speak only UDP are many.
        let question = Question::of(&parsed, false);
        let outcome = match self.forwarder.known(&question) {
            Some((outcome, _)) => outcome,
            None => self.forwarder.ask(&question, &packet).await,
        };
        match outcome {
            Some(response) if response.is_failure() => Code::ServerFailure,
            Some(response) => {
                sections.foreign = response.addresses();
                if response.is_no_such_name() { Code::NoSuchName } else { Code::NoError }
            }
            None => Code::ServerFailure,
        }
    }

    fn write(&self, query: &Query<'_>, code: Code, sections: &Sections, transport: Transport) -> Vec<u8> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        answer::write(query, code, true, sections, limit(query, transport), turn)
    }
}

fn limit(query: &Query<'_>, transport: Transport) -> usize {
    match transport {
        Transport::Udp => query.udp_bytes(),
        Transport::Tcp => TCP_BYTES_MAX,
    }
}

fn negative(zone: &Zone) -> Sections {
    Sections { authority: vec![zone.authority()], ..Sections::default() }
}

fn give_on(query: &Query<'_>, outcome: &Outcome, age_s: u32, transport: Transport) -> Vec<u8> {
    match outcome {
        Some(response) => response.reply(query, age_s, limit(query, transport)),
        None => answer::empty(query, Code::ServerFailure),
    }
}

/// A query of our own, with EDNS.
fn plain_query(name: &Name, wanted: u16) -> Vec<u8> {
    let mut packet = vec![0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    packet.extend_from_slice(name.wire());
    packet.extend_from_slice(&wanted.to_be_bytes());
    packet.extend_from_slice(&CLASS_IN.to_be_bytes());
    packet.push(0);
    packet.extend_from_slice(&kind::OPT.to_be_bytes());
    packet.extend_from_slice(&[0x10, 0, 0, 0, 0, 0, 0, 0]);
    packet
}
