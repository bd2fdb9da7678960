//! The parts of the table that are there whatever Services there are: sets, base chains, and their few rules.
//!
//! ```text
//!  prerouting, output:  drop what a source range forbids
//!                       DNAT: address.protocol.port ─▶ service-ips ─▶ the port's chain
//!                             to this node: protocol.port ─▶ node-ports ─▶ the port's chain
//!  input, forward, output:  refuse what nobody serves (unserved-ips, unserved-ports, the Services' range)
//!  postrouting:         masquerade what is marked, what comes back to its own pod, and pods' way out
//! ```

use network::nft::{
    ChainKind, Expression as E, Field, Hook, HookPoint, Lookup, MapData, Register, Reject, Rule, Set, Verdict,
};

use super::Place;

pub const SERVICE_IPS: &str = "service-ips";
pub const NODE_PORTS: &str = "node-ports";
pub const UNSERVED_IPS: &str = "unserved-ips";
pub const UNSERVED_PORTS: &str = "unserved-ports";
pub const FIREWALL_IPS: &str = "firewall-ips";
pub const ENDPOINTS: &str = "endpoints";
pub const AFFINITY: &str = "affinity";
pub const AFFINITY_ENDPOINTS: &str = "affinity-endpoints";
pub const AFFINITY_SLOTS: &str = "affinity-slots";
pub const HAIRPINS: &str = "hairpins";
pub const SERVICES_CHAIN: &str = "services";
pub const REFUSE_CHAIN: &str = "refuse";

/// Packets whose source is rewritten on their way out; the bit that kube-proxy uses too.
pub const MASQUERADE_MARK: u32 = 0x4000;
const STATE_INVALID: u32 = 1;
const TCP: u8 = 6;
const LOOPBACK_LINK: &[u8; 16] = b"lo\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
const LOOPBACK: (std::net::Ipv4Addr, std::net::Ipv4Addr) =
    (std::net::Ipv4Addr::new(127, 0, 0, 0), std::net::Ipv4Addr::new(255, 0, 0, 0));
const DESTINATION_NAT: i32 = -100;
const BEFORE_DESTINATION_NAT: i32 = -110;
const FILTER: i32 = 0;
const SOURCE_NAT: i32 = 100;

const ADDRESS_AND_PORT: &[Field] = &[Field::Ipv4, Field::Protocol, Field::Port];
const PORT: &[Field] = &[Field::Protocol, Field::Port];

const fn verdicts(name: &'static str, key: &'static [Field]) -> Set {
    Set { name, key, data: Some(MapData::Verdict), is_dynamic: false }
}

pub const SETS: [Set; 10] = [
    verdicts(SERVICE_IPS, ADDRESS_AND_PORT),
    verdicts(NODE_PORTS, PORT),
    verdicts(UNSERVED_IPS, ADDRESS_AND_PORT),
    verdicts(UNSERVED_PORTS, PORT),
    verdicts(FIREWALL_IPS, ADDRESS_AND_PORT),
    Set {
        name: ENDPOINTS,
        key: &[Field::Mark, Field::Mark],
        data: Some(MapData::Fields(&[Field::Ipv4, Field::Port])),
        is_dynamic: false,
    },
    Set {
        name: AFFINITY,
        key: &[Field::Mark, Field::Ipv4],
        data: Some(MapData::Fields(&[Field::Mark])),
        is_dynamic: true,
    },
    verdicts(AFFINITY_ENDPOINTS, &[Field::Mark]),
    verdicts(AFFINITY_SLOTS, &[Field::Mark, Field::Mark]),
    Set { name: HAIRPINS, key: &[Field::Ipv4, Field::Ipv4], data: None, is_dynamic: false },
];

pub struct Chain {
    pub name: &'static str,
    pub hook: Option<Hook>,
    pub rules: Vec<Rule>,
}

/// The fixed chains; those without a hook come first, because others jump to them.
pub fn chains(place: &Place) -> Vec<Chain> {
    let nat = |point, priority| Some(Hook { kind: ChainKind::Nat, point, priority });
    let filter = |point, priority| Some(Hook { kind: ChainKind::Filter, point, priority });
    let to_services = || vec![vec![E::jump(SERVICES_CHAIN)]];
    let firewall = || vec![by_address(FIREWALL_IPS, true)];
    let chain = |name, hook, rules| Chain { name, hook, rules };
    vec![
        chain(REFUSE_CHAIN, None, refusal()),
        chain(SERVICES_CHAIN, None, vec![by_address(SERVICE_IPS, false), by_port(NODE_PORTS, false)]),
        chain("firewall-prerouting", filter(HookPoint::Prerouting, BEFORE_DESTINATION_NAT), firewall()),
        chain("firewall-output", filter(HookPoint::Output, BEFORE_DESTINATION_NAT), firewall()),
        chain("nat-prerouting", nat(HookPoint::Prerouting, DESTINATION_NAT), to_services()),
        chain("nat-output", nat(HookPoint::Output, DESTINATION_NAT), to_services()),
        chain("nat-postrouting", nat(HookPoint::Postrouting, SOURCE_NAT), masquerading(place)),
        chain("filter-input", filter(HookPoint::Input, FILTER), refusals(place, true)),
        chain("filter-forward", filter(HookPoint::Forward, FILTER), forwarding(place)),
        chain("filter-output", filter(HookPoint::Output, FILTER), refusals(place, true)),
    ]
}

