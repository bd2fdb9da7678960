//! What the zone says to a name and a type.
//!
//! ```text
//!  NAME.NS.svc.DOMAIN                 address(es), or an alias        _PORT._PROTO.NAME.NS.svc.DOMAIN   SRV
//!  ENDPOINT.NAME.NS.svc.DOMAIN        one endpoint                    1-2-3-4.NS.pod.DOMAIN             1.2.3.4
//!  4.3.2.1.in-addr.arpa               name(s) of an address           dns-version.DOMAIN                TXT
//! ```

use std::net::{IpAddr, Ipv4Addr};

use super::facts::{Port, ServiceKind};
use super::name::Name;
use super::wire::kind;
use super::zone::{Data, Endpoint, Entry, Record, Zone};

/// The version of the specification that the names follow.
const VERSION: &str = "1.1.0";
const DNS_SERVICE: (&str, &str) = ("kube-system", "kube-dns");
/// SRV records of one name share this among them.
const WEIGHT: usize = 100;

/// The zone's word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Records, and more that the client will want next.
    Records {
        answers: Vec<Record>,
        additional: Vec<Record>,
    },
    /// The name is there, but nothing of this type.
    Nothing,
    NoSuchName,
    /// An alias of a name that somebody else knows.
    Alias(Name),
    /// Not our name.
    Foreign,
    /// Ours, but not everything has been heard yet.
    NotYet,
}

pub fn lookup(zone: &Zone, name: &Name, wanted: u16) -> Found {
    let labels: Vec<&[u8]> = name.labels().collect();
    let own = zone.domain.labels().count();
    if !name.wire().ends_with(zone.domain.wire()) || labels.len() < own || !at_label(name, zone) {
        return reverse(zone, &labels, wanted);
    }
    if !zone.is_complete {
        return Found::NotYet;
    }
    let inner: Option<Vec<&str>> =
        labels[..labels.len() - own].iter().map(|label| std::str::from_utf8(label).ok()).collect();
    // No name of ours has bytes that are no text.
    let Some(inner) = inner else { return Found::NoSuchName };
    match inner.as_slice() {
        [] => apex(zone, wanted),
        ["dns-version"] => typed(wanted, kind::TXT, vec![Data::Text(VERSION)]),
        ["svc" | "pod" | "dns"] => Found::Nothing,
        ["ns", "dns"] => dns_server(zone, wanted),
        [namespace, "svc" | "pod"] => match zone.namespaces.contains(*namespace) {
            true => Found::Nothing,
            false => Found::NoSuchName,
        },
        [pod, namespace, "pod"] => pod_address(zone, namespace, pod, wanted),
        [rest @ .., name, namespace, "svc"] => match zone.entry(namespace, name) {
            Some(entry) => Service { zone, entry, namespace, name }.below(rest, wanted),
            None => Found::NoSuchName,
        },
        _ => Found::NoSuchName,
    }
}

/// Whether the common suffix begins at a label, and not inside of one.
fn at_label(name: &Name, zone: &Zone) -> bool {
    let mut rest = name.wire();
    while rest.len() > zone.domain.wire().len() {
        let length = usize::from(rest[0]);
        rest = rest.get(length + 1..).unwrap_or(&[]);
    }
    rest.len() == zone.domain.wire().len()
}

fn apex(zone: &Zone, wanted: u16) -> Found {
    match wanted {
        kind::SOA => answers(vec![Record { owner: super::zone::Owner::Asked, ..zone.authority() }]),
        kind::NS => {
            let server = zone.domain.under(&["ns", "dns"]);
            let address = |address| Record::named(server.clone(), Data::Address(address));
            let additional = dns_addresses(zone).into_iter().map(address).collect();
            Found::Records { answers: vec![Record::asked(Data::NameServer(server.clone()))], additional }
        }
        _ => Found::Nothing,
    }
}

fn dns_server(zone: &Zone, wanted: u16) -> Found {
    addresses(dns_addresses(zone).into_iter(), wanted)
}

fn dns_addresses(zone: &Zone) -> Vec<IpAddr> {
    match zone.entry(DNS_SERVICE.0, DNS_SERVICE.1).map(|entry| &entry.kind) {
        Some(ServiceKind::Cluster(addresses)) => addresses.clone(),
        _ => Vec::new(),
    }
}

/// As CoreDNS with `pods insecure`: the name says the address, whether a pod has it or not.
fn pod_address(zone: &Zone, namespace: &str, pod: &str, wanted: u16) -> Found {
    let address = pod.replace('-', ".").parse::<Ipv4Addr>().map(IpAddr::V4);
    let address = address.or_else(|_| pod.replace('-', ":").parse());
    match address {
        Ok(address) if zone.namespaces.contains(namespace) => addresses([address].into_iter(), wanted),
        _ => Found::NoSuchName,
    }
}

struct Service<'a> {
    zone: &'a Zone,
    entry: &'a Entry,
    namespace: &'a str,
    name: &'a str,
}

