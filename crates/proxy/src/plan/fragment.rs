//! What one Service adds to the table: chains of its own, and elements of the shared maps.
//!
//! ```text
//!  service-ips ─▶ cluster-NS/NAME/PROTO/PORT   mark what comes not from a pod; pick one of all endpoints
//!              └▶ local-…                      internalTrafficPolicy: Local: pick one of this node's
//!  node-ports,  ─▶ external-…                  Cluster: mark, then cluster-…
//!  outer addresses                             Local: pods and this node to cluster-…, others to local-…
//!  cluster-…, local-… ─▶ pick-N                shared: one of the N endpoints of the number it is given, DNAT
//!                     └▶ endpoint-…            with session affinity: remember the client, then DNAT
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use machinery::key::Key as Name;
use network::nft::{Data, Expression as E, Key, Lookup, Register, Rule, Verdict};

use super::Place;
use super::choose::{Choice, Target, choose};
use super::diff::Stale;
use super::facts::{PortFacts, ServiceFacts, SliceFacts};
use super::index::Numbers;
use super::table::{
    AFFINITY, AFFINITY_ENDPOINTS, AFFINITY_SLOTS, ENDPOINTS, FIREWALL_IPS, HAIRPINS, MASQUERADE_MARK, NODE_PORTS,
    REFUSE_CHAIN, SERVICE_IPS, UNSERVED_IPS, UNSERVED_PORTS, pick_chain,
};

const UDP: u8 = 17;

/// An element of a shared set is found by the set's name and the key.
pub type Slot = (&'static str, Key);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fragment {
    pub chains: BTreeMap<String, Vec<Rule>>,
    pub elements: BTreeMap<Slot, Data>,
    /// Numbers of endpoints for which a shared chain that picks one of them must be there.
    pub picks: BTreeSet<u32>,
    /// Where UDP traffic may go: (address, or this node's) and port to endpoints.
    pub udp: BTreeMap<(Option<Ipv4Addr>, u16), BTreeSet<Target>>,
}

/// One port on its way into a fragment.
struct Port<'a> {
    facts: &'a PortFacts,
    service: &'a ServiceFacts,
    place: &'a Place,
    /// `NS/NAME/PROTO/PORT`, the last part only if the port has a name.
    path: String,
    choice: Choice,
}

pub fn fragment<'a>(
    name: &Name,
    service: &ServiceFacts,
    slices: impl Iterator<Item = &'a SliceFacts> + Clone,
    place: &Place,
    numbers: &mut Numbers,
) -> Fragment {
    let mut fragment = Fragment::default();
    for facts in &service.ports {
        let path = path(name, facts);
        let choice = choose(slices.clone(), facts, &place.node);
        let port = Port { facts, service, place, path, choice };
        fragment.inside(&port, numbers);
        fragment.outside(&port, numbers);
        fragment.hairpins(&port);
    }
    fragment
}

impl Fragment {
    /// The cluster addresses.
    fn inside(&mut self, port: &Port<'_>, numbers: &mut Numbers) {
        let local = port.service.internal_local;
        let targets = if local { &port.choice.local } else { &port.choice.all };
        let chain = if local { format!("local-{}", port.path) } else { format!("cluster-{}", port.path) };
        if !targets.is_empty() {
            self.balance(port, &chain, targets, numbers);
        }
        for address in &port.service.cluster_ips {
            let slots = (SERVICE_IPS, UNSERVED_IPS);
            self.serve(slots, key(Some(*address), port.facts, port.facts.port), &chain, targets, port);
            self.note_udp(port, Some(*address), port.facts.port, targets);
        }
    }

    /// Node port, external and load balancer addresses.
    fn outside(&mut self, port: &Port<'_>, numbers: &mut Numbers) {
        let addresses = || port.service.external_ips.iter().chain(&port.service.load_balancer_ips);
        if port.facts.node_port.is_none() && addresses().next().is_none() {
            return;
        }
        let chain = format!("external-{}", port.path);
        if !port.choice.all.is_empty() {
            self.outer_chain(port, &chain, numbers);
        }
        // With `Local`, pods and the node itself still reach all endpoints, so the chain serves whenever there is any.
        let reachable = &port.choice.all;
        for address in addresses() {
            let slots = (SERVICE_IPS, UNSERVED_IPS);
            self.serve(slots, key(Some(*address), port.facts, port.facts.port), &chain, reachable, port);
            self.note_udp(port, Some(*address), port.facts.port, reachable);
        }
        if let Some(number) = port.facts.node_port {
            self.serve((NODE_PORTS, UNSERVED_PORTS), key(None, port.facts, number), &chain, reachable, port);
            self.note_udp(port, None, number, reachable);
        }
        self.firewall(port);
    }

