//! Ports of the host that lead to an address behind it, in a table of their own. Nothing here chooses ports.
//!
//! ```text
//!  to an address of this machine ─▶ by-address (host address, protocol, port) ─┐
//!                                └▶ by-port    (protocol, port) ───────────────┴▶ address and port
//! ```
//!
//! Everything may be repeated. Loopback addresses of the host are left out: from there no answer would find back.

use std::net::Ipv4Addr;

use crate::nft::{
    self, ChainKind, Data, Element, Expression as E, Family, Field, Hook, HookPoint, Key, Lookup, MapData, Register,
    Rule, Set, Transaction,
};
use crate::{Error, Result, conntrack};

const UDP: u8 = 17;
const TARGET: Option<MapData> = Some(MapData::Fields(&[Field::Ipv4, Field::Port]));
const BY_ADDRESS: Set =
    Set { name: "by-address", key: &[Field::Ipv4, Field::Protocol, Field::Port], data: TARGET, is_dynamic: false };
const BY_PORT: Set = Set { name: "by-port", key: &[Field::Protocol, Field::Port], data: TARGET, is_dynamic: false };
const HAIRPINS: Set = Set { name: "hairpins", key: &[Field::Ipv4, Field::Ipv4], data: None, is_dynamic: false };
const LOOPBACK: (Ipv4Addr, Ipv4Addr) = (Ipv4Addr::new(127, 0, 0, 0), Ipv4Addr::new(255, 0, 0, 0));

/// One port of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mapping {
    /// Only this address of the host; `None`: all of them.
    pub host: Option<Ipv4Addr>,
    /// 6 for TCP, 17 for UDP, 132 for SCTP.
    pub protocol: u8,
    pub host_port: u16,
    pub address: Ipv4Addr,
    pub port: u16,
}

/// The name of an owner's table.
pub fn table(owner: &str) -> String {
    format!("{owner}-ports")
}

/// Makes the table hold exactly these mappings, in one step: for a start, when what is there may be old.
pub fn replace(table: &str, mappings: &[Mapping]) -> Result<()> {
    let mut transaction = Transaction::new(Family::Ipv4, table);
    transaction.add_table();
    transaction.remove_table();
    frame(&mut transaction);
    add_elements(&mut transaction, mappings);
    transaction.commit()?;
    forget(mappings)
}

/// Adds mappings; the table is made if it is not there.
///
/// # Errors
/// `Error::is_present`, and nothing is added, if one of the ports leads elsewhere already.
pub fn add(table: &str, mappings: &[Mapping]) -> Result<()> {
    if mappings.is_empty() {
        return Ok(());
    }
    let mut transaction = Transaction::new(Family::Ipv4, table);
    frame(&mut transaction);
    add_elements(&mut transaction, mappings);
    transaction.commit()?;
    forget(mappings)
}

/// Takes mappings away, all those of an address at once; those that are not there are no error.
pub fn remove(table: &str, mappings: &[Mapping]) -> Result<()> {
    let mut transaction = Transaction::new(Family::Ipv4, table);
    let wanted: Vec<(Set, Element)> = mappings.iter().flat_map(elements).collect();
    for set in [BY_ADDRESS, BY_PORT, HAIRPINS] {
        let there = match nft::elements(Family::Ipv4, table, set.name) {
            Err(error) if error.is_absent() => continue,
            other => other?,
        };
        let ours = wanted.iter().filter(|(of, element)| *of == set && there.contains(element));
        let mut gone: Vec<&Element> = ours.map(|(_, element)| element).collect();
        gone.sort();
        gone.dedup();
        transaction.remove_elements(set.name, gone);
    }
    transaction.commit()?;
    forget(mappings)
}

/// Removes the table with all mappings; one that is not there is no error.
pub fn close(table: &str) -> Result<()> {
    nft::remove_table(Family::Ipv4, table)
}

/// Table, sets and chains, with the chains' rules written anew: what is there already is no matter.
fn frame(transaction: &mut Transaction) {
    transaction.add_table();
    for set in [BY_ADDRESS, BY_PORT, HAIRPINS] {
        transaction.add_set(&set);
    }
    let hook = |point, priority| Some(Hook { kind: ChainKind::Nat, point, priority });
    for (name, hook, rules) in [
        ("prerouting", hook(HookPoint::Prerouting, -100), to_targets()),
        ("output", hook(HookPoint::Output, -100), to_targets()),
        ("postrouting", hook(HookPoint::Postrouting, 100), vec![hairpin()]),
    ] {
        transaction.add_chain(name, hook);
        transaction.flush_chain(name);
        for rule in rules {
            transaction.add_rule(name, &rule);
        }
    }
}

