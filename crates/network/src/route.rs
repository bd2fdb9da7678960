//! rtnetlink messages: links, addresses and routes. Only what this crate uses of them.

use std::net::Ipv4Addr;

use crate::Result;
use crate::netlink::{Attributes, Batch, Socket, attributes, u32_at, u64_at};

const REQUEST_ACK: u16 = 0x1 | 0x4;
const CREATE: u16 = 0x400;
const EXCLUSIVE: u16 = 0x200;
const REPLACE: u16 = 0x100;
const DUMP: u16 = 0x300;
const REQUEST: u16 = 0x1;

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const IFF_UP: u32 = 1;

const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINK: u16 = 5;
const IFLA_LINKINFO: u16 = 18;
const IFLA_IFALIAS: u16 = 20;
const IFLA_STATS64: u16 = 23;
const IFLA_AF_SPEC: u16 = 26;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const VETH_INFO_PEER: u16 = 1;
const IFLA_INET_CONF: u16 = 1;
const IFLA_INET6_ADDR_GEN_MODE: u16 = 8;
const IN6_ADDR_GEN_MODE_NONE: u8 = 1;
const DEVCONF_FORWARDING: u16 = 1;
const DEVCONF_RP_FILTER: u16 = 8;
const RP_FILTER_STRICT: u32 = 1;

const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PREFSRC: u16 = 7;
const RTNH_F_ONLINK: u32 = 4;
const TABLE_MAIN: u8 = 254;
pub(crate) const PROTOCOL_STATIC: u8 = 4;
const SCOPE_UNIVERSE: u8 = 0;
const SCOPE_LINK: u8 = 253;
pub(crate) const TYPE_UNICAST: u8 = 1;
pub(crate) const TYPE_UNREACHABLE: u8 = 7;

/// Which link a message is about.
#[derive(Clone, Copy)]
pub(crate) enum Which<'a> {
    Index(u32),
    Name(&'a str),
}

/// A link as the kernel lists it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LinkFacts {
    pub index: u32,
    pub name: String,
    /// The index of the other end, for a veth (in that one's namespace).
    pub peer: u32,
    pub up: bool,
    pub mtu: u32,
    pub alias: String,
    /// Received and sent: bytes, then what failed.
    pub received: (u64, u64),
    pub sent: (u64, u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AddressFacts {
    pub link: u32,
    pub address: Ipv4Addr,
    pub prefix: u8,
    pub scope: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RouteFacts {
    pub link: u32,
    pub destination: Ipv4Addr,
    pub prefix: u8,
    pub gateway: Option<Ipv4Addr>,
    pub source: Option<Ipv4Addr>,
    pub metric: u32,
    pub table: u8,
    pub protocol: u8,
    pub kind: u8,
}

/// The two ends of a new veth pair.
pub(crate) struct Veth<'a> {
    pub name: &'a str,
    pub mac: [u8; 6],
    pub mtu: u32,
    pub peer_name: &'a str,
    pub peer_mac: [u8; 6],
    pub peer_namespace: i32,
}

impl Which<'_> {
    fn index(self) -> u32 {
        if let Self::Index(index) = self { index } else { 0 }
    }

    fn name(self, a: &mut Attributes<'_>) {
        if let Self::Name(name) = self {
            a.text(IFLA_IFNAME, name);
        }
    }
}

// === links ===

/// Both ends are down: up, they would take link-local addresses before they can be told not to.
pub(crate) fn add_veth(batch: &mut Batch, veth: &Veth<'_>) {
    let operation = format!("create link {}", veth.name);
    let flags = REQUEST_ACK | CREATE | EXCLUSIVE;
    batch.push(operation, libc::RTM_NEWLINK, flags, &link_header(0, 0, 0), |a| {
        a.text(IFLA_IFNAME, veth.name);
        a.u32(IFLA_MTU, veth.mtu);
        a.bytes(IFLA_ADDRESS, &veth.mac);
        a.nest(IFLA_LINKINFO, |a| {
            a.text(IFLA_INFO_KIND, "veth");
            a.nest(IFLA_INFO_DATA, |a| {
                a.nest_after(VETH_INFO_PEER, &link_header(0, 0, 0), |a| {
                    a.text(IFLA_IFNAME, veth.peer_name);
                    a.u32(IFLA_MTU, veth.mtu);
                    a.bytes(IFLA_ADDRESS, &veth.peer_mac);
                    a.bytes(IFLA_NET_NS_FD, &veth.peer_namespace.to_ne_bytes());
                });
            });
        });
    });
}

