//! EndpointSlice: some of the endpoints of a Service.
//!
//! Source: <https://kubernetes.io/docs/reference/kubernetes-api/service-resources/endpoint-slice-v1/>.

use machinery::field::{Problems, Wrong};
use machinery::{tree, validation};
use serde_json::Value;

use crate::column;
use crate::core::pod_spec::network::PROTOCOLS;
use crate::cursor::Field;
use crate::kind::Kind;
use crate::rule;

const ENDPOINTS_MAX: usize = 1000;
const ADDRESSES_MAX: usize = 100;
const PORTS_MAX: usize = 20_000;
const TOPOLOGY_LABELS_MAX: usize = 16;
const HINTS_MAX: usize = 8;
/// Ports and endpoints shown in their columns.
const SHOWN: usize = 3;

pub static KIND: Kind = Kind {
    group: "discovery.k8s.io",
    kind: "EndpointSlice",
    plural: "endpointslices",
    singular: "endpointslice",
    definition: "io.k8s.api.discovery.v1.EndpointSlice",
    generation: true,
    generation_metadata: &["labels"],
    set_defaults: |object| {
        for port in tree::items_mut(object, "ports") {
            tree::default(port, "name", "");
            tree::default(port, "protocol", "TCP");
        }
    },
    validate,
    validate_update: |new, old, problems| rule::immutable("addressType", new, old, problems),
    columns: &[
        column::NAME,
        column::text("AddressType", "addressType specifies the type of address carried by this EndpointSlice."),
        column::text("Ports", "ports specifies the list of network ports exposed by each endpoint in this slice."),
        column::text("Endpoints", "endpoints is a list of unique endpoints in this slice."),
        column::AGE,
    ],
    cells: |object, now| {
        let addresses = tree::items(object, "endpoints").iter().flat_map(|e| tree::items(e, "addresses"));
        let addresses: Vec<_> = addresses.map(|a| a.as_str().unwrap_or("").to_owned()).collect();
        let ports: Vec<_> = tree::items(object, "ports").iter().map(port_cell).collect();
        vec![
            column::name(object),
            tree::str(object, "addressType").into(),
            column::some(&ports, SHOWN, "<unset>").into(),
            column::some(&addresses, SHOWN, "<unset>").into(),
            column::age(object, now),
        ]
    },
    ..Kind::BASE
};

/// The number, or else the name; a port that is neither is all of them.
fn port_cell(port: &Value) -> String {
    match (port["port"].as_i64(), port["name"].as_str()) {
        (Some(number), _) => number.to_string(),
        (None, Some(name)) => name.to_owned(),
        (None, None) => "*".to_owned(),
    }
}

fn validate(object: &Value, problems: &mut Problems) {
    let root = Field::root(object);
    let kind = root.get("addressType");
    rule::required_one_of(&kind, &["FQDN", "IPv4", "IPv6"], problems);
    let endpoints = root.get("endpoints");
    if at_most(&endpoints, ENDPOINTS_MAX, problems) {
        for endpoint in endpoints.items() {
            self::endpoint(&endpoint, kind.str(), problems);
        }
    }
    let ports = root.get("ports");
    if at_most(&ports, PORTS_MAX, problems) {
        self::ports(&ports, problems);
    }
}

fn at_most(list: &Field, max: usize, problems: &mut Problems) -> bool {
    let count = list.len();
    if count > max {
        list.wrong(problems, Wrong::TooMany { count, max }, "");
    }
    count <= max
}

fn endpoint(endpoint: &Field, kind: &str, problems: &mut Problems) {
    let addresses = endpoint.get("addresses");
    if addresses.is_empty() {
        addresses.required(problems, "must contain at least 1 address");
    }
    at_most(&addresses, ADDRESSES_MAX, problems);
    for address in addresses.items() {
        match kind {
            "IPv4" => address.messages(problems, validation::ipv4(address.str())),
            "IPv6" => address.messages(problems, validation::ipv6(address.str())),
            "FQDN" => domain_name(&address, problems),
            _ => {}
        }
        if matches!(kind, "IPv4" | "IPv6") {
            rule::endpoint_ip(&address, problems);
        }
    }
    if endpoint.get("nodeName").is_set() {
        rule::dns_subdomain(&endpoint.get("nodeName"), problems);
    }
    let topology = endpoint.get("deprecatedTopology");
    at_most(&topology, TOPOLOGY_LABELS_MAX, problems);
    rule::labels(&topology, problems);
    if endpoint.get("hostname").is_set() {
        rule::dns_label(&endpoint.get("hostname"), problems);
    }
    for list in ["hints.forZones", "hints.forNodes"] {
        hints(&endpoint.get(list), problems);
    }
}

/// At least two labels, maybe a dot at the end.
fn domain_name(name: &Field, problems: &mut Problems) {
    let text = name.str().strip_suffix('.').unwrap_or(name.str());
    let messages = rule::dns_subdomain_messages(text);
    if text.is_empty() {
        name.required(problems, "");
    } else if !messages.is_empty() {
        name.invalid_as(problems, text, messages.join(","));
    } else if !text.contains('.') {
        name.invalid_as(problems, text, "should be a domain with at least two segments separated by dots");
    } else if let Some(label) = text.split('.').find(|label| !rule::dns_label_messages(label).is_empty()) {
        name.invalid_as(problems, label, rule::dns_label_messages(label).join(","));
    }
}

fn hints(hints: &Field, problems: &mut Problems) {
    if !at_most(hints, HINTS_MAX, problems) {
        return;
    }
    let mut seen: Vec<&str> = Vec::new();
    for hint in hints.items() {
        let name = hint.get("name");
        if seen.contains(&name.str()) {
            name.duplicate(problems);
        }
        seen.push(name.str());
        name.messages(problems, rule::label_value_messages(name.str()));
    }
}

fn ports(ports: &Field, problems: &mut Problems) {
    let mut names: Vec<&str> = Vec::new();
    for port in ports.items() {
        let name = port.get("name");
        if !name.is_empty() {
            rule::dns_label(&name, problems);
        }
        if names.contains(&name.str()) {
            name.duplicate(problems);
        }
        names.push(name.str());
        rule::required_one_of(&port.get("protocol"), &PROTOCOLS, problems);
        if port.get("port").is_set() {
            rule::port_number(&port.get("port"), problems);
        }
        if port.get("appProtocol").is_set() {
            rule::qualified_name(&port.get("appProtocol"), problems);
        }
    }
}
