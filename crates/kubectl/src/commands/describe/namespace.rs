//! A namespace with its quotas and limits.

use std::collections::BTreeSet;

use client::Options;
use serde_json::Value;

use super::Subject;
use super::page::{self, Page, entries, items, or, shown};
use crate::failure::Result;
use crate::select;

pub async fn describe(subject: &Subject<'_>) -> Result<Page> {
    let namespace = subject.tree;
    let meta = &namespace["metadata"];
    let mut page = Page::default();
    page.field(0, "Name", shown(&meta["name"]));
    page.labels("Labels", &meta["labels"]);
    page.annotations("Annotations", &meta["annotations"]);
    page.field(0, "Status", shown(&namespace["status"]["phase"]));
    conditions(&mut page, items(&namespace["status"]["conditions"]));
    if let Some(found) = below(subject, "ResourceQuota").await? {
        page.line(0, "");
        quotas(&mut page, found);
    }
    if let Some(found) = below(subject, "LimitRange").await? {
        page.line(0, "");
        limits(&mut page, &found);
    }
    Ok(page)
}

fn conditions(page: &mut Page, conditions: &[Value]) {
    if conditions.is_empty() {
        return;
    }
    page.line(0, "Conditions:");
    page.line(1, "Type\tStatus\tLastTransitionTime\tReason\tMessage");
    page.line(1, "----\t------\t------------------\t------\t-------");
    for condition in conditions {
        let [kind, status, reason, message] =
            ["type", "status", "reason", "message"].map(|field| shown(&condition[field]));
        let time = page::date(&condition["lastTransitionTime"]);
        page.line(1, format_args!("{kind}\t{status}\t{time}\t{reason}\t{message}"));
    }
}

/// The objects of a kind in the namespace; `None` when the server does not serve the kind.
async fn below(subject: &Subject<'_>, kind: &str) -> Result<Option<Vec<Value>>> {
    let Ok(served) = subject.session.discovery().await?.of_kind("v1", kind) else { return Ok(None) };
    let name = machinery::meta::name(subject.tree);
    let list = select::list(subject.session, served, name, Options::default()).await?;
    Ok(Some(list.items.iter().map(|object| Value::clone(&object.tree())).collect()))
}

fn quotas(page: &mut Page, mut quotas: Vec<Value>) {
    if quotas.is_empty() {
        return page.line(0, "No resource quota.");
    }
    quotas.sort_by_key(|quota| machinery::meta::name(quota).to_owned());
    page.line(0, "Resource Quotas");
    for quota in &quotas {
        page.field(1, "Name", machinery::meta::name(quota));
        let mut scopes: Vec<String> = items(&quota["spec"]["scopes"]).iter().map(shown).collect();
        scopes.sort();
        if !scopes.is_empty() {
            page.field(1, "Scopes", scopes.join(", "));
        }
        for text in scopes.iter().filter_map(|scope| meaning(scope)) {
            page.line(1, format_args!("* {text}"));
        }
        page.line(1, "Resource\tUsed\tHard");
        page.line(1, "--------\t---\t---");
        for (resource, hard) in entries(&quota["status"]["hard"]) {
            let used = or(&quota["status"]["used"][resource], "0");
            page.line(1, format_args!("{resource}\t{used}\t{}", shown(hard)));
        }
    }
}

/// What a quota's scope matches.
pub fn meaning(scope: &str) -> Option<&'static str> {
    Some(match scope {
        "Terminating" => {
            "Matches all pods that have an active deadline. These pods have a limited lifespan on a node before being actively terminated by the system."
        }
        "NotTerminating" => {
            "Matches all pods that do not have an active deadline. These pods usually include long running pods whose container command is not expected to terminate."
        }
        "BestEffort" => {
            "Matches all pods that do not have resource requirements set. These pods have a best effort quality of service."
        }
        "NotBestEffort" => {
            "Matches all pods that have at least one resource requirement set. These pods have a burstable or guaranteed quality of service."
        }
        _ => return None,
    })
}

fn limits(page: &mut Page, ranges: &[Value]) {
    if ranges.is_empty() {
        return page.line(0, "No LimitRange resource.");
    }
    page.line(0, "Resource Limits");
    page.line(0, " Type\tResource\tMin\tMax\tDefault Request\tDefault Limit\tMax Limit/Request Ratio");
    page.line(0, " ----\t--------\t---\t---\t---------------\t-------------\t-----------------------");
    ranges.iter().for_each(|range| limit_rows(page, " ", range));
}

/// A line for each type and resource of a LimitRange.
pub fn limit_rows(page: &mut Page, indent: &str, range: &Value) {
    for limit in items(&range["spec"]["limits"]) {
        let fields = ["min", "max", "defaultRequest", "default", "maxLimitRequestRatio"];
        let names: BTreeSet<&str> =
            fields.iter().flat_map(|field| entries(&limit[*field]).map(|(name, _)| name)).collect();
        for name in names {
            let amounts = fields.map(|field| or(&limit[field][name], "-")).join("\t");
            page.line(0, format_args!("{indent}{}\t{name}\t{amounts}", shown(&limit["type"])));
        }
    }
}
