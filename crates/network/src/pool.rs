//! Who has which address of a range. Pure: the caller holds it, and tells it at the start what is in use.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::str::FromStr;

use crate::{Error, Result};

/// An IPv4 range, `10.244.0.0/24`. The host bits are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr {
    network: Ipv4Addr,
    prefix: u8,
}

impl Cidr {
    /// The range that `address` lies in; a prefix above 32 is refused.
    pub fn new(address: Ipv4Addr, prefix: u8) -> Result<Self> {
        if prefix > 32 {
            return Err(Error::Invalid(format!("{address}/{prefix}: a prefix has at most 32 bits")));
        }
        Ok(Self { network: Ipv4Addr::from_bits(address.to_bits() & mask(prefix)), prefix })
    }

    pub fn network(&self) -> Ipv4Addr {
        self.network
    }

    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    pub fn mask(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(mask(self.prefix))
    }

    /// The first address after the network's: by custom the gateway.
    pub fn gateway(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.network.to_bits().saturating_add(1))
    }

    pub fn last(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.network.to_bits() | !mask(self.prefix))
    }

    pub fn contains(&self, address: Ipv4Addr) -> bool {
        address.to_bits() & mask(self.prefix) == self.network.to_bits()
    }

    /// Whether there is an address in both.
    pub fn overlaps(&self, other: Self) -> bool {
        self.contains(other.network) || other.contains(self.network)
    }
}

impl FromStr for Cidr {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let invalid = || Error::Invalid(format!("{text:?} is no IPv4 range such as 10.244.0.0/24"));
        let (address, prefix) = text.split_once('/').ok_or_else(invalid)?;
        let cidr = Self::new(address.parse().map_err(|_| invalid())?, prefix.parse().map_err(|_| invalid())?)?;
        Ok(cidr)
    }
}

impl std::fmt::Display for Cidr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix)
    }
}

fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
}

/// The addresses of a range that are given out. Network, gateway and broadcast address never are.
#[derive(Clone, Debug)]
pub struct Pool {
    range: Cidr,
    used: BTreeSet<Ipv4Addr>,
    /// Where the next search begins: an address just given back is given out last, so that what still knows its
    /// former owner has time to forget.
    next: u32,
}

impl Pool {
    pub fn new(range: Cidr) -> Self {
        Self { range, used: BTreeSet::new(), next: first(range) }
    }

    pub fn range(&self) -> Cidr {
        self.range
    }

    /// Gives out an address; `None` when all are in use.
    pub fn take(&mut self) -> Option<Ipv4Addr> {
        let (first, last) = (first(self.range), last(self.range));
        let start = if (first..=last).contains(&self.next) { self.next } else { first };
        let free = |bits: &u32| !self.used.contains(&Ipv4Addr::from_bits(*bits));
        let found = (start..=last).find(free).or_else(|| (first..start).find(free))?;
        self.next = found.wrapping_add(1);
        let address = Ipv4Addr::from_bits(found);
        self.used.insert(address);
        Some(address)
    }

    /// Marks an address as in use, for instance after a restart. `false` if it cannot be: not of this range, or taken.
    pub fn occupy(&mut self, address: Ipv4Addr) -> bool {
        let fits = (first(self.range)..=last(self.range)).contains(&address.to_bits());
        let taken = fits && self.used.insert(address);
        if taken {
            self.next = self.next.max(address.to_bits().wrapping_add(1));
        }
        taken
    }

    /// Gives an address back; one that was not in use is no error.
    pub fn release(&mut self, address: Ipv4Addr) {
        self.used.remove(&address);
    }

    pub fn used(&self) -> usize {
        self.used.len()
    }
}

fn first(range: Cidr) -> u32 {
    range.gateway().to_bits().saturating_add(1)
}

fn last(range: Cidr) -> u32 {
    range.last().to_bits().saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    #[test]
    fn ranges_parse_and_contain() {
        let range = cidr("10.244.1.77/24");
        assert_eq!((range.to_string().as_str(), range.gateway()), ("10.244.1.0/24", Ipv4Addr::new(10, 244, 1, 1)));
        assert!(range.contains(Ipv4Addr::new(10, 244, 1, 255)) && !range.contains(Ipv4Addr::new(10, 244, 2, 0)));
        assert!(cidr("0.0.0.0/0").contains(Ipv4Addr::BROADCAST));
        for bad in ["10.0.0.0", "10.0.0.0/33", "10.0.0/8", "a/8", "::/0", "10.0.0.0/-1"] {
            assert!(bad.parse::<Cidr>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_pool_gives_each_address_once_and_the_oldest_free_one_first() {
        let mut pool = Pool::new(cidr("10.0.0.0/29"));
        let all: Vec<_> = std::iter::from_fn(|| pool.take()).map(|a| a.octets()[3]).collect();
        assert_eq!(all, [2, 3, 4, 5, 6]);
        pool.release(Ipv4Addr::new(10, 0, 0, 5));
        pool.release(Ipv4Addr::new(10, 0, 0, 3));
        assert_eq!(pool.take(), Some(Ipv4Addr::new(10, 0, 0, 3)));
        assert_eq!(pool.take(), Some(Ipv4Addr::new(10, 0, 0, 5)));
        assert_eq!(pool.take(), None);
    }

    #[test]
    fn a_released_address_is_not_given_out_at_once() {
        let mut pool = Pool::new(cidr("10.0.0.0/24"));
        let first = pool.take().unwrap();
        pool.release(first);
        assert_ne!(pool.take(), Some(first));
    }

    #[test]
    fn occupied_addresses_are_refused_twice_and_outside() {
        let mut pool = Pool::new(cidr("10.0.0.0/24"));
        assert!(pool.occupy(Ipv4Addr::new(10, 0, 0, 2)));
        for bad in [[10, 0, 0, 2], [10, 0, 0, 0], [10, 0, 0, 1], [10, 0, 0, 255], [10, 0, 1, 5]] {
            assert!(!pool.occupy(Ipv4Addr::from(bad)), "{bad:?}");
        }
        assert_eq!(pool.take(), Some(Ipv4Addr::new(10, 0, 0, 3)));
        assert_eq!(pool.used(), 2);
    }

    #[test]
    fn tiny_ranges_have_nothing_to_give() {
        for range in ["10.0.0.0/32", "10.0.0.0/31", "255.255.255.255/32"] {
            assert_eq!(Pool::new(cidr(range)).take(), None, "{range}");
        }
        assert_eq!(Pool::new(cidr("10.0.0.0/30")).take(), Some(Ipv4Addr::new(10, 0, 0, 2)));
    }
}
