//! Connections that the kernel tracks: found, and forgotten. Only IPv4, and only what must be forgotten when the rules
//! that made it have gone: a UDP sender that never pauses would else reach a dead address for ever.

use std::net::Ipv4Addr;

use crate::Result;
use crate::netlink::{Batch, Socket, attributes};

const SUBSYSTEM: u16 = 1 << 8;
const GET: u16 = 1;
const DELETE: u16 = 2;
const REQUEST_ACK: u16 = 0x1 | 0x4;
const REQUEST_DUMP: u16 = 0x1 | 0x300;
const HEADER: [u8; 4] = [2, 0, 0, 0];
const CTA_TUPLE_ORIG: u16 = 1;
const CTA_TUPLE_REPLY: u16 = 2;
const CTA_ID: u16 = 12;
const TUPLE_IP: u16 = 1;
const TUPLE_PROTO: u16 = 2;
/// Acknowledgements of one batch fit into a socket's receive buffer.
const DELETIONS_PER_BATCH: usize = 128;

/// A tracked connection, as its first packet was sent and as answers come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    pub protocol: u8,
    pub source: Ipv4Addr,
    pub source_port: u16,
    pub destination: Ipv4Addr,
    pub destination_port: u16,
    /// Who answers: another than `destination` after destination NAT.
    pub answerer: Ipv4Addr,
    pub answerer_port: u16,
}

struct End {
    protocol: u8,
    source: (Ipv4Addr, u16),
    destination: (Ipv4Addr, u16),
}

struct Tracked {
    flow: Flow,
    tuple: Vec<u8>,
    id: Vec<u8>,
}

/// Forgets the connections that `doomed` says; returns how many. One that ended meanwhile is no error.
pub fn forget(doomed: impl Fn(&Flow) -> bool) -> Result<usize> {
    let mut socket = Socket::netfilter()?;
    let mut found = tracked(&mut socket)?;
    found.retain(|tracked| doomed(&tracked.flow));
    for chunk in found.chunks(DELETIONS_PER_BATCH) {
        let mut batch = Batch::default();
        for tracked in chunk {
            batch.push("forget a connection", SUBSYSTEM | DELETE, REQUEST_ACK, &HEADER, |a| {
                a.bytes(CTA_TUPLE_ORIG | 1 << 15, &tracked.tuple);
                a.bytes(CTA_ID, &tracked.id);
            });
        }
        for outcome in socket.run(batch)? {
            match outcome {
                Err(error) if !error.is_absent() => return Err(error),
                _ => {}
            }
        }
    }
    Ok(found.len())
}

/// All tracked IPv4 connections.
pub fn flows() -> Result<Vec<Flow>> {
    Ok(tracked(&mut Socket::netfilter()?)?.into_iter().map(|tracked| tracked.flow).collect())
}

fn tracked(socket: &mut Socket) -> Result<Vec<Tracked>> {
    let mut batch = Batch::default();
    batch.push("list connections", SUBSYSTEM | GET, REQUEST_DUMP, &HEADER, |_| ());
    let mut found = Vec::new();
    socket.dump(batch, |_, body| found.extend(read(body.get(HEADER.len()..).unwrap_or(&[]))))?;
    Ok(found)
}

fn read(body: &[u8]) -> Option<Tracked> {
    let tuple = find(body, CTA_TUPLE_ORIG)?;
    let (there, back) = (end(tuple)?, end(find(body, CTA_TUPLE_REPLY)?)?);
    let flow = Flow {
        protocol: there.protocol,
        source: there.source.0,
        source_port: there.source.1,
        destination: there.destination.0,
        destination_port: there.destination.1,
        answerer: back.source.0,
        answerer_port: back.source.1,
    };
    Some(Tracked { flow, tuple: tuple.to_vec(), id: find(body, CTA_ID)?.to_vec() })
}

fn end(tuple: &[u8]) -> Option<End> {
    let (ip, proto) = (find(tuple, TUPLE_IP)?, find(tuple, TUPLE_PROTO)?);
    let address = |kind| Some(Ipv4Addr::from(<[u8; 4]>::try_from(find(ip, kind)?).ok()?));
    // ICMP has no ports.
    let port = |kind| find(proto, kind).and_then(|v| Some(u16::from_be_bytes(v.try_into().ok()?))).unwrap_or(0);
    let protocol = *find(proto, 1)?.first()?;
    Some(End { protocol, source: (address(1)?, port(2)), destination: (address(2)?, port(3)) })
}

fn find(bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(kind, _)| *kind == wanted).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;
    use crate::nft::{ChainKind, Expression, Family, Hook, HookPoint, Transaction};

    #[test]
    fn flows_are_listed_and_forgotten() {
        let (before, forgotten, after) = crate::namespace::apart(|| {
            crate::pod::raise_loopback()?;
            // Connections are tracked in a namespace once a rule asks for their state.
            let mut rules = Transaction::new(Family::Ipv4, "kybtest");
            rules.add_table();
            rules.add_chain("out", Some(Hook { kind: ChainKind::Filter, point: HookPoint::Output, priority: 0 }));
            rules.add_rule("out", &Expression::is_new());
            rules.commit()?;
            let socket = UdpSocket::bind("127.0.0.1:4001").unwrap();
            for port in [4002, 4003] {
                socket.send_to(b"hello", ("127.0.0.1", port)).unwrap();
            }
            let before = flows()?;
            Ok((before, forget(|flow| flow.destination_port == 4002)?, flows()?))
        })
        .unwrap();
        assert_eq!((before.len(), forgotten, after.len()), (2, 1, 1), "{before:?}");
        assert_eq!((after[0].protocol, after[0].source_port, after[0].answerer_port), (17, 4001, 4003));
    }
}