pub(crate) fn delete_link(batch: &mut Batch, which: Which<'_>) {
    batch.push("remove link", libc::RTM_DELLINK, REQUEST_ACK, &link_header(which.index(), 0, 0), |a| which.name(a));
}

pub(crate) fn set_up(batch: &mut Batch, which: Which<'_>) {
    batch.push("set link up", libc::RTM_NEWLINK, REQUEST_ACK, &link_header(which.index(), IFF_UP, IFF_UP), |a| {
        which.name(a);
    });
}

pub(crate) fn set_alias(batch: &mut Batch, which: Which<'_>, alias: &str) {
    batch.push("name a link's purpose", libc::RTM_NEWLINK, REQUEST_ACK, &link_header(which.index(), 0, 0), |a| {
        which.name(a);
        a.bytes(IFLA_IFALIAS, alias.as_bytes());
    });
}

/// Lets packets be forwarded from and to this link, whatever the machine's defaults for new links are, but only those
/// whose source address is routed to it: nobody behind it speaks in another's name.
pub(crate) fn set_forwarding(batch: &mut Batch, which: Which<'_>) {
    let header = link_header(which.index(), 0, 0);
    batch.push("set up forwarding on a link", libc::RTM_NEWLINK, REQUEST_ACK, &header, |a| {
        which.name(a);
        a.nest(IFLA_AF_SPEC, |a| {
            a.nest(u16::from(AF_INET), |a| {
                a.nest(IFLA_INET_CONF, |a| {
                    a.u32(DEVCONF_FORWARDING, 1);
                    a.u32(DEVCONF_RP_FILTER, RP_FILTER_STRICT);
                });
            });
        });
    });
}

/// No link-local IPv6 address: it would only make multicast traffic on a link that carries IPv4.
pub(crate) fn without_ipv6_address(batch: &mut Batch, which: Which<'_>) {
    let header = link_header(which.index(), 0, 0);
    batch.push("switch IPv6 autoconfiguration off", libc::RTM_NEWLINK, REQUEST_ACK, &header, |a| {
        which.name(a);
        a.nest(IFLA_AF_SPEC, |a| {
            a.nest(u16::from(AF_INET6), |a| a.u8(IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE));
        });
    });
}

pub(crate) fn links(socket: &mut Socket) -> Result<Vec<LinkFacts>> {
    let mut batch = Batch::default();
    batch.push("list links", libc::RTM_GETLINK, REQUEST | DUMP, &link_header(0, 0, 0), |_| ());
    let mut found = Vec::new();
    socket.dump(batch, |kind, body| found.extend((kind == libc::RTM_NEWLINK).then(|| read_link(body)).flatten()))?;
    Ok(found)
}

/// One link by name; `None` if there is none.
pub(crate) fn link(socket: &mut Socket, name: &str) -> Result<Option<LinkFacts>> {
    let mut batch = Batch::default();
    let operation = format!("look at link {name}");
    // The acknowledgement after the answer ends the wait.
    batch.push(operation, libc::RTM_GETLINK, REQUEST_ACK, &link_header(0, 0, 0), |a| a.text(IFLA_IFNAME, name));
    let mut found = None;
    match socket.dump(batch, |_, body| found = read_link(body)) {
        Err(error) if error.is_absent() => Ok(None),
        Err(error) => Err(error),
        Ok(()) => Ok(found),
    }
}

fn read_link(body: &[u8]) -> Option<LinkFacts> {
    let mut facts = LinkFacts { index: u32_at(body, 4)?, up: u32_at(body, 8)? & IFF_UP != 0, ..LinkFacts::default() };
    for (kind, value) in attributes(body.get(16..)?) {
        match kind {
            IFLA_IFNAME => facts.name = text(value),
            IFLA_IFALIAS => facts.alias = text(value),
            IFLA_MTU => facts.mtu = u32_at(value, 0).unwrap_or(0),
            IFLA_STATS64 => {
                let number = |place: usize| u64_at(value, place * 8).unwrap_or(0);
                (facts.received, facts.sent) = ((number(2), number(4)), (number(3), number(5)));
            }
            IFLA_LINK => facts.peer = u32_at(value, 0).unwrap_or(0),
            _ => {}
        }
    }
    Some(facts)
}

fn link_header(index: u32, flags: u32, change: u32) -> [u8; 16] {
    let mut header = [0; 16];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header[8..12].copy_from_slice(&flags.to_ne_bytes());
    header[12..].copy_from_slice(&change.to_ne_bytes());
    header
}

fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value).trim_end_matches('\0').to_owned()
}

// === addresses ===

