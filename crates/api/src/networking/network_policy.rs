//! NetworkPolicy: which traffic pods let in and out.
//!
//! Source: <https://kubernetes.io/docs/reference/kubernetes-api/policy-resources/network-policy-v1/>.

use machinery::field::Problems;
use machinery::{tree, validation};
use serde_json::{Value, json};

use super::GROUP;
use crate::column;
use crate::cursor::Field;
use crate::kind::Kind;
use crate::rule;

pub static KIND: Kind = Kind {
    group: GROUP,
    kind: "NetworkPolicy",
    plural: "networkpolicies",
    singular: "networkpolicy",
    short_names: &["netpol"],
    definition: "io.k8s.api.networking.v1.NetworkPolicy",
    generation: true,
    set_defaults,
    validate,
    columns: &[
        column::NAME,
        column::text("Pod-Selector", "podSelector selects the pods to which this NetworkPolicy object applies."),
        column::AGE,
    ],
    cells: |object, now| {
        let pods = column::selector(&object["spec"]["podSelector"]);
        vec![column::name(object), pods.into(), column::age(object, now)]
    },
    ..Kind::BASE
};

/// A policy is about what comes in, and about what goes out when it says something of it.
fn set_defaults(object: &mut Value) {
    for direction in ["spec.ingress", "spec.egress"] {
        for rule in tree::items_mut(object, direction) {
            for port in tree::items_mut(rule, "ports") {
                tree::default(port, "protocol", "TCP");
            }
        }
    }
    if tree::items(object, "spec.policyTypes").is_empty() {
        let out = !tree::items(object, "spec.egress").is_empty();
        tree::set(object, "spec.policyTypes", if out { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) });
    }
}

fn validate(object: &Value, problems: &mut Problems) {
    let root = Field::root(object);
    let spec = root.get("spec");
    rule::label_selector(&spec.get("podSelector"), problems);
    for (direction, peers) in [("ingress", "from"), ("egress", "to")] {
        for rule in spec.get(direction).items() {
            for port in rule.get("ports").items() {
                self::port(&port, problems);
            }
            for peer in rule.get(peers).items() {
                self::peer(&peer, problems);
            }
        }
    }
    let types = spec.get("policyTypes");
    if types.len() > 2 {
        return types.invalid(problems, "may not specify more than two policyTypes");
    }
    for kind in types.items() {
        rule::one_of(&kind, &["Ingress", "Egress"], problems);
    }
}

fn port(at: &Field, problems: &mut Problems) {
    let (port, end) = (at.get("port"), at.get("endPort"));
    if at.get("protocol").is_set() {
        rule::one_of(&at.get("protocol"), &["TCP", "UDP", "SCTP"], problems);
    }
    if port.is_set() {
        rule::port(&port, problems);
    }
    match end.int() {
        None => {}
        Some(_) if !port.is_set() => end.invalid(problems, "may not be specified when `port` is not specified"),
        Some(_) if port.value.is_string() => {
            end.invalid(problems, "may not be specified when `port` is non-numeric");
        }
        Some(number) => {
            if number < port.num() {
                end.invalid_as(problems, port.num(), "must be greater than or equal to `port`");
            }
            rule::port_number(&end, problems);
        }
    }
}

fn peer(peer: &Field, problems: &mut Problems) {
    let block = peer.get("ipBlock");
    let mut selectors = 0;
    for selector in ["podSelector", "namespaceSelector"] {
        let selector = peer.get(selector);
        selectors += usize::from(selector.is_set());
        rule::label_selector(&selector, problems);
    }
    if block.is_set() {
        self::block(&block, problems);
    }
    if selectors == 0 && !block.is_set() {
        peer.required(problems, "must specify a peer");
    } else if selectors > 0 && block.is_set() {
        peer.forbidden(problems, "may not specify both ipBlock and another peer");
    }
}

/// A range, and ranges strictly inside it that are left out.
fn block(block: &Field, problems: &mut Problems) {
    let range = block.get("cidr");
    if !rule::required(&range, problems) {
        return;
    }
    let Some((address, bits)) = validation::parse_cidr(range.str()) else {
        return range.invalid(problems, "not a valid CIDR");
    };
    for except in block.get("except").items() {
        let Some((inner, inner_bits)) = validation::parse_cidr(except.str()) else {
            return except.invalid(problems, "not a valid CIDR");
        };
        if inner_bits <= bits || !same_prefix(address, inner, bits) {
            except.invalid(problems, "must be a strict subset of `cidr`");
        }
    }
}

fn same_prefix(a: std::net::IpAddr, b: std::net::IpAddr, bits: u8) -> bool {
    use std::net::IpAddr::{V4, V6};
    let head = |value: u128, width: u8| value.checked_shr(u32::from(width - bits.min(width))).unwrap_or(0);
    match (a, b) {
        (V4(a), V4(b)) => head(u128::from(a.to_bits()), 32) == head(u128::from(b.to_bits()), 32),
        (V6(a), V6(b)) => head(a.to_bits(), 128) == head(b.to_bits(), 128),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{problems, with_defaults};

    use super::*;

    #[test]
    fn what_is_left_out_is_inside() {
        let of = |except: &str| {
            let block = json!({"cidr": "10.0.0.0/8", "except": [except]});
            problems(
                &KIND,
                &with_defaults(&KIND, json!({"spec": {"podSelector": {}, "egress": [{"to": [{"ipBlock": block}]}]}})),
            )
        };
        assert_eq!(of("10.1.0.0/16"), "");
        assert_eq!(
            of("11.0.0.0/16"),
            "spec.egress[0].to[0].ipBlock.except[0]: Invalid value: \"11.0.0.0/16\": must be a strict subset of `cidr`"
        );
    }
}
