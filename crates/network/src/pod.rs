//! A namespace's one link: a routed veth pair. No bridge, no allocation of addresses, no rules.
//!
//! ```text
//!   host                                     namespace
//!   lo        GATEWAY/32                     lo
//!   HOSTLINK  route ADDRESS/32  ── veth ──   eth0  ADDRESS/32, default via GATEWAY onlink
//! ```
//!
//! The gateway is an address of the host, on any of its links (`host::add_gateway`). Both ends know each other's hardware
//! address, so nobody asks for one. Everything here may be repeated, also after a kill in the middle.

use std::fs::File;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::path::Path;

use crate::netlink::{Batch, Socket};
use crate::route::{self, LinkFacts, Veth, Which};
use crate::{Error, Result, namespace};

/// The link's name inside of every namespace.
pub const INNER_LINK: &str = "eth0";
/// `IFNAMSIZ` without the terminating zero.
pub const LINK_NAME_BYTES_MAX: usize = 15;
const ALIAS_BYTES_MAX: usize = 255;
const OWNER_LETTERS: usize = 5;
const NAME_LETTERS: usize = 9;
const LOOPBACK_INDEX: u32 = 1;
/// A second try follows the removal of half a pair that a killed process left.
const ATTEMPTS: usize = 2;

/// What is to hang on the host.
#[derive(Clone, Copy, Debug)]
pub struct Attachment<'a> {
    pub namespace: &'a Path,
    /// At most 15 bytes; see `link_name`.
    pub host_link: &'a str,
    pub address: Ipv4Addr,
    pub gateway: Ipv4Addr,
    /// In bytes.
    pub mtu: u32,
    /// Free text for `ip link`; what exceeds 255 bytes is cut.
    pub alias: &'a str,
}

/// A link on the host's side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    pub name: String,
    pub index: u32,
    pub alias: String,
    /// The addresses routed to it.
    pub addresses: Vec<Ipv4Addr>,
}

/// The host's link for `name` of `owner`: always the same, 15 bytes.
pub fn link_name(owner: &str, name: &str) -> String {
    link_prefix(owner) + &letters(name, NAME_LETTERS)
}

/// What all links of `owner` begin with.
pub fn link_prefix(owner: &str) -> String {
    format!("k{}", letters(owner, OWNER_LETTERS))
}

/// Hangs a namespace on the host. Repeated with the same values it changes nothing; with others it brings the link there.
pub fn attach(wanted: &Attachment<'_>) -> Result<()> {
    check(wanted)?;
    let namespace = File::open(wanted.namespace)
        .map_err(|error| Error::system(format!("open namespace {}", wanted.namespace.display()), error))?;
    // The socket stays in the namespace in which it was opened; everything else is done from here.
    let mut inside = namespace::within(wanted.namespace, Socket::route)?;
    let mut outside = Socket::route()?;
    let pair = pair(wanted, &namespace, &mut outside, &mut inside)?;
    configure_inside(wanted, pair.inner, &mut inside)?;
    configure_outside(wanted, pair.host, &mut outside)?;
    if pair.is_old {
        remove_other_addresses(wanted, pair.inner, &mut inside)?;
        remove_other_routes(wanted, pair.host, &mut outside)?;
    }
    Ok(())
}

/// Removes the host's link, and with it the other end and the routes. What is not there is no error.
pub fn detach(host_link: &str) -> Result<()> {
    remove_link(&mut Socket::route()?, host_link)
}

/// The links of `owner` on this host.
pub fn links(owner: &str) -> Result<Vec<Link>> {
    let prefix = link_prefix(owner);
    let mut socket = Socket::route()?;
    let found = route::links(&mut socket)?;
    let routes = route::routes(&mut socket)?;
    let addresses =
        |index| routes.iter().filter(|r| r.link == index && r.prefix == 32).map(|r| r.destination).collect::<Vec<_>>();
    let ours = found.into_iter().filter(|link| link.name.starts_with(&prefix));
    Ok(ours
        .map(|link| Link { addresses: addresses(link.index), name: link.name, index: link.index, alias: link.alias })
        .collect())
}

/// What went through a namespace's link, as seen from inside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    pub received_bytes: u64,
    pub received_errors: u64,
    pub sent_bytes: u64,
    pub sent_errors: u64,
}

/// The traffic of the namespace that hangs on `host_link`; `None` if there is none.
pub fn traffic(host_link: &str) -> Result<Option<Traffic>> {
    // What our end sends, the other one receives.
    Ok(route::link(&mut Socket::route()?, host_link)?.map(|link| Traffic {
        received_bytes: link.sent.0,
        received_errors: link.sent.1,
        sent_bytes: link.received.0,
        sent_errors: link.received.1,
    }))
}

/// Sets the loopback link of this thread's namespace up.
pub(crate) fn raise_loopback() -> Result<()> {
    let mut batch = Batch::default();
    route::set_up(&mut batch, Which::Index(LOOPBACK_INDEX));
    Socket::route()?.run_all(batch)
}

fn check(wanted: &Attachment<'_>) -> Result<()> {
    let name = wanted.host_link;
    if name.is_empty() || name.len() > LINK_NAME_BYTES_MAX || name.contains(['/', ' ', '\0']) {
        return Err(Error::Invalid(format!("link name {name:?} must have 1 to {LINK_NAME_BYTES_MAX} bytes")));
    }
    Ok(())
}