/// An address that is there already is refused.
pub(crate) fn add_own_address(batch: &mut Batch, link: u32, address: Ipv4Addr) {
    push_address(batch, EXCLUSIVE, link, address);
}

pub(crate) fn add_address(batch: &mut Batch, link: u32, address: Ipv4Addr) {
    push_address(batch, REPLACE, link, address);
}

fn push_address(batch: &mut Batch, whether: u16, link: u32, address: Ipv4Addr) {
    let operation = format!("add address {address}");
    batch.push(operation, libc::RTM_NEWADDR, REQUEST_ACK | CREATE | whether, &address_header(link), |a| {
        a.bytes(IFA_LOCAL, &address.octets());
        a.bytes(IFA_ADDRESS, &address.octets());
    });
}

/// Without `IFA_ADDRESS` the kernel would take the address with any other prefix, too.
pub(crate) fn delete_address(batch: &mut Batch, link: u32, address: Ipv4Addr) {
    let operation = format!("remove address {address}");
    batch.push(operation, libc::RTM_DELADDR, REQUEST_ACK, &address_header(link), |a| {
        a.bytes(IFA_LOCAL, &address.octets());
        a.bytes(IFA_ADDRESS, &address.octets());
    });
}

fn address_header(link: u32) -> [u8; 8] {
    let mut header = [AF_INET, 32, 0, SCOPE_UNIVERSE, 0, 0, 0, 0];
    header[4..].copy_from_slice(&link.to_ne_bytes());
    header
}

pub(crate) fn addresses(socket: &mut Socket) -> Result<Vec<AddressFacts>> {
    let mut batch = Batch::default();
    let header = [AF_INET, 0, 0, 0, 0, 0, 0, 0];
    batch.push("list addresses", libc::RTM_GETADDR, REQUEST | DUMP, &header, |_| ());
    let mut found = Vec::new();
    socket.dump(batch, |_, body| found.extend(read_address(body)))?;
    Ok(found)
}

fn read_address(body: &[u8]) -> Option<AddressFacts> {
    let (prefix, scope, link) = (*body.get(1)?, *body.get(3)?, u32_at(body, 4)?);
    let find = |wanted| attributes(body.get(8..)?).find(|(kind, _)| *kind == wanted).and_then(|(_, v)| ipv4(v));
    let address = find(IFA_LOCAL).or_else(|| find(IFA_ADDRESS))?;
    Some(AddressFacts { link, address, prefix, scope })
}

fn ipv4(value: &[u8]) -> Option<Ipv4Addr> {
    Some(Ipv4Addr::from(<[u8; 4]>::try_from(value).ok()?))
}

// === neighbours ===

/// Says once and for all which hardware address `address` has on a link, so that nobody asks.
pub(crate) fn add_neighbour(batch: &mut Batch, link: u32, address: Ipv4Addr, mac: [u8; 6]) {
    const NDA_DST: u16 = 1;
    const NDA_LLADDR: u16 = 2;
    const NUD_PERMANENT: u8 = 0x80;
    let mut header = [AF_INET, 0, 0, 0, 0, 0, 0, 0, NUD_PERMANENT, 0, 0, 0];
    header[4..8].copy_from_slice(&link.to_ne_bytes());
    let operation = format!("add neighbour {address}");
    batch.push(operation, libc::RTM_NEWNEIGH, REQUEST_ACK | CREATE | REPLACE, &header, |a| {
        a.bytes(NDA_DST, &address.octets());
        a.bytes(NDA_LLADDR, &mac);
    });
}

// === routes ===

/// `ADDRESS dev LINK scope link`
pub(crate) fn add_host_route(batch: &mut Batch, link: u32, address: Ipv4Addr) {
    add_route(batch, link, (address, 32), None, None);
}

/// `default via GATEWAY dev LINK onlink`
pub(crate) fn add_default_route(batch: &mut Batch, link: u32, gateway: Ipv4Addr) {
    add_route(batch, link, (Ipv4Addr::UNSPECIFIED, 0), Some(gateway), None);
}

/// A route to `destination`; one to the same destination on another link is replaced.
pub(crate) fn add_route(
    batch: &mut Batch,
    link: u32,
    destination: (Ipv4Addr, u8),
    gateway: Option<Ipv4Addr>,
    source: Option<Ipv4Addr>,
) {
    push_route(batch, REPLACE, link, destination, gateway, source);
}

/// `DESTINATION dev LINK scope link src SOURCE`; where a route to the destination is already, this is refused.
pub(crate) fn add_own_route(batch: &mut Batch, link: u32, destination: (Ipv4Addr, u8), source: Ipv4Addr) {
    push_route(batch, EXCLUSIVE, link, destination, None, Some(source));
}

