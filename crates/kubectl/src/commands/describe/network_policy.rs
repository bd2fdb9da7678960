//! A NetworkPolicy: which traffic it lets pass.

use serde_json::Value;

use super::page::{Page, items, joined, or, shown};
use super::{Subject, template};
use crate::failure::Result;

/// One direction of traffic.
struct Direction {
    traffic: &'static str,
    rules: &'static str,
    peers: &'static str,
    title: &'static str,
    other: &'static str,
}

const DIRECTIONS: &[Direction] = &[
    Direction { traffic: "ingress", rules: "ingress", peers: "from", title: "From", other: "source" },
    Direction { traffic: "egress", rules: "egress", peers: "to", title: "To", other: "destination" },
];

pub async fn describe(subject: &Subject<'_>) -> Result<Page> {
    let policy = subject.tree;
    let (meta, spec) = (&policy["metadata"], &policy["spec"]);
    let mut page = Page::default();
    page.field(0, "Name", shown(&meta["name"]));
    page.field(0, "Namespace", shown(&meta["namespace"]));
    page.field(0, "Created on", shown(&meta["creationTimestamp"]).replace('T', " ").replace('Z', " +0000 UTC"));
    page.labels("Labels", &meta["labels"]);
    page.annotations("Annotations", &meta["annotations"]);
    page.line(0, "Spec:");
    let pods = match template::selector(&spec["podSelector"]).as_str() {
        "<none>" => "<none> (Allowing the specific traffic to all pods in this namespace)".to_owned(),
        selector => selector.to_owned(),
    };
    page.line(1, format_args!("PodSelector:     {pods}"));
    let types: Vec<String> = items(&spec["policyTypes"]).iter().map(shown).collect();
    for direction in DIRECTIONS {
        if types.iter().any(|kind| kind.to_lowercase() == direction.traffic) {
            page.line(1, format_args!("Allowing {} traffic:", direction.traffic));
            rules(&mut page, direction, items(&spec[direction.rules]));
        } else {
            page.line(1, format_args!("Not affecting {} traffic", direction.traffic));
        }
    }
    page.line(1, format_args!("Policy Types: {}", types.join(", ")));
    Ok(page)
}

fn rules(page: &mut Page, direction: &Direction, rules: &[Value]) {
    if rules.is_empty() {
        page.line(2, format_args!("<none> (Selected pods are isolated for {} connectivity)", direction.traffic));
    }
    for (at, rule) in rules.iter().enumerate() {
        let (ports, peers) = (items(&rule["ports"]), items(&rule[direction.peers]));
        if ports.is_empty() {
            page.line(2, "To Port: <any> (traffic allowed to all ports)");
        }
        for port in ports {
            page.line(2, format_args!("To Port: {}/{}", or(&port["port"], "<nil>"), or(&port["protocol"], "TCP")));
        }
        let title = direction.title;
        if peers.is_empty() {
            page.line(2, format_args!("{title}: <any> (traffic not restricted by {})", direction.other));
        }
        for peer in peers {
            page.line(2, format_args!("{title}:"));
            self::peer(page, peer);
        }
        if at + 1 < rules.len() {
            page.line(2, "----------");
        }
    }
}

fn peer(page: &mut Page, peer: &Value) {
    let (namespaces, pods, block) = (&peer["namespaceSelector"], &peer["podSelector"], &peer["ipBlock"]);
    for (title, selector) in [("NamespaceSelector", namespaces), ("PodSelector", pods)] {
        if !selector.is_null() {
            page.line(3, format_args!("{title}: {}", template::selector(selector)));
        }
    }
    if namespaces.is_null() && pods.is_null() && !block.is_null() {
        page.line(3, "IPBlock:");
        page.line(4, format_args!("CIDR: {}", shown(&block["cidr"])));
        page.line(4, format_args!("Except: {}", joined(&block["except"], ", ")));
    }
}
