//! Which endpoints of a Service port get traffic.
//!
//! Ready ones; if none is ready, those that still serve while they terminate, so that the last pods of a roll-out
//! answer until they are gone (KEP-1669). The same again among those of this node, for the `Local` traffic policies.
//! If every ready endpoint says for which nodes it is meant, and some are meant for this one, it is these.

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
    let (mut meant, mut all_have_hints) = (BTreeSet::new(), true);
    for slice in slices {
        let matching = slice.ports.iter().filter(|p| p.name == port.name && p.protocol == port.protocol);
        for number in matching.map(|p| p.port) {
            for endpoint in &slice.endpoints {
                if endpoint.ready {
                    ready.add(endpoint, number, node);
                    all_have_hints &= !endpoint.for_nodes.is_empty();
                    if endpoint.for_nodes.iter().any(|name| name == node) {
                        meant.insert((endpoint.address, number));
                    }
                } else if endpoint.serving && endpoint.terminating {
                    ending.add(endpoint, number, node);
                }
            }
        }
    }
    Choice {
        all: match (ready.all.is_empty(), all_have_hints && !meant.is_empty()) {
            (true, _) => ending.all,
            (false, true) => meant,
            (false, false) => ready.all,
        },
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
