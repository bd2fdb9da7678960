//! Endpoints: the addresses behind a Service, in the old form that EndpointSlices replace.
//!
//! Source: <https://kubernetes.io/docs/reference/kubernetes-api/service-resources/endpoints-v1/>.

use machinery::field::Problems;
use machinery::tree;
use serde_json::Value;

use crate::column;
use crate::core::pod_spec::network::PROTOCOLS;
use crate::cursor::Field;
use crate::fill;
use crate::kind::Kind;
use crate::rule;

/// Endpoints shown in the column.
const SHOWN: usize = 3;

pub static KIND: Kind = Kind {
    kind: "Endpoints",
    plural: "endpoints",
    singular: "endpoints",
    short_names: &["ep"],
    definition: "io.k8s.api.core.v1.Endpoints",
    create_on_update: true,
    set_defaults: |object| {
        for subset in tree::items_mut(object, "subsets") {
            for port in subset.as_object_mut().into_iter().flat_map(|subset| fill::maps(subset, "ports")) {
                fill::text(port, "protocol", "TCP");
            }
        }
    },
    validate,
    deprecated: "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
    columns: &[
        column::NAME,
        column::text("Endpoints", "The set of all endpoints is the union of all subsets."),
        column::AGE,
    ],
    cells: |object, now| {
        let endpoints = column::some(&endpoints(object), SHOWN, "<none>");
        vec![column::name(object), endpoints.into(), column::age(object, now)]
    },
    ..Kind::BASE
};

fn validate(object: &Value, problems: &mut Problems) {
    for subset in Field::root(object).get("subsets").items() {
        if subset.get("addresses").is_empty() && subset.get("notReadyAddresses").is_empty() {
            subset.required(problems, "must specify `addresses` or `notReadyAddresses`");
        }
        for list in ["addresses", "notReadyAddresses"] {
            for address in subset.get(list).items() {
                self::address(&address, problems);
            }
        }
        let ports = subset.get("ports");
        for port in ports.items() {
            self::port(&port, ports.len() > 1, problems);
        }
    }
}

fn address(address: &Field, problems: &mut Problems) {
    let ip = address.get("ip");
    rule::ip(&ip, problems);
    if !address.get("hostname").is_empty() {
        rule::dns_label(&address.get("hostname"), problems);
    }
    if address.get("nodeName").is_set() {
        rule::dns_subdomain(&address.get("nodeName"), problems);
    }
    rule::endpoint_ip(&ip, problems);
}

fn port(port: &Field, named: bool, problems: &mut Problems) {
    let name = port.get("name");
    if !name.is_empty() {
        rule::dns_label(&name, problems);
    } else if named {
        name.required(problems, "");
    }
    rule::port_number(&port.get("port"), problems);
    rule::required_one_of(&port.get("protocol"), &PROTOCOLS, problems);
    if port.get("appProtocol").is_set() {
        rule::qualified_name(&port.get("appProtocol"), problems);
    }
}

/// `ip:port` of all that are ready; a subset without ports has addresses alone.
fn endpoints(object: &Value) -> Vec<String> {
    let mut out = Vec::new();
    for subset in tree::items(object, "subsets") {
        let addresses = || tree::items(subset, "addresses").iter().map(|a| tree::str(a, "ip"));
        if tree::items(subset, "ports").is_empty() {
            out.extend(addresses().map(str::to_owned));
        }
        for port in tree::items(subset, "ports") {
            let port = column::int(port, "port");
            out.extend(addresses().map(|ip| match ip.contains(':') {
                true => format!("[{ip}]:{port}"),
                false => format!("{ip}:{port}"),
            }));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{problems, with_defaults};

    use super::*;

    #[test]
    fn endpoints_are_addresses_of_others() {
        let object =
            with_defaults(&KIND, json!({"subsets": [{"addresses": [{"ip": "127.0.0.1"}], "ports": [{"port": 80}]}]}));
        assert_eq!(
            problems(&KIND, &object),
            "subsets[0].addresses[0].ip: Invalid value: \"127.0.0.1\": may not be in the loopback range (127.0.0.0/8, ::1/128)"
        );
        assert_eq!(endpoints(&object), ["127.0.0.1:80"]);
    }
}
