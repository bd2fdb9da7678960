//! Node ports: one stored object each, so that a port cannot be had twice.

use machinery::status::Status;
use serde_json::json;

use super::Pools;
use crate::commit::{Side, SideChange};

/// Not an API resource: no kind has this plural.
pub const COLLECTION: &str = "ranges/nodeports";

/// The lower part of the range: a thirty-second of it, 16 to 128 ports.
const LOWER_MIN: u16 = 16;
const LOWER_MAX: u16 = 128;
const LOWER_SHARE: u16 = 32;

/// First and last node port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    pub first: u16,
    pub last: u16,
}

impl PortRange {
    fn size(self) -> u16 {
        (self.last - self.first).saturating_add(1)
    }

    fn lower(self) -> u16 {
        match self.size() {
            size if size <= LOWER_MIN => 0,
            size => (size / LOWER_SHARE).clamp(LOWER_MIN, LOWER_MAX),
        }
    }

    /// All ports: the upper part from a random place on and around, then the lower part.
    fn ports(self, random: u64) -> impl Iterator<Item = u16> {
        let (low, count) = (u64::from(self.lower()), u64::from(self.size() - self.lower()));
        let start = random.checked_rem(count).unwrap_or(0);
        let upper = (0..count).map(move |i| low + (start + i) % count);
        upper.chain(0..low).map(move |offset| self.first + u16::try_from(offset).unwrap_or(0))
    }
}

/// A port that is free, and not among those that this write takes already.
///
/// # Errors
/// The range is full.
pub fn next(pools: &Pools<'_>, taken: &[u16]) -> Result<u16, Status> {
    let random = pools.world.below(u64::from(pools.node_ports.size()));
    let free = |port: &u16| !taken.contains(port) && pools.cache.get(COLLECTION, &port.to_string()).is_none();
    let found = pools.node_ports.ports(random).find(free);
    found.ok_or_else(|| Status::internal("failed to allocate a nodePort: range is full"))
}

/// Whether a port that is asked for can be had.
///
/// # Errors
/// Why not, in upstream's words.
pub fn check(pools: &Pools<'_>, port: i64, taken: &[u16]) -> Result<u16, String> {
    let range = pools.node_ports;
    let valid = u16::try_from(port).ok().filter(|port| (range.first..=range.last).contains(port));
    let Some(port) = valid else {
        let shown = format!("{}-{}", range.first, range.last);
        return Err(format!("provided port is not in the valid range. The range of valid ports is {shown}"));
    };
    match taken.contains(&port) || pools.cache.get(COLLECTION, &port.to_string()).is_some() {
        true => Err("provided port is already allocated".into()),
        false => Ok(port),
    }
}

pub fn take(port: u16, owner: &str) -> Side {
    let tree = json!({
        "kind": "NodePort", "apiVersion": "kybern/v1", "metadata": {"name": port.to_string()}, "service": owner,
    });
    Side { collection: COLLECTION, key: port.to_string(), change: SideChange::Take(tree) }
}

/// Gives a port back, if it is the owner's.
pub fn release(pools: &Pools<'_>, port: u16, owner: &str) -> Option<Side> {
    let held = pools.holds(COLLECTION, &port.to_string())?;
    let side = Side { collection: COLLECTION, key: port.to_string(), change: SideChange::Release };
    (held["service"] == owner).then_some(side)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_port_comes_once() {
        let range = PortRange { first: 30000, last: 32767 };
        let mut ports: Vec<u16> = range.ports(u64::MAX).collect();
        assert!(ports[0] >= 30086);
        ports.sort_unstable();
        assert_eq!(ports, (30000..=32767).collect::<Vec<_>>());
        let one = PortRange { first: 30000, last: 30000 };
        assert_eq!(one.ports(5).collect::<Vec<_>>(), [30000]);
    }
}