fn to_targets() -> Vec<Rule> {
    let r = Register;
    let here = [&E::is_to_here()[..], &E::destination_in(LOOPBACK.0, LOOPBACK.1, false)].concat();
    let finish = |set: Set| {
        let lookup = E::Lookup { set: set.name.into(), from: r(0), then: Lookup::Value(r(4)) };
        vec![lookup, E::DestinationNat { address: r(4), port: r(5) }]
    };
    let by_address = vec![E::destination(r(0)), E::Protocol { to: r(1) }, E::destination_port(r(2))];
    let by_port = vec![E::Protocol { to: r(0) }, E::destination_port(r(1))];
    vec![[here.clone(), by_address, finish(BY_ADDRESS)].concat(), [here, by_port, finish(BY_PORT)].concat()]
}

/// Who reaches himself through the host must see another sender than himself.
fn hairpin() -> Rule {
    let r = Register;
    let lookup = E::Lookup { set: HAIRPINS.name.into(), from: r(0), then: Lookup::Contains };
    vec![E::source(r(0)), E::destination(r(1)), lookup, E::Masquerade]
}

fn add_elements(transaction: &mut Transaction, mappings: &[Mapping]) {
    for (set, element) in mappings.iter().flat_map(elements) {
        transaction.add_elements(set.name, &[element]);
    }
}

fn elements(mapping: &Mapping) -> [(Set, Element); 2] {
    let (set, start) = match mapping.host {
        Some(host) => (BY_ADDRESS, Key::default().ipv4(host)),
        None => (BY_PORT, Key::default()),
    };
    let key = start.protocol(mapping.protocol).port(mapping.host_port);
    let target = Data::Value(Key::default().ipv4(mapping.address).port(mapping.port));
    let pair = Key::default().ipv4(mapping.address).ipv4(mapping.address);
    [(set, Element { key, data: target }), (HAIRPINS, Element { key: pair, data: Data::None })]
}

/// A UDP sender that never pauses would else go where it went before.
fn forget(mappings: &[Mapping]) -> Result<()> {
    let ports: Vec<u16> = mappings.iter().filter(|m| m.protocol == UDP).map(|m| m.host_port).collect();
    if ports.is_empty() {
        return Ok(());
    }
    let is_ours = |flow: &conntrack::Flow| {
        let rewritten = mappings.iter().any(|m| m.address == flow.answerer && m.port == flow.answerer_port);
        flow.protocol == UDP
            && ports.contains(&flow.destination_port)
            && (rewritten || flow.answerer == flow.destination)
    };
    match conntrack::forget(is_ours) {
        // Without connection tracking there is nothing to forget.
        Err(error) if error.errno() == Some(libc::EOPNOTSUPP) => Ok(()),
        Err(error @ Error::Refused { .. }) if error.is_absent() => Ok(()),
        outcome => outcome.map(drop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(host_port: u16, last: u8) -> Mapping {
        Mapping { host: None, protocol: 6, host_port, address: Ipv4Addr::new(10, 244, 0, last), port: 80 }
    }

    #[test]
    fn mappings_come_and_go_as_often_as_one_likes() {
        let table = "kybtest-ports";
        crate::namespace::apart(|| {
            crate::pod::raise_loopback()?;
            let count = |set: Set| Ok::<_, Error>(nft::elements(Family::Ipv4, table, set.name)?.len());
            remove(table, &[mapping(80, 2)])?;
            let two = [mapping(80, 2), Mapping { host: Some(Ipv4Addr::new(192, 0, 2, 1)), ..mapping(81, 2) }];
            add(table, &two)?;
            add(table, &two)?;
            assert_eq!((count(BY_PORT)?, count(BY_ADDRESS)?, count(HAIRPINS)?), (1, 1, 1));
            assert!(add(table, &[mapping(82, 3), mapping(80, 3)]).unwrap_err().is_present());
            assert_eq!(count(BY_PORT)?, 1, "nothing of a refused call is kept");
            remove(table, &[mapping(80, 3)])?;
            assert_eq!(count(BY_PORT)?, 1, "that one leads elsewhere");
            remove(table, &two)?;
            remove(table, &two)?;
            assert_eq!((count(BY_PORT)?, count(BY_ADDRESS)?, count(HAIRPINS)?), (0, 0, 0));
            add(table, &two)?;
            replace(table, &[Mapping { protocol: UDP, ..mapping(53, 4) }])?;
            assert_eq!((count(BY_PORT)?, count(BY_ADDRESS)?), (1, 0));
            close(table)?;
            close(table)
        })
        .unwrap();
    }
}
