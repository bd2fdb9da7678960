//! Service addresses: one IPAddress object each, out of the ServiceCIDRs.
//!
//! The lower part of a range is left to addresses that are asked for by number, as long as the upper has any.

use std::net::Ipv4Addr;

use machinery::status::Status;
use serde_json::{Value, json};

use super::Pools;
use crate::commit::{Side, SideChange};
use crate::keys;

pub const COLLECTION: &str = "networking.k8s.io/ipaddresses";
const CIDRS: &str = "networking.k8s.io/servicecidrs";

/// The lower part of a range: a sixteenth of it, 16 to 256 addresses.
const LOWER_MIN: u32 = 16;
const LOWER_MAX: u32 = 256;
const LOWER_SHARE: u32 = 16;

/// A range of IPv4 addresses without the network's own and the broadcast address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    network: u32,
    size: u32,
}

impl Range {
    pub fn parse(cidr: &str) -> Option<Self> {
        let (address, bits) = cidr.split_once('/')?;
        let (address, bits): (Ipv4Addr, u32) = (address.parse().ok()?, bits.parse().ok()?);
        let size = 1u32.checked_shl(32u32.checked_sub(bits)?)?;
        Some(Self { network: u32::from(address) & !(size - 1), size })
    }

    fn at(self, offset: u32) -> Ipv4Addr {
        Ipv4Addr::from(self.network + offset)
    }

    fn contains(self, address: Ipv4Addr) -> bool {
        let offset = u32::from(address).wrapping_sub(self.network);
        offset > 0 && offset < self.size.saturating_sub(1)
    }

    fn lower(self) -> u32 {
        match self.size {
            size if size <= LOWER_MIN => 1,
            size => (size / LOWER_SHARE).clamp(LOWER_MIN, LOWER_MAX),
        }
    }

    /// All offsets: the upper part from a random place on and around, then the lower part.
    fn offsets(self, random: u32) -> impl Iterator<Item = u32> {
        let (low, end) = (self.lower(), self.size.saturating_sub(1));
        let count = end.saturating_sub(low);
        let start = random.checked_rem(count).unwrap_or(0);
        (0..count).map(move |i| low + (start + i) % count).chain(1..low.min(end))
    }
}

/// The address ranges in use: those of the ServiceCIDR objects that stay.
fn ranges(pools: &Pools<'_>) -> Vec<Range> {
    let objects = pools.cache.snapshot(CIDRS).0;
    let trees = objects.values().map(|held| held.object.tree());
    let staying = trees.filter(|cidr| !machinery::meta::is_deleting(cidr));
    let found: Vec<Range> = staying
        .flat_map(|cidr| machinery::tree::items(&cidr, "spec.cidrs").to_vec())
        .filter_map(|cidr| Range::parse(cidr.as_str()?))
        .collect();
    if found.is_empty() { Range::parse(pools.service_cidr).into_iter().collect() } else { found }
}

/// A free address.
///
/// # Errors
/// 500: the range is full.
pub fn next(pools: &Pools<'_>, first: bool) -> Result<Ipv4Addr, Status> {
    let free = |address: &Ipv4Addr| pools.cache.get(COLLECTION, &address.to_string()).is_none();
    for range in ranges(pools) {
        if first && free(&range.at(1)) {
            return Ok(range.at(1));
        }
        let random = pools.world.below(u64::from(range.size));
        let found = range.offsets(u32::try_from(random).unwrap_or(0)).map(|offset| range.at(offset)).find(free);
        if let Some(address) = found {
            return Ok(address);
        }
    }
    Err(Status::internal("failed to allocate a serviceIP: range is full"))
}

/// Whether an address that is asked for can be had.
///
/// # Errors
/// Why not, in upstream's words.
pub fn check(pools: &Pools<'_>, text: &str) -> Result<(), String> {
    let Ok(address) = text.parse::<Ipv4Addr>() else { return Err(format!("{text} is no IPv4 address")) };
    let ranges = ranges(pools);
    if !ranges.iter().any(|range| range.contains(address)) {
        let shown = ranges.first().map_or_else(String::new, |r| format!("{}/{}", r.at(0), 32 - r.size.ilog2()));
        return Err(format!(
            "the provided IP ({address}) is not in the valid range. The range of valid IPs is {shown}"
        ));
    }
    match pools.cache.get(COLLECTION, &address.to_string()) {
        Some(_) => Err("provided IP is already allocated".into()),
        None => Ok(()),
    }
}

/// The IPAddress of a Service.
pub fn take(pools: &Pools<'_>, address: &str, namespace: &str, name: &str) -> Side {
    let labels = json!({
        "ipaddress.kubernetes.io/ip-family": "IPv4", "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io",
    });
    let tree = json!({
        "kind": "IPAddress", "apiVersion": "networking.k8s.io/v1",
        "metadata": {
            "name": address, "uid": pools.world.uid(), "creationTimestamp": pools.world.now_text(), "labels": labels,
        },
        "spec": {"parentRef": {"resource": "services", "namespace": namespace, "name": name}},
    });
    Side { collection: COLLECTION, key: address.to_owned(), change: SideChange::Take(tree) }
}

/// Gives an address back, if it is the Service's.
pub fn release(pools: &Pools<'_>, address: &str, namespace: &str, name: &str) -> Option<Side> {
    let held = pools.holds(COLLECTION, address)?;
    let text = |field: &str| held["spec"]["parentRef"][field].as_str().unwrap_or_default().to_owned();
    let ours = keys::key(&text("namespace"), &text("name")) == keys::key(namespace, name);
    ours.then(|| Side { collection: COLLECTION, key: address.to_owned(), change: SideChange::Release })
}

/// The ServiceCIDR object of the configured range.
pub fn default_cidr(cidr: &str) -> Value {
    json!({
        "kind": "ServiceCIDR", "apiVersion": "networking.k8s.io/v1", "metadata": {"name": "kubernetes"},
        "spec": {"cidrs": [cidr]},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_walked_once_upper_part_first() {
        let range = Range::parse("10.0.0.0/24").unwrap();
        let offsets: Vec<u32> = range.offsets(1000).collect();
        assert_eq!(offsets.len(), 254);
        assert!(offsets[..254 - 15].iter().all(|o| *o >= 16));
        let mut sorted = offsets.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (1..255).collect::<Vec<_>>());
        assert!(range.contains("10.0.0.1".parse().unwrap()));
        assert!(!range.contains("10.0.0.255".parse().unwrap()));
        assert!(!range.contains("10.0.1.1".parse().unwrap()));
    }

    #[test]
    fn tiny_and_bad_ranges_do_not_panic() {
        assert_eq!(Range::parse("10.0.0.0/32").map(|r| r.offsets(7).count()), Some(0));
        assert_eq!(Range::parse("10.0.0.0/30").unwrap().offsets(7).count(), 2);
        assert_eq!(Range::parse("10.0.0.0/33"), None);
        assert_eq!(Range::parse("::/64"), None);
    }
}
