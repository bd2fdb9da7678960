//! What the pods of a node ask for and may take, beside what the node has.
//!
//! Source: upstream's `PodRequestsAndLimits`: containers are added, init containers run before them one at a time,
//! restartable init containers beside them.

use std::collections::BTreeMap;

use machinery::quantity::Quantity;
use serde_json::Value;

use super::page::{self, Page, entries, items, shown};

const HUGE_PAGES: &str = "hugepages-";
const STANDARD: &[&str] = &["cpu", "memory", "ephemeral-storage"];

type Amounts = BTreeMap<String, Quantity>;

pub fn describe(page: &mut Page, node: &Value, pods: &[Value]) {
    let allocatable = match &node["status"]["allocatable"] {
        Value::Object(map) if !map.is_empty() => amounts(&node["status"]["allocatable"]),
        _ => amounts(&node["status"]["capacity"]),
    };
    page.field(0, "Non-terminated Pods", format_args!("({} in total)", pods.len()));
    page.line(1, "Namespace\tName\t\tCPU Requests\tCPU Limits\tMemory Requests\tMemory Limits\tAge");
    page.line(1, "---------\t----\t\t------------\t----------\t---------------\t-------------\t---");
    let (mut all_requests, mut all_limits) = (Amounts::new(), Amounts::new());
    for pod in pods {
        let (requests, limits) = (of_pod(pod, "requests"), of_pod(pod, "limits"));
        let share = |amounts: &Amounts, name: &str| share(amounts, &allocatable, name);
        let cells = [
            shown(&pod["metadata"]["namespace"]),
            shown(&pod["metadata"]["name"]),
            String::new(),
            share(&requests, "cpu"),
            share(&limits, "cpu"),
            share(&requests, "memory"),
            share(&limits, "memory"),
            page::since(&pod["metadata"]["creationTimestamp"]),
        ];
        page.line(1, cells.join("\t"));
        add(&mut all_requests, &requests);
        add(&mut all_limits, &limits);
    }
    totals(page, &all_requests, &all_limits, &allocatable);
}

fn totals(page: &mut Page, requests: &Amounts, limits: &Amounts, allocatable: &Amounts) {
    page.line(0, "Allocated resources:");
    page.line(1, "(Total limits may be over 100 percent, i.e., overcommitted.)");
    page.line(1, "Resource\tRequests\tLimits");
    page.line(1, "--------\t--------\t------");
    let huge = allocatable.keys().map(String::as_str).filter(|name| name.starts_with(HUGE_PAGES));
    for name in STANDARD.iter().copied().chain(huge) {
        let (requested, limit) = (share(requests, allocatable, name), share(limits, allocatable, name));
        page.line(1, format_args!("{name}\t{requested}\t{limit}"));
    }
    let is_extended =
        |name: &&String| !STANDARD.contains(&name.as_str()) && !name.starts_with(HUGE_PAGES) && name.as_str() != "pods";
    for name in allocatable.keys().filter(is_extended) {
        let amount = |amounts: &Amounts| amounts.get(name).map_or_else(|| "0".into(), ToString::to_string);
        page.line(1, format_args!("{name}\t{}\t{}", amount(requests), amount(limits)));
    }
}

/// `100m (5%)` of what there is.
fn share(amounts: &Amounts, allocatable: &Amounts, name: &str) -> String {
    let units = |quantity: &Quantity| if name == "cpu" { quantity.milli_value() } else { quantity.value() };
    let whole = allocatable.get(name).map_or(0, units);
    let Some(amount) = amounts.get(name) else { return "0 (0%)".into() };
    // Go cuts the fraction off.
    let percent = if whole == 0 { 0 } else { (units(amount) as f64 / whole as f64 * 100.0) as i64 };
    format!("{amount} ({percent}%)")
}

/// What a pod as a whole asks for (`requests`) or may take (`limits`).
fn of_pod(pod: &Value, field: &str) -> Amounts {
    let spec = &pod["spec"];
    let mut total = Amounts::new();
    for container in items(&spec["containers"]) {
        add(&mut total, &amounts(&container["resources"][field]));
    }
    let (mut beside, mut before) = (Amounts::new(), Amounts::new());
    for container in items(&spec["initContainers"]) {
        let mut own = amounts(&container["resources"][field]);
        if container["restartPolicy"] == "Always" {
            add(&mut total, &own);
            add(&mut beside, &own);
            own = beside.clone();
        } else {
            add(&mut own, &beside);
        }
        widen(&mut before, &own);
    }
    widen(&mut total, &before);
    for (name, amount) in amounts(&spec["resources"][field]) {
        total.insert(name, amount);
    }
    let overhead = amounts(&spec["overhead"]);
    let counted = overhead.into_iter().filter(|(name, _)| field == "requests" || total.contains_key(name));
    let counted: Amounts = counted.collect();
    add(&mut total, &counted);
    total
}

fn amounts(tree: &Value) -> Amounts {
    entries(tree).filter_map(|(name, value)| Some((name.to_owned(), Quantity::from_tree(value).ok()?))).collect()
}

fn add(total: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        total.entry(name.clone()).or_default().add(amount);
    }
}

/// The larger of both, name by name.
fn widen(total: &mut Amounts, other: &Amounts) {
    for (name, amount) in other {
        match total.get(name) {
            Some(held) if held >= amount => {}
            _ => _ = total.insert(name.clone(), *amount),
        }
    }
}