    fn outer_chain(&mut self, port: &Port<'_>, chain: &str, numbers: &mut Numbers) {
        let cluster = format!("cluster-{}", port.path);
        self.balance(port, &cluster, &port.choice.all, numbers);
        let mark_and_go = [&E::add_mark(MASQUERADE_MARK)[..], &[E::goto(&cluster)]].concat();
        if !port.service.external_local {
            self.chains.insert(chain.to_owned(), vec![mark_and_go]);
            return;
        }
        let pods = port.place.pods;
        let from_pods = [&E::source_in(pods.network(), pods.mask(), true)[..], &[E::goto(&cluster)]].concat();
        let from_here = [&E::is_from_here()[..], &mark_and_go].concat();
        let local = format!("local-{}", port.path);
        let from_afar = if port.choice.local.is_empty() {
            vec![E::Verdict(Verdict::Drop)]
        } else {
            self.balance(port, &local, &port.choice.local, numbers);
            vec![E::goto(&local)]
        };
        self.chains.insert(chain.to_owned(), vec![from_pods, from_here, from_afar]);
    }

    /// The chain that picks one of `targets`.
    fn balance(&mut self, port: &Port<'_>, chain: &str, targets: &BTreeSet<Target>, numbers: &mut Numbers) {
        if self.chains.contains_key(chain) {
            return;
        }
        let mut rules = Vec::new();
        if chain.starts_with("cluster-") {
            let pods = port.place.pods;
            let from_outside = E::source_in(pods.network(), pods.mask(), false);
            rules.push([&from_outside[..], &E::add_mark(MASQUERADE_MARK)].concat());
        }
        let id = numbers.of(chain);
        match (port.service.affinity_s, targets.len()) {
            (Some(seconds), _) => rules.extend(self.sticky(id, chain, targets, seconds, numbers)),
            (_, 1) => rules.extend(targets.iter().map(|target| send(*target))),
            _ => rules.push(self.spread(id, targets)),
        }
        self.chains.insert(chain.to_owned(), rules);
    }

    fn spread(&mut self, id: u32, targets: &BTreeSet<Target>) -> Rule {
        for (index, (address, port)) in (0..).zip(targets) {
            let value = Key::default().ipv4(*address).port(*port);
            self.elements.insert((ENDPOINTS, Key::default().mark(id).mark(index)), Data::Value(value));
        }
        let count = targets.len() as u32;
        self.picks.insert(count);
        vec![load(0, id), E::SetPriority { from: Register(0) }, E::goto(&pick_chain(count))]
    }

    /// Who came before goes where he went, as long as that endpoint is there: its number is never used again.
    fn sticky(
        &mut self,
        id: u32,
        chain: &str,
        targets: &BTreeSet<Target>,
        seconds: u32,
        numbers: &mut Numbers,
    ) -> [Rule; 2] {
        for (index, target) in (0..).zip(targets) {
            let endpoint = format!("endpoint-{chain}/{}/{}", target.0, target.1);
            let number = numbers.of(&endpoint);
            let goto = || Data::Verdict(Verdict::Goto(endpoint.clone()));
            self.elements.insert((AFFINITY_SLOTS, Key::default().mark(id).mark(index)), goto());
            self.elements.insert((AFFINITY_ENDPOINTS, Key::default().mark(number)), goto());
            self.chains.insert(endpoint, vec![remember(id, number, seconds), send(*target)]);
        }
        let r = Register;
        let known = vec![
            load(0, id),
            E::source(r(1)),
            E::Lookup { set: AFFINITY.into(), from: r(0), then: Lookup::Value(r(4)) },
            E::SetPriority { from: r(4) },
            E::Priority { to: r(0) },
            E::Lookup { set: AFFINITY_ENDPOINTS.into(), from: r(0), then: Lookup::Verdict },
        ];
        let fresh = vec![
            load(0, id),
            E::Random { modulus: targets.len() as u32, to: r(1) },
            E::Lookup { set: AFFINITY_SLOTS.into(), from: r(0), then: Lookup::Verdict },
        ];
        [known, fresh]
    }

