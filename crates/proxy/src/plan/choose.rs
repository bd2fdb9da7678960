//! Which endpoints of a Service port get traffic.
//!
//! Ready ones; if none is ready, those that still serve while they terminate, so that the last pods of a roll-out
//! answer until they are gone (KEP-1669). The same again among those of this node, for the `Local` traffic policies.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use super::facts::{Endpoint, PortFacts, SliceFacts};

/// An endpoint's address and port.
pub type Target = (Ipv4Addr, u16);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// For traffic that may go to any node.
    pub all: BTreeSet<Target>,
    /// For traffic that must stay on this node.
    pub local: BTreeSet<Target>,
}

pub fn choose<'a>(slices: impl Iterator<Item = &'a SliceFacts>, port: &PortFacts, node: &str) -> Choice {
    let mut ready = Choice::default();
    let mut ending = Choice::default();
    for slice in slices {
        let matching = slice.ports.iter().filter(|p| p.name == port.name && p.protocol == port.protocol);
        for number in matching.map(|p| p.port) {
            for endpoint in &slice.endpoints {
                if endpoint.ready {
                    ready.add(endpoint, number, node);
                } else if endpoint.serving && endpoint.terminating {
                    ending.add(endpoint, number, node);
                }
            }
        }
    }
    Choice {
        all: if ready.all.is_empty() { ending.all } else { ready.all },
        local: if ready.local.is_empty() { ending.local } else { ready.local },
    }
}

impl Choice {
    fn add(&mut self, endpoint: &Endpoint, port: u16, node: &str) {
        self.all.insert((endpoint.address, port));
        if endpoint.node.as_deref() == Some(node) {
            self.local.insert((endpoint.address, port));
        }
    }
}