/// The indexes of both ends.
struct Pair {
    host: u32,
    inner: u32,
    /// It was there before: other addresses may be on it.
    is_old: bool,
}

/// The pair, made if it is not there.
fn pair(wanted: &Attachment<'_>, namespace: &File, outside: &mut Socket, inside: &mut Socket) -> Result<Pair> {
    let mut refused = None;
    for _ in 0..ATTEMPTS {
        let mut batch = Batch::default();
        route::add_veth(&mut batch, &veth(wanted, namespace));
        let made = outside.run_all(batch);
        let is_old = made.is_err();
        match made {
            Err(error) if !error.is_present() => return Err(error),
            Err(error) => refused = Some(error),
            Ok(()) => {}
        }
        let ends = (route::link(outside, wanted.host_link)?, route::link(inside, INNER_LINK)?);
        match ends {
            (Some(host), Some(inner)) if are_one_pair(&host, &inner) => {
                return Ok(Pair { host: host.index, inner: inner.index, is_old });
            }
            _ => {}
        }
        remove_link(outside, wanted.host_link)?;
        remove_link(inside, INNER_LINK)?;
    }
    Err(refused.unwrap_or_else(|| Error::Invalid(format!("link {} does not stay", wanted.host_link))))
}

fn veth<'a>(wanted: &Attachment<'a>, namespace: &File) -> Veth<'a> {
    Veth {
        name: wanted.host_link,
        mac: outer_mac(wanted),
        mtu: wanted.mtu,
        peer_name: INNER_LINK,
        peer_mac: inner_mac(wanted),
        peer_namespace: namespace.as_raw_fd(),
    }
}

fn are_one_pair(host: &LinkFacts, inner: &LinkFacts) -> bool {
    host.peer == inner.index && inner.peer == host.index
}

fn configure_inside(wanted: &Attachment<'_>, index: u32, inside: &mut Socket) -> Result<()> {
    let mut batch = Batch::default();
    route::without_ipv6_address(&mut batch, Which::Index(index));
    route::set_up(&mut batch, Which::Index(LOOPBACK_INDEX));
    route::add_address(&mut batch, index, wanted.address);
    route::set_up(&mut batch, Which::Index(index));
    route::add_default_route(&mut batch, index, wanted.gateway);
    route::add_neighbour(&mut batch, index, wanted.gateway, outer_mac(wanted));
    all_but_first(inside.run(batch)?)
}

fn configure_outside(wanted: &Attachment<'_>, index: u32, outside: &mut Socket) -> Result<()> {
    let mut batch = Batch::default();
    route::without_ipv6_address(&mut batch, Which::Index(index));
    route::set_forwarding(&mut batch, Which::Index(index));
    let alias = &wanted.alias[..wanted.alias.floor_char_boundary(ALIAS_BYTES_MAX)];
    route::set_alias(&mut batch, Which::Index(index), alias);
    route::set_up(&mut batch, Which::Index(index));
    route::add_host_route(&mut batch, index, wanted.address);
    route::add_neighbour(&mut batch, index, wanted.address, inner_mac(wanted));
    all_but_first(outside.run(batch)?)
}

/// The first message is about IPv6, which a machine may have switched off: nothing is lost then.
fn all_but_first(outcomes: Vec<Result<()>>) -> Result<()> {
    outcomes.into_iter().skip(1).collect()
}

fn remove_other_addresses(wanted: &Attachment<'_>, index: u32, inside: &mut Socket) -> Result<()> {
    let mut batch = Batch::default();
    for other in route::addresses(inside)? {
        if other.link == index && other.address != wanted.address {
            route::delete_address(&mut batch, index, other.address);
        }
    }
    inside.run_all(batch)
}

fn remove_other_routes(wanted: &Attachment<'_>, index: u32, outside: &mut Socket) -> Result<()> {
    let mut batch = Batch::default();
    for other in route::routes(outside)? {
        if other.link == index && other.prefix == 32 && other.destination != wanted.address {
            route::delete_route(&mut batch, index, (other.destination, 32), None);
        }
    }
    outside.run_all(batch)
}

fn remove_link(socket: &mut Socket, name: &str) -> Result<()> {
    let mut batch = Batch::default();
    route::delete_link(&mut batch, Which::Name(name));
    match socket.run_all(batch) {
        Err(error) if error.is_absent() => Ok(()),
        outcome => outcome,
    }
}

fn outer_mac(wanted: &Attachment<'_>) -> [u8; 6] {
    hardware_address(wanted.host_link, 0xe2)
}

fn inner_mac(wanted: &Attachment<'_>) -> [u8; 6] {
    hardware_address(wanted.host_link, 0xe6)
}

/// A locally administered address that is the same each time, so that what the ends know of each other stays right.
fn hardware_address(name: &str, first: u8) -> [u8; 6] {
    let hash = hash(name).to_be_bytes();
    [first, hash[0], hash[1], hash[2], hash[3], hash[4]]
}

fn letters(text: &str, count: usize) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let hash = hash(text);
    (0..count).map(|place| ALPHABET[(hash >> (place * 5)) as usize & 31] as char).collect()
}

/// FNV-1a, then mixed: short names differ in all bits.
fn hash(text: &str) -> u64 {
    let fnv = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    (fnv ^ (fnv >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) ^ (fnv >> 31)
}

#[cfg(test)]
#[path = "pod_tests.rs"]
mod tests;
