//! ResourceQuotas, LimitRanges and PodDisruptionBudgets.

use serde_json::Value;

use super::namespace::{limit_rows, meaning};
use super::page::{Page, entries, items, number, or, shown};
use super::{Subject, events, template};
use crate::failure::Result;

pub async fn quota(subject: &Subject<'_>) -> Result<Page> {
    let quota = subject.tree;
    let mut page = Page::default();
    page.field(0, "Name", machinery::meta::name(quota));
    page.field(0, "Namespace", machinery::meta::namespace(quota));
    let mut scopes: Vec<String> = items(&quota["spec"]["scopes"]).iter().map(shown).collect();
    scopes.sort();
    if !scopes.is_empty() {
        page.field(0, "Scopes", scopes.join(", "));
    }
    for text in scopes.iter().filter_map(|scope| meaning(scope)) {
        page.line(0, format_args!(" * {text}"));
    }
    page.line(0, "Resource\tUsed\tHard");
    page.line(0, "--------\t----\t----");
    for (resource, hard) in entries(&quota["status"]["hard"]) {
        page.line(0, format_args!("{resource}\t{}\t{}", or(&quota["status"]["used"][resource], "0"), shown(hard)));
    }
    Ok(page)
}

pub async fn limits(subject: &Subject<'_>) -> Result<Page> {
    let range: &Value = subject.tree;
    let mut page = Page::default();
    page.field(0, "Name", machinery::meta::name(range));
    page.field(0, "Namespace", machinery::meta::namespace(range));
    page.line(0, "Type\tResource\tMin\tMax\tDefault Request\tDefault Limit\tMax Limit/Request Ratio");
    page.line(0, "----\t--------\t---\t---\t---------------\t-------------\t-----------------------");
    limit_rows(&mut page, "", range);
    Ok(page)
}

/// A PodDisruptionBudget.
pub async fn disruption_budget(subject: &Subject<'_>) -> Result<Page> {
    let budget = subject.tree;
    let (spec, status) = (&budget["spec"], &budget["status"]);
    let mut page = Page::default();
    page.field(0, "Name", machinery::meta::name(budget));
    page.field(0, "Namespace", machinery::meta::namespace(budget));
    match (&spec["minAvailable"], &spec["maxUnavailable"]) {
        (Value::Null, most) => page.optional(0, "Max unavailable", most),
        (least, _) => page.field(0, "Min available", shown(least)),
    }
    match &spec["selector"] {
        Value::Null => page.field(0, "Selector", "<unset>"),
        selector => page.field(0, "Selector", template::selector(selector)),
    }
    page.line(0, "Status:");
    for (title, field) in [
        ("Allowed disruptions", "disruptionsAllowed"),
        ("Current", "currentHealthy"),
        ("Desired", "desiredHealthy"),
        ("Total", "expectedPods"),
    ] {
        page.field(2, title, number(&status[field]));
    }
    events::append(subject, &mut page).await;
    Ok(page)
}