/// The chain that picks one of `count` endpoints.
pub fn pick_chain(count: u32) -> String {
    format!("pick-{count}")
}

/// Its rule. It is one for all Services with so many endpoints, because the kernel checks each new element of a map
/// against every rule that uses the map. The priority brings the Service's number, which is taken off the packet here.
pub fn pick(count: u32) -> Rule {
    let r = Register;
    vec![
        E::Priority { to: r(0) },
        E::Random { modulus: count, to: r(1) },
        E::Lookup { set: ENDPOINTS.into(), from: r(0), then: Lookup::Value(r(4)) },
        E::Load { to: r(0), value: vec![0; 4] },
        E::SetPriority { from: r(0) },
        E::DestinationNat { address: r(4), port: r(5) },
    ]
}

/// `ip daddr . meta l4proto . th dport vmap @set`
fn by_address(set: &str, only_new: bool) -> Rule {
    let r = Register;
    let mut rule = if only_new { E::is_new().to_vec() } else { Vec::new() };
    rule.extend([E::destination(r(0)), E::Protocol { to: r(1) }, E::destination_port(r(2))]);
    rule.push(E::Lookup { set: set.into(), from: r(0), then: Lookup::Verdict });
    rule
}

/// The same for what goes to an address of this node, but for loopback ones: from there no answer would find back.
fn by_port(set: &str, only_new: bool) -> Rule {
    let r = Register;
    let mut rule = if only_new { E::is_new().to_vec() } else { Vec::new() };
    rule.extend(E::is_to_here());
    rule.extend(E::destination_in(LOOPBACK.0, LOOPBACK.1, false));
    rule.extend([E::Protocol { to: r(0) }, E::destination_port(r(1))]);
    rule.push(E::Lookup { set: set.into(), from: r(0), then: Lookup::Verdict });
    rule
}

/// As upstream: port unreachable. On a machine without a default route, Services are routed to the loopback link, and
/// there the kernel sends no such message; TCP at least has its own.
fn refusal() -> Vec<Rule> {
    let r = Register;
    let tcp_reset = vec![
        E::OutLink { to: r(0) },
        E::Equal { from: r(0), value: LOOPBACK_LINK.to_vec() },
        E::Protocol { to: r(0) },
        E::Equal { from: r(0), value: vec![TCP] },
        E::Reject(Reject::TcpReset),
    ];
    vec![tcp_reset, vec![E::Reject(Reject::PortUnreachable)]]
}

fn masquerading(place: &Place) -> Vec<Rule> {
    let r = Register;
    let (network, mask) = (place.pods.network(), place.pods.mask());
    let local = vec![
        E::OutLink { to: r(0) },
        E::Equal { from: r(0), value: LOOPBACK_LINK.to_vec() },
        E::Verdict(Verdict::Return),
    ];
    let marked = [&E::has_mark(MASQUERADE_MARK)[..], &clear_mark(), &[E::Masquerade]].concat();
    let hairpin = vec![
        E::source(r(0)),
        E::destination(r(1)),
        E::Lookup { set: HAIRPINS.into(), from: r(0), then: Lookup::Contains },
        E::Masquerade,
    ];
    let out = [&E::source_in(network, mask, true)[..], &E::destination_in(network, mask, false), &[E::Masquerade]];
    vec![local, marked, hairpin, out.concat()]
}

/// The mark has done its work; what hooks come later should not see it.
fn clear_mark() -> [E; 3] {
    let register = Register(0);
    let (mask, xor) = ((!MASQUERADE_MARK).to_ne_bytes().to_vec(), vec![0; 4]);
    [E::Mark { to: register }, E::Bits { from: register, to: register, mask, xor }, E::SetMark { from: register }]
}

fn refusals(place: &Place, node_ports: bool) -> Vec<Rule> {
    let mut rules = vec![by_address(UNSERVED_IPS, true)];
    if node_ports {
        rules.push(by_port(UNSERVED_PORTS, true));
    }
    if let Some(range) = place.services {
        let unknown = E::destination_in(range.network(), range.mask(), true);
        rules.push([&E::is_new()[..], &unknown, &[E::goto(REFUSE_CHAIN)]].concat());
    }
    rules
}

/// An answer that connection tracking cannot place would reach the client from the pod's own address, and the client
/// would reset the connection (kubernetes issue 74839).
fn forwarding(place: &Place) -> Vec<Rule> {
    let r = Register;
    let invalid = [
        E::State { to: r(0) },
        E::Bits { from: r(0), to: r(0), mask: STATE_INVALID.to_ne_bytes().to_vec(), xor: vec![0; 4] },
        E::Differs { from: r(0), value: vec![0; 4] },
    ];
    let from_pods = E::source_in(place.pods.network(), place.pods.mask(), true);
    let mut rules = vec![[&invalid[..], &from_pods, &[E::Verdict(Verdict::Drop)]].concat()];
    rules.extend(refusals(place, false));
    rules
}
