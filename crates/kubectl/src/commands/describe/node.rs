//! A node with its lease, its pods and what they take.

use client::Options;
use serde_json::Value;

use super::page::{self, Page, entries, items, joined, or, shown};
use super::{Subject, events, node_pods};
use crate::failure::{Failure, Result};
use crate::select;

const LEASES: &str = "kube-node-lease";
const ROLE_PREFIX: &str = "node-role.kubernetes.io/";
const ROLE: &str = "kubernetes.io/role";

pub async fn describe(subject: &Subject<'_>) -> Result<Page> {
    let node = subject.tree;
    let mut page = Page::default();
    head(&mut page, node);
    lease(subject, &mut page).await?;
    conditions(&mut page, items(&node["status"]["conditions"]));
    page.line(0, "Addresses:");
    for address in items(&node["status"]["addresses"]) {
        page.field(1, &shown(&address["type"]), shown(&address["address"]));
    }
    for (title, field) in [("Capacity", "capacity"), ("Allocatable", "allocatable")] {
        let mut amounts = entries(&node["status"][field]).peekable();
        if amounts.peek().is_some() {
            page.line(0, format_args!("{title}:"));
        }
        amounts.for_each(|(name, amount)| page.field(1, name, shown(amount)));
    }
    system(&mut page, node);
    match pods(subject).await {
        Ok(pods) => node_pods::describe(&mut page, node, &pods),
        Err(Failure::Server(status)) if status.code == 403 => page.field(0, "Pods", "not authorized"),
        Err(failure) => return Err(failure),
    }
    // Controllers name a node's uid in its events, the kubelet its name.
    let by_uid = events::about(node);
    let by_name = events::About { uid: by_uid.name, ..events::about(node) };
    events::append_of(subject, &mut page, &[by_uid, by_name]).await;
    Ok(page)
}

fn head(page: &mut Page, node: &Value) {
    let (meta, spec) = (&node["metadata"], &node["spec"]);
    page.field(0, "Name", shown(&meta["name"]));
    let mut roles: Vec<String> = entries(&meta["labels"]).filter_map(|(key, value)| role(key, &shown(value))).collect();
    roles.sort();
    roles.dedup();
    page.field(0, "Roles", if roles.is_empty() { "<none>".into() } else { roles.join(",") });
    page.labels("Labels", &meta["labels"]);
    page.annotations("Annotations", &meta["annotations"]);
    page.field(0, "CreationTimestamp", page::date(&meta["creationTimestamp"]));
    let mut taints: Vec<(String, String)> = items(&spec["taints"])
        .iter()
        .map(|taint| (format!("{},{}", shown(&taint["effect"]), shown(&taint["key"])), taint_text(taint)))
        .collect();
    taints.sort();
    page.stack("Taints", &taints.into_iter().map(|(_, text)| text).collect::<Vec<_>>());
    page.field(0, "Unschedulable", spec["unschedulable"] == true);
}

fn role(label: &str, value: &str) -> Option<String> {
    let role = match label.strip_prefix(ROLE_PREFIX) {
        Some(role) => role,
        None if label == ROLE => value,
        None => return None,
    };
    (!role.is_empty()).then(|| role.to_owned())
}

/// `key=value:Effect`, without what is empty.
pub fn taint_text(taint: &Value) -> String {
    let [key, value, effect] = ["key", "value", "effect"].map(|field| shown(&taint[field]));
    match (value.as_str(), effect.as_str()) {
        ("", "") => key,
        ("", effect) => format!("{key}:{effect}"),
        (value, "") => format!("{key}={value}:"),
        (value, effect) => format!("{key}={value}:{effect}"),
    }
}

async fn lease(subject: &Subject<'_>, page: &mut Page) -> Result {
    let served = subject.session.discovery().await?.of_kind("coordination.k8s.io/v1", "Lease")?;
    let leases = subject.session.client.dynamic(served.resource());
    match leases.get(LEASES, machinery::meta::name(subject.tree)).await {
        Err(status) => page.field(0, "Lease", format_args!("Failed to get lease: {}", status.message)),
        Ok(lease) => {
            let lease = lease.tree();
            let time = |value: &Value| if value.is_null() { "<unset>".into() } else { page::date(value) };
            page.line(0, "Lease:");
            page.field(1, "HolderIdentity", or(&lease["spec"]["holderIdentity"], "<unset>"));
            page.field(1, "AcquireTime", time(&lease["spec"]["acquireTime"]));
            page.field(1, "RenewTime", time(&lease["spec"]["renewTime"]));
        }
    }
    Ok(())
}

fn conditions(page: &mut Page, conditions: &[Value]) {
    if conditions.is_empty() {
        return;
    }
    page.line(0, "Conditions:");
    page.line(1, "Type\tStatus\tLastHeartbeatTime\tLastTransitionTime\tReason\tMessage");
    page.line(1, "----\t------\t-----------------\t------------------\t------\t-------");
    for condition in conditions {
        let [kind, status, reason, message] =
            ["type", "status", "reason", "message"].map(|field| shown(&condition[field]));
        let [heard, changed] = ["lastHeartbeatTime", "lastTransitionTime"].map(|field| page::date(&condition[field]));
        page.line(1, format_args!("{kind} \t{status} \t{heard} \t{changed} \t{reason} \t{message}"));
    }
}

fn system(page: &mut Page, node: &Value) {
    let (spec, info) = (&node["spec"], &node["status"]["nodeInfo"]);
    page.line(0, "System Info:");
    for (title, field) in [
        ("Machine ID", "machineID"),
        ("System UUID", "systemUUID"),
        ("Boot ID", "bootID"),
        ("Kernel Version", "kernelVersion"),
        ("OS Image", "osImage"),
        ("Operating System", "operatingSystem"),
        ("Architecture", "architecture"),
        ("Container Runtime Version", "containerRuntimeVersion"),
        ("Kubelet Version", "kubeletVersion"),
        ("Kube-Proxy Version", "kubeProxyVersion"),
    ] {
        page.field(1, title, shown(&info[field]));
    }
    page.optional(0, "PodCIDR", &spec["podCIDR"]);
    page.optional(0, "PodCIDRs", &Value::from(joined(&spec["podCIDRs"], ",")));
    page.optional(0, "ProviderID", &spec["providerID"]);
}

async fn pods(subject: &Subject<'_>) -> Result<Vec<Value>> {
    let served = subject.session.discovery().await?.of_kind("v1", "Pod")?;
    let field_selector =
        format!("spec.nodeName={},status.phase!=Succeeded,status.phase!=Failed", machinery::meta::name(subject.tree));
    let options = Options { field_selector, ..Options::default() };
    let list = select::list(subject.session, served, "", options).await?;
    Ok(list.items.iter().map(|object| Value::clone(&object.tree())).collect())
}