fn push_route(
    batch: &mut Batch,
    whether: u16,
    link: u32,
    destination: (Ipv4Addr, u8),
    gateway: Option<Ipv4Addr>,
    source: Option<Ipv4Addr>,
) {
    let scope = if gateway.is_some() { SCOPE_UNIVERSE } else { SCOPE_LINK };
    let onlink = if gateway.is_some() { RTNH_F_ONLINK } else { 0 };
    let header = route_header(destination.1, scope, onlink);
    let operation = format!("add route {}/{}", destination.0, destination.1);
    batch.push(operation, libc::RTM_NEWROUTE, REQUEST_ACK | CREATE | whether, &header, |a| {
        if destination.1 > 0 {
            a.bytes(RTA_DST, &destination.0.octets());
        }
        if let Some(gateway) = gateway {
            a.bytes(RTA_GATEWAY, &gateway.octets());
        }
        if let Some(source) = source {
            a.bytes(RTA_PREFSRC, &source.octets());
        }
        a.u32(RTA_OIF, link);
    });
}

/// `unreachable DESTINATION`: what no longer route leads to is refused at once. Where a route to the destination is
/// already, this is refused.
pub(crate) fn add_unreachable(batch: &mut Batch, destination: (Ipv4Addr, u8)) {
    let operation = format!("reserve {}/{}", destination.0, destination.1);
    let header = unreachable_header(destination.1);
    batch.push(operation, libc::RTM_NEWROUTE, REQUEST_ACK | CREATE | EXCLUSIVE, &header, |a| {
        a.bytes(RTA_DST, &destination.0.octets());
    });
}

pub(crate) fn delete_unreachable(batch: &mut Batch, destination: (Ipv4Addr, u8)) {
    let operation = format!("release {}/{}", destination.0, destination.1);
    batch.push(operation, libc::RTM_DELROUTE, REQUEST_ACK, &unreachable_header(destination.1), |a| {
        a.bytes(RTA_DST, &destination.0.octets());
    });
}

fn unreachable_header(prefix: u8) -> [u8; 12] {
    let mut header = route_header(prefix, SCOPE_UNIVERSE, 0);
    header[7] = TYPE_UNREACHABLE;
    header
}

/// Removes a route of a link; with `source` only one that names this source.
pub(crate) fn delete_route(batch: &mut Batch, link: u32, destination: (Ipv4Addr, u8), source: Option<Ipv4Addr>) {
    let header = route_header(destination.1, SCOPE_LINK, 0);
    let operation = format!("remove route {}/{}", destination.0, destination.1);
    batch.push(operation, libc::RTM_DELROUTE, REQUEST_ACK, &header, |a| {
        a.bytes(RTA_DST, &destination.0.octets());
        if let Some(source) = source {
            a.bytes(RTA_PREFSRC, &source.octets());
        }
        a.u32(RTA_OIF, link);
    });
}

fn route_header(prefix: u8, scope: u8, flags: u32) -> [u8; 12] {
    let mut header = [AF_INET, prefix, 0, 0, TABLE_MAIN, PROTOCOL_STATIC, scope, TYPE_UNICAST, 0, 0, 0, 0];
    header[8..].copy_from_slice(&flags.to_ne_bytes());
    header
}

pub(crate) fn routes(socket: &mut Socket) -> Result<Vec<RouteFacts>> {
    let mut batch = Batch::default();
    batch.push("list routes", libc::RTM_GETROUTE, REQUEST | DUMP, &[AF_INET, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], |_| ());
    let mut found = Vec::new();
    socket.dump(batch, |_, body| found.extend(read_route(body)))?;
    Ok(found)
}

fn read_route(body: &[u8]) -> Option<RouteFacts> {
    let mut facts = RouteFacts {
        link: 0,
        destination: Ipv4Addr::UNSPECIFIED,
        prefix: *body.get(1)?,
        gateway: None,
        source: None,
        metric: 0,
        table: *body.get(4)?,
        protocol: *body.get(5)?,
        kind: *body.get(7)?,
    };
    const RTA_PRIORITY: u16 = 6;
    for (kind, value) in attributes(body.get(12..)?) {
        match kind {
            RTA_DST => facts.destination = ipv4(value)?,
            RTA_OIF => facts.link = u32_at(value, 0)?,
            RTA_GATEWAY => facts.gateway = ipv4(value),
            RTA_PREFSRC => facts.source = ipv4(value),
            RTA_PRIORITY => facts.metric = u32_at(value, 0)?,
            _ => {}
        }
    }
    Some(facts)
}
