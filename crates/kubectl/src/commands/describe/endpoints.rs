//! Endpoints and EndpointSlices.

use serde_json::Value;

use super::page::{Page, items, joined, number, or, shown};
use super::{Subject, events};
use crate::failure::Result;

fn head(subject: &Subject<'_>) -> Page {
    let meta = &subject.tree["metadata"];
    let mut page = Page::default();
    page.field(0, "Name", shown(&meta["name"]));
    page.field(0, "Namespace", shown(&meta["namespace"]));
    page.labels("Labels", &meta["labels"]);
    page.annotations("Annotations", &meta["annotations"]);
    page
}

fn ports(page: &mut Page, level: usize, ports: &[Value]) {
    page.line(level, "Name\tPort\tProtocol");
    page.line(level, "----\t----\t--------");
    for port in ports {
        let (name, protocol) = (or(&port["name"], "<unset>"), shown(&port["protocol"]));
        page.line(level, format_args!("{name}\t{}\t{protocol}", number(&port["port"])));
    }
}

pub async fn endpoints(subject: &Subject<'_>) -> Result<Page> {
    let mut page = head(subject);
    page.line(0, "Subsets:");
    for subset in items(&subject.tree["subsets"]) {
        for (title, field) in [("Addresses", "addresses"), ("NotReadyAddresses", "notReadyAddresses")] {
            let all: Vec<String> = items(&subset[field]).iter().map(|address| shown(&address["ip"])).collect();
            page.field(1, title, if all.is_empty() { "<none>".into() } else { all.join(",") });
        }
        let all = items(&subset["ports"]);
        if !all.is_empty() {
            page.line(1, "Ports:");
            ports(&mut page, 2, all);
        }
        page.line(0, "");
    }
    events::append(subject, &mut page).await;
    Ok(page)
}

pub async fn slice(subject: &Subject<'_>) -> Result<Page> {
    let slice = subject.tree;
    let mut page = head(subject);
    page.field(0, "AddressType", shown(&slice["addressType"]));
    match items(&slice["ports"]) {
        [] => page.line(0, "Ports: <unset>"),
        all => {
            page.line(0, "Ports:");
            ports(&mut page, 1, all);
        }
    }
    let all = items(&slice["endpoints"]);
    page.line(0, if all.is_empty() { "Endpoints: <none>" } else { "Endpoints:" });
    for endpoint in all {
        page.line(1, format_args!("- Addresses:\t{}", joined(&endpoint["addresses"], ", ")));
        page.line(2, "Conditions:");
        page.field(3, "Ready", or(&endpoint["conditions"]["ready"], "<unset>"));
        page.field(2, "Hostname", or(&endpoint["hostname"], "<unset>"));
        let target = &endpoint["targetRef"];
        if !target.is_null() {
            page.field(2, "TargetRef", format_args!("{}/{}", shown(&target["kind"]), shown(&target["name"])));
        }
        page.field(2, "NodeName", or(&endpoint["nodeName"], "<unset>"));
        page.field(2, "Zone", or(&endpoint["zone"], "<unset>"));
    }
    events::append(subject, &mut page).await;
    Ok(page)
}
