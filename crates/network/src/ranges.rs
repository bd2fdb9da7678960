//! The ranges of a cluster on its machine: the gateway address, the route to Services and the reserved pod range; and
//! whether somebody else has such addresses already.
//!
//! What the machine had before is never replaced, and only exactly what was added here is removed.

use std::net::Ipv4Addr;

use crate::netlink::{Batch, Socket};
use crate::pool::Cidr;
use crate::route::{self, AddressFacts, LinkFacts, RouteFacts};
use crate::{Result, pod};

const LOOPBACK_INDEX: u32 = 1;
const TABLE_MAIN: u8 = 254;
/// What belongs to the kernel itself: its entries follow from the addresses.
const TABLE_LOCAL: u8 = 255;
/// Shorter ones lead to the world or to all of an organisation (10.0.0.0/8), not to one network: ranges within them are
/// taken out of them everywhere.
const PREFIX_BITS_MIN: u8 = 9;

/// What a cluster adds to the machine for its ranges.
#[derive(Clone, Debug)]
pub struct Claim {
    pub gateway: Ipv4Addr,
    pub pods: Cidr,
    pub services: Cidr,
    /// Whose pods' links it has, as in [`pod::links`].
    pub owner: String,
}

/// Puts `address`/32 on the loopback link, for namespaces to route through. The very same one that is there is no error.
pub fn add_gateway(address: Ipv4Addr) -> Result<()> {
    let mut batch = Batch::default();
    route::add_own_address(&mut batch, LOOPBACK_INDEX, address);
    add(batch, |socket| Ok(route::addresses(socket)?.iter().any(|found| is_gateway(found, address))))
}

/// Takes it away; what is not there is no error.
pub fn remove_gateway(address: Ipv4Addr) -> Result<()> {
    let mut batch = Batch::default();
    route::delete_address(&mut batch, LOOPBACK_INDEX, address);
    forgiving(batch)
}

/// Lets this machine's own connections to `range` start, where it has no default route: they leave through rules that
/// rewrite their destination, and a packet without any route is refused before these.
pub fn add_range(range: Cidr, source: Ipv4Addr) -> Result<()> {
    let mut batch = Batch::default();
    route::add_own_route(&mut batch, LOOPBACK_INDEX, (range.network(), range.prefix()), source);
    add(batch, |socket| Ok(route::routes(socket)?.iter().any(|found| is_range(found, range, source))))
}

pub fn remove_range(range: Cidr, source: Ipv4Addr) -> Result<()> {
    let mut batch = Batch::default();
    route::delete_route(&mut batch, LOOPBACK_INDEX, (range.network(), range.prefix()), Some(source));
    forgiving(batch)
}

/// Keeps addresses of `range` that nobody has on this machine: who asks for one hears at once that it is unreachable,
/// instead of being sent to wherever the default route leads.
pub fn reserve_range(range: Cidr) -> Result<()> {
    let mut batch = Batch::default();
    route::add_unreachable(&mut batch, (range.network(), range.prefix()));
    add(batch, |socket| Ok(route::routes(socket)?.iter().any(|found| is_reserve(found, range))))
}

pub fn release_range(range: Cidr) -> Result<()> {
    let mut batch = Batch::default();
    route::delete_unreachable(&mut batch, (range.network(), range.prefix()));
    forgiving(batch)
}

/// Makes what is not there; what is there must be what was to be made.
fn add(batch: Batch, is_ours: impl FnOnce(&mut Socket) -> Result<bool>) -> Result<()> {
    let mut socket = Socket::route()?;
    match socket.run_all(batch) {
        Err(error) if error.is_present() => {
            if is_ours(&mut socket)? {
                return Ok(());
            }
            Err(error)
        }
        outcome => outcome,
    }
}

fn forgiving(batch: Batch) -> Result<()> {
    match Socket::route()?.run_all(batch) {
        Err(error) if error.is_absent() => Ok(()),
        outcome => outcome,
    }
}

// === who has it ===

/// What of this machine has addresses of `range` already, in words: an address, or a route other than a default one.
/// What `ours` added in an earlier life does not count.
pub fn taken(range: Cidr, ours: Option<&Claim>) -> Result<Option<String>> {
    let mut socket = Socket::route()?;
    let links = route::links(&mut socket)?;
    let pods: Vec<u32> = match ours {
        Some(claim) => pod::links(&claim.owner)?.into_iter().map(|link| link.index).collect(),
        None => Vec::new(),
    };
    let own_address = |found: &AddressFacts| ours.is_some_and(|claim| is_gateway(found, claim.gateway));
    let addresses = route::addresses(&mut socket)?;
    if let Some(found) = addresses.iter().find(|found| range.contains(found.address) && !own_address(found)) {
        let link = name(&links, found.link);
        return Ok(Some(format!("the address {}/{} of {link}", found.address, found.prefix)));
    }
    let own_route = |found: &RouteFacts| {
        ours.is_some_and(|claim| {
            is_range(found, claim.services, claim.gateway)
                || is_reserve(found, claim.pods)
                || (found.prefix == 32 && pods.contains(&found.link))
        })
    };
    let routes = route::routes(&mut socket)?;
    for found in routes.iter().filter(|found| found.table != TABLE_LOCAL && found.prefix >= PREFIX_BITS_MIN) {
        if !own_route(found) && range.overlaps(Cidr::new(found.destination, found.prefix)?) {
            return Ok(Some(describe(&links, found)));
        }
    }
    Ok(None)
}

