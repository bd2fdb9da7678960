//! Each node gets a range of pod addresses of its own, cut out of the cluster's.
//!
//! One key for all nodes: two nodes must never be given the same range, so ranges are given out one plan after
//! the other, and the next plan is made when the last one's writes can be seen.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use control::{Controller, Event, Heard, Plan, Target, View, Watch, Write};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use machinery::key::Key;
use serde_json::json;

pub struct NodeIpam {
    pub range: Range,
    /// Prefix length of a node's range.
    pub node_mask: u8,
}

/// An IPv4 range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Range {
    pub base: u32,
    pub mask: u8,
}

impl Range {
    /// Reads `10.244.0.0/16`; bits beyond the mask are cleared.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, mask) = text.split_once('/')?;
        let (address, mask): (Ipv4Addr, u8) = (address.parse().ok()?, mask.parse().ok()?);
        (mask <= 32).then(|| Self { base: u32::from(address) & Self::bits(mask), mask })
    }

    fn bits(mask: u8) -> u32 {
        u32::MAX.checked_shl(32 - u32::from(mask)).unwrap_or(0)
    }

    pub fn overlaps(&self, other: &Range) -> bool {
        let bits = Self::bits(self.mask.min(other.mask));
        self.base & bits == other.base & bits
    }

    /// The address at an offset.
    pub fn address(&self, offset: u32) -> Ipv4Addr {
        Ipv4Addr::from(self.base.wrapping_add(offset))
    }

    /// The ranges of a longer mask in it, in order.
    fn split(self, mask: u8) -> impl Iterator<Item = Range> {
        let count = 1_u64 << mask.saturating_sub(self.mask).min(32);
        let size = 1_u64 << (32 - u32::from(mask.min(32)));
        (0..count).filter_map(move |at| {
            let base = u32::try_from(u64::from(self.base) + at * size).ok()?;
            Some(Range { base, mask })
        })
    }
}

impl std::fmt::Display for Range {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from(self.base), self.mask)
    }
}

impl Controller for NodeIpam {
    fn name(&self) -> &'static str {
        "node-ipam"
    }

    fn account(&self) -> &'static str {
        "node-controller"
    }

    fn component(&self) -> &'static str {
        "cidrAllocator"
    }

    fn watches(&self) -> Vec<Watch> {
        let ranges_differ = |old: Option<&Node>, new: Option<&Node>| match (old, new) {
            (Some(old), Some(new)) => range_of(old) != range_of(new),
            _ => true,
        };
        vec![Watch::of::<Node>().keys(|_: &Node, _| vec![Key::default()]).when::<Node>(ranges_differ)]
    }

    fn reconcile(&self, _: &Key, view: &View<'_>, _: &Heard, _: Timestamp) -> Plan {
        let nodes = view.all::<Node>();
        let taken: Vec<Range> = nodes.iter().filter_map(|node| Range::parse(&range_of(node)?)).collect();
        let taken_here: BTreeSet<Range> = taken.iter().copied().filter(|held| held.mask == self.node_mask).collect();
        let odd: Vec<Range> = taken.into_iter().filter(|held| held.mask != self.node_mask).collect();
        let is_free = |range: &Range| !taken_here.contains(range) && !odd.iter().any(|held| held.overlaps(range));
        let mut free = self.range.split(self.node_mask).filter(is_free);
        let mut plan = Plan::idle();
        for node in nodes.iter().filter(|node| range_of(node).is_none()) {
            let Some(range) = free.next() else {
                tell_full(&mut plan, node);
                continue;
            };
            let range = range.to_string();
            let tree = json!({ "spec": { "podCIDR": range, "podCIDRs": [range] } });
            plan.write(Write::patch(Target::of(&**node), tree));
        }
        plan
    }
}

/// Says once that there is no range left: the node is looked at again when another one changes.
fn tell_full(plan: &mut Plan, node: &Node) {
    let name = node.metadata.name.as_deref().unwrap_or_default();
    let message = format!("Node {name} status is now: CIDRNotAvailable");
    plan.events.push(Event::normal(node, "CIDRNotAvailable", message));
}

/// The node's pod range.
pub fn range_of(node: &Node) -> Option<String> {
    node.spec.as_ref()?.pod_cidr.clone().filter(|range| !range.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_in_order() {
        let range = Range::parse("10.244.0.0/16").unwrap();
        let cut: Vec<_> = range.split(24).map(|range| range.to_string()).collect();
        assert_eq!((cut.len(), cut[0].as_str(), cut[255].as_str()), (256, "10.244.0.0/24", "10.244.255.0/24"));
        assert!(range.overlaps(&Range::parse("10.244.7.0/25").unwrap()));
        assert!(!range.overlaps(&Range::parse("10.245.0.0/24").unwrap()));
        assert_eq!(range.address(1).to_string(), "10.244.0.1");
    }
}