impl Service<'_> {
    /// `rest` are the labels left of the Service's name.
    fn below(&self, rest: &[&str], wanted: u16) -> Found {
        match rest {
            [] => self.itself(wanted),
            [protocol] if protocol.starts_with('_') => self.protocol(&protocol[1..]),
            [port, protocol] if port.starts_with('_') && protocol.starts_with('_') => {
                self.port(&port[1..], &protocol[1..], wanted)
            }
            [label] => self.endpoint(label, wanted),
            _ => Found::NoSuchName,
        }
    }

    fn itself(&self, wanted: u16) -> Found {
        match &self.entry.kind {
            ServiceKind::External(target) => match Name::parse(target) {
                Some(target) if wanted == kind::CNAME => answers(vec![Record::asked(Data::Alias(target))]),
                Some(target) => Found::Alias(target),
                None => Found::Nothing,
            },
            _ if wanted == kind::SRV => self.servers(|_| true),
            ServiceKind::Cluster(own) => addresses(own.iter().copied(), wanted),
            // A headless Service without ready endpoints has no name, as CoreDNS has it.
            ServiceKind::Headless if self.entry.endpoints.is_empty() => Found::NoSuchName,
            ServiceKind::Headless => addresses(self.distinct_addresses(), wanted),
        }
    }

    fn distinct_addresses(&self) -> impl Iterator<Item = IpAddr> {
        let mut all: Vec<IpAddr> = self.entry.endpoints.iter().map(|endpoint| endpoint.address.address).collect();
        all.dedup();
        all.into_iter()
    }

    fn endpoint(&self, label: &str, wanted: u16) -> Found {
        let mut found = self.entry.endpoints.iter().filter(|e| e.address.label == label).peekable();
        if found.peek().is_none() {
            return Found::NoSuchName;
        }
        let mut all: Vec<IpAddr> = found.map(|endpoint| endpoint.address.address).collect();
        all.dedup();
        addresses(all.into_iter(), wanted)
    }

    fn protocol(&self, protocol: &str) -> Found {
        let is_there = self.all_ports().any(|port| port.protocol == protocol);
        if is_there { Found::Nothing } else { Found::NoSuchName }
    }

    fn port(&self, name: &str, protocol: &str, wanted: u16) -> Found {
        let fits = |port: &Port| port.name == name && port.protocol == protocol;
        if !self.all_ports().any(fits) {
            return Found::NoSuchName;
        }
        match wanted {
            kind::SRV | kind::ANY => self.servers(fits),
            _ => Found::Nothing,
        }
    }

    fn all_ports(&self) -> Box<dyn Iterator<Item = &Port> + '_> {
        match self.entry.kind {
            ServiceKind::Headless => Box::new(self.entry.endpoints.iter().flat_map(|endpoint| &endpoint.ports)),
            _ => Box::new(self.entry.ports.iter()),
        }
    }

    /// The hosts and port numbers of the ports that fit, and the hosts' addresses.
    fn servers(&self, fits: impl Fn(&Port) -> bool) -> Found {
        let mut servers: Vec<(u16, Name)> = Vec::new();
        let mut additional = Vec::new();
        let mut add = |ports: &[Port], host: Name, hosts: &[IpAddr]| {
            let numbers: Vec<u16> = ports.iter().filter(|port| fits(port)).map(|port| port.number).collect();
            if !numbers.is_empty() {
                let address = |address: &IpAddr| Record::named(host.clone(), Data::Address(*address));
                additional.extend(hosts.iter().map(address));
            }
            servers.extend(numbers.into_iter().map(|number| (number, host.clone())));
        };
        match &self.entry.kind {
            ServiceKind::Cluster(own) => {
                add(&self.entry.ports, self.zone.service_name(self.namespace, self.name), own);
            }
            ServiceKind::Headless => self.entry.endpoints.iter().for_each(|endpoint: &Endpoint| {
                let host = self.zone.endpoint_name(self.namespace, self.name, endpoint);
                add(&endpoint.ports, host, &[endpoint.address.address]);
            }),
            ServiceKind::External(_) => {}
        }
        if servers.is_empty() {
            return Found::Nothing;
        }
        let weight = (WEIGHT / servers.len()).max(1) as u16;
        let record = |(port, target)| Record::asked(Data::Server { priority: 0, weight, port, target });
        Found::Records { answers: servers.into_iter().map(record).collect(), additional }
    }
}

/// Only names that we know are ours: a whole reverse zone may be somebody else's.
fn reverse(zone: &Zone, labels: &[&[u8]], wanted: u16) -> Found {
    let names = reversed_address(labels).and_then(|address| zone.reverse.get(&address));
    match names {
        Some(names) if matches!(wanted, kind::PTR | kind::ANY) => {
            answers(names.iter().map(|name| Record::asked(Data::Pointer(name.clone()))).collect())
        }
        Some(_) => Found::Nothing,
        None => Found::Foreign,
    }
}

/// `4.3.2.1.in-addr.arpa` is 1.2.3.4.
fn reversed_address(labels: &[&[u8]]) -> Option<IpAddr> {
    let [d, c, b, a, b"in-addr", b"arpa"] = labels else { return None };
    let octet = |label: &[u8]| std::str::from_utf8(label).ok()?.parse::<u8>().ok();
    Some(IpAddr::V4(Ipv4Addr::new(octet(a)?, octet(b)?, octet(c)?, octet(d)?)))
}

fn addresses(all: impl Iterator<Item = IpAddr>, wanted: u16) -> Found {
    let fits = |address: &IpAddr| match wanted {
        kind::A => address.is_ipv4(),
        kind::AAAA => address.is_ipv6(),
        kind::ANY => true,
        _ => false,
    };
    let found: Vec<Record> = all.filter(fits).map(|address| Record::asked(Data::Address(address))).collect();
    if found.is_empty() { Found::Nothing } else { answers(found) }
}

fn typed(wanted: u16, kind: u16, data: Vec<Data>) -> Found {
    if wanted == kind || wanted == super::wire::kind::ANY {
        return answers(data.into_iter().map(Record::asked).collect());
    }
    Found::Nothing
}

fn answers(answers: Vec<Record>) -> Found {
    Found::Records { answers, additional: Vec::new() }
}