fn describe(links: &[LinkFacts], found: &RouteFacts) -> String {
    let mut text = format!("the route {}/{}", found.destination, found.prefix);
    if let Some(gateway) = found.gateway {
        text += &format!(" via {gateway}");
    }
    if found.link != 0 {
        text += &format!(" dev {}", name(links, found.link));
    }
    if found.kind == route::TYPE_UNREACHABLE {
        text += " (unreachable)";
    }
    text
}

fn name(links: &[LinkFacts], index: u32) -> &str {
    links.iter().find(|link| link.index == index).map_or("?", |link| &link.name)
}

fn is_gateway(found: &AddressFacts, address: Ipv4Addr) -> bool {
    (found.link, found.address, found.prefix) == (LOOPBACK_INDEX, address, 32)
}

fn is_range(found: &RouteFacts, range: Cidr, source: Ipv4Addr) -> bool {
    is_own(found, route::TYPE_UNICAST, range) && found.link == LOOPBACK_INDEX && found.source == Some(source)
}

fn is_reserve(found: &RouteFacts, range: Cidr) -> bool {
    is_own(found, route::TYPE_UNREACHABLE, range)
}

fn is_own(found: &RouteFacts, kind: u8, range: Cidr) -> bool {
    (found.table, found.protocol, found.kind, found.metric) == (TABLE_MAIN, route::PROTOCOL_STATIC, kind, 0)
        && (found.destination, found.prefix) == (range.network(), range.prefix())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);

    fn range(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    fn claim() -> Claim {
        Claim { gateway: GATEWAY, pods: range("10.9.0.0/16"), services: range("10.8.0.0/16"), owner: "kybtest".into() }
    }

    fn add_all() -> Result<()> {
        add_gateway(GATEWAY)?;
        add_range(claim().services, GATEWAY)?;
        reserve_range(claim().pods)
    }

    fn remove_all() -> Result<()> {
        release_range(claim().pods)?;
        remove_range(claim().services, GATEWAY)?;
        remove_gateway(GATEWAY)
    }

    #[test]
    fn all_is_added_and_removed_twice() {
        crate::namespace::apart(|| {
            pod::raise_loopback()?;
            for ours in [claim().pods, claim().services] {
                assert_eq!(taken(ours, None)?, None);
            }
            add_all()?;
            add_all()?;
            let refused = std::net::UdpSocket::bind("0.0.0.0:0").unwrap().connect("10.9.3.3:9").unwrap_err();
            assert_eq!(refused.raw_os_error(), Some(libc::EHOSTUNREACH));
            for ours in [claim().pods, claim().services] {
                assert_eq!(taken(ours, Some(&claim()))?, None);
                assert!(taken(ours, None)?.is_some());
            }
            remove_all()?;
            remove_all()?;
            assert_eq!(taken(claim().pods, None)?, None);
            assert_eq!(taken(claim().services, None)?, None);
            Ok(())
        })
        .unwrap();
    }

    #[test]
    fn what_the_machine_had_is_neither_replaced_nor_removed() {
        crate::namespace::apart(|| {
            pod::raise_loopback()?;
            let mut batch = Batch::default();
            let here = Ipv4Addr::new(192, 0, 2, 1);
            route::add_address(&mut batch, LOOPBACK_INDEX, here);
            for theirs in ["10.8.0.0", "10.9.0.0"] {
                route::add_route(&mut batch, LOOPBACK_INDEX, (theirs.parse().unwrap(), 16), None, Some(here));
            }
            route::add_route(&mut batch, LOOPBACK_INDEX, ("10.0.0.0".parse().unwrap(), 8), None, Some(here));
            Socket::route()?.run_all(batch)?;
            assert_eq!(taken(range("10.77.0.0/16"), None)?, None);
            let before = route::routes(&mut Socket::route()?)?;
            assert_eq!(taken(claim().services, Some(&claim()))?.unwrap(), "the route 10.8.0.0/16 dev lo");
            assert_eq!(taken(range("10.9.3.0/24"), None)?.unwrap(), "the route 10.9.0.0/16 dev lo");
            assert_eq!(taken(range("192.0.2.0/24"), None)?.unwrap(), "the address 192.0.2.1/32 of lo");
            assert_eq!(taken(range("127.9.0.0/16"), None)?, None);
            assert_eq!(taken(range("127.0.0.0/16"), None)?.unwrap(), "the address 127.0.0.1/8 of lo");
            assert!(reserve_range(claim().pods).unwrap_err().is_present());
            release_range(claim().pods)?;
            remove_range(claim().services, GATEWAY)?;
            remove_gateway(Ipv4Addr::LOCALHOST)?;
            assert_eq!(route::routes(&mut Socket::route()?)?, before);
            assert!(taken(range("127.0.0.0/16"), None)?.is_some());
            Ok(())
        })
        .unwrap();
    }
}