    /// Leads `key` to `chain`, or refuses it if nobody is there. What a `Local` policy keeps from endpoints elsewhere is
    /// dropped instead: the client's next try may come to another node.
    fn serve(
        &mut self,
        slots: (&'static str, &'static str),
        key: Key,
        chain: &str,
        targets: &BTreeSet<Target>,
        port: &Port<'_>,
    ) {
        let (slot, verdict) = match (targets.is_empty(), port.choice.all.is_empty()) {
            (false, _) => (slots.0, Verdict::Goto(chain.to_owned())),
            (true, false) => (slots.1, Verdict::Drop),
            (true, true) => (slots.1, Verdict::Goto(REFUSE_CHAIN.to_owned())),
        };
        self.elements.insert((slot, key), Data::Verdict(verdict));
    }

    fn firewall(&mut self, port: &Port<'_>) {
        let service = port.service;
        if service.source_ranges.is_empty() || service.load_balancer_ips.is_empty() {
            return;
        }
        let chain = format!("firewall-{}", port.path);
        let allowed = |range: &network::pool::Cidr| {
            [&E::source_in(range.network(), range.mask(), true)[..], &[E::Verdict(Verdict::Return)]].concat()
        };
        let mut rules: Vec<Rule> = service.source_ranges.iter().map(allowed).collect();
        rules.push(vec![E::Verdict(Verdict::Drop)]);
        self.chains.insert(chain.clone(), rules);
        for address in &service.load_balancer_ips {
            let slot = (FIREWALL_IPS, key(Some(*address), port.facts, port.facts.port));
            self.elements.insert(slot, Data::Verdict(Verdict::Goto(chain.clone())));
        }
    }

    /// A pod of this node that reaches itself through the Service must see another sender than itself.
    fn hairpins(&mut self, port: &Port<'_>) {
        for (address, _) in &port.choice.local {
            if port.place.pods.contains(*address) {
                self.elements.insert((HAIRPINS, Key::default().ipv4(*address).ipv4(*address)), Data::None);
            }
        }
    }

    fn note_udp(&mut self, port: &Port<'_>, address: Option<Ipv4Addr>, number: u16, targets: &BTreeSet<Target>) {
        if port.facts.protocol == UDP {
            self.udp.insert((address, number), targets.clone());
        }
    }

    /// Connections that must be forgotten when this fragment follows `old`: those to endpoints that went, and those
    /// that began when there was none, and so go nowhere.
    pub fn stale_after(&self, old: &Fragment) -> Vec<Stale> {
        let nowhere = BTreeSet::new();
        let before = |at| old.udp.get(at).unwrap_or(&nowhere);
        let now = |at| self.udp.get(at).unwrap_or(&nowhere);
        let keys: BTreeSet<_> = old.udp.keys().chain(self.udp.keys()).collect();
        let changed = keys.into_iter().filter(|at| before(at) != now(at));
        let stale = changed.filter(|at| before(at).is_empty() || !before(at).is_subset(now(at)));
        stale.map(|at| Stale { address: at.0, port: at.1, current: now(at).clone() }).collect()
    }
}

fn path(name: &Name, facts: &PortFacts) -> String {
    let path = format!("{}/{}/{}", name.namespace, name.name, protocol_name(facts.protocol));
    if facts.name.is_empty() { path } else { path + "/" + &facts.name }
}

fn remember(id: u32, number: u32, seconds: u32) -> Rule {
    let r = Register;
    let timeout_ms = u64::from(seconds) * 1_000;
    vec![
        load(0, id),
        E::source(r(1)),
        load(4, number),
        E::Forget { set: AFFINITY.into(), key: r(0), value: r(4) },
        E::Remember { set: AFFINITY.into(), key: r(0), value: Some(r(4)), timeout_ms },
    ]
}

fn send((address, port): Target) -> Rule {
    let r = Register;
    vec![
        E::Load { to: r(4), value: address.octets().to_vec() },
        E::Load { to: r(5), value: port.to_be_bytes().to_vec() },
        E::DestinationNat { address: r(4), port: r(5) },
    ]
}

fn load(register: u8, number: u32) -> E {
    E::Load { to: Register(register), value: number.to_ne_bytes().to_vec() }
}

fn key(address: Option<Ipv4Addr>, facts: &PortFacts, port: u16) -> Key {
    let start = address.map(|address| Key::default().ipv4(address)).unwrap_or_default();
    start.protocol(facts.protocol).port(port)
}

fn protocol_name(number: u8) -> &'static str {
    match number {
        6 => "tcp",
        UDP => "udp",
        _ => "sctp",
    }
}
