//! A HorizontalPodAutoscaler: what it measures, and how fast it goes.

use serde_json::Value;

use super::page::{self, Page, items, number, or, shown};
use super::{Subject, events};
use crate::failure::Result;

const UNKNOWN: &str = "<unknown>";

pub async fn describe(subject: &Subject<'_>) -> Result<Page> {
    let autoscaler = modern(subject).await?;
    let (meta, spec, status) = (&autoscaler["metadata"], &autoscaler["spec"], &autoscaler["status"]);
    let mut page = Page::default();
    page.field(0, "Name", shown(&meta["name"]));
    page.field(0, "Namespace", shown(&meta["namespace"]));
    page.labels("Labels", &meta["labels"]);
    page.annotations("Annotations", &meta["annotations"]);
    page.field(0, "CreationTimestamp", page::date(&meta["creationTimestamp"]));
    let target = &spec["scaleTargetRef"];
    page.field(0, "Reference", format_args!("{}/{}", shown(&target["kind"]), shown(&target["name"])));
    page.field(0, "Metrics", "( current / target )");
    for (at, metric) in items(&spec["metrics"]).iter().enumerate() {
        self::metric(&mut page, metric, &status["currentMetrics"][at]);
    }
    page.field(0, "Min replicas", or(&spec["minReplicas"], "<unset>"));
    page.field(0, "Max replicas", number(&spec["maxReplicas"]));
    if !spec["behavior"].is_null() {
        page.line(0, "Behavior:");
        direction(&mut page, "Scale Up", &spec["behavior"]["scaleUp"]);
        direction(&mut page, "Scale Down", &spec["behavior"]["scaleDown"]);
    }
    let (current, desired) = (number(&status["currentReplicas"]), number(&status["desiredReplicas"]));
    page.field(0, &format!("{} pods", shown(&target["kind"])), format_args!("{current} current / {desired} desired"));
    conditions(&mut page, items(&status["conditions"]));
    events::append(subject, &mut page).await;
    Ok(page)
}

/// The object in version 2, whatever was asked for.
async fn modern(subject: &Subject<'_>) -> Result<Value> {
    if machinery::meta::api_version(subject.tree) == "autoscaling/v2" {
        return Ok(subject.tree.clone());
    }
    let resource = client::Resource::new("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler");
    let (namespace, name) = (machinery::meta::namespace(subject.tree), machinery::meta::name(subject.tree));
    Ok(Value::clone(&subject.session.client.dynamic(resource).get(namespace, name).await?.tree()))
}

/// A metric's line. Spaces are upstream's: its percentages are indented once more.
fn metric(page: &mut Page, metric: &Value, current: &Value) {
    let kind = shown(&metric["type"]);
    let field = format!("{}{}", kind.get(..1).unwrap_or_default().to_lowercase(), kind.get(1..).unwrap_or_default());
    let (wanted, held) = (&metric[&field], &current[&field]["current"]);
    let (target, name) = (&wanted["target"], shown(&wanted["metric"]["name"]));
    let value = |field: &str| or(&held[field], UNKNOWN);
    match kind.as_str() {
        "Resource" | "ContainerResource" => {
            let of = match kind.as_str() {
                "Resource" => String::new(),
                _ => format!(" of container {:?}", shown(&wanted["container"])),
            };
            let head = format!("resource {}{of} on pods", shown(&wanted["name"]));
            resource(page, &head, target, held);
        }
        "Pods" => page.field(1, &format!("{name:?} on pods"), pair(&value("averageValue"), &target["averageValue"])),
        "Object" => {
            let object = &wanted["describedObject"];
            let head = format!("\"{name}\" on {}/{} ", shown(&object["kind"]), shown(&object["name"]));
            valued(page, &head, target, &value, target["type"] == "AverageValue");
        }
        "External" => valued(page, &format!("{name:?} "), target, &value, !target["averageValue"].is_null()),
        other => page.line(1, format_args!("<unknown metric type {other:?}>")),
    }
}

fn pair(current: &str, target: &Value) -> String {
    format!("{current} / {}", shown(target))
}

fn resource(page: &mut Page, head: &str, target: &Value, held: &Value) {
    if !target["averageValue"].is_null() {
        return page.field(1, head, pair(&or(&held["averageValue"], UNKNOWN), &target["averageValue"]));
    }
    let current = match held["averageUtilization"].as_i64() {
        Some(percent) => format!("{percent}% ({})", shown(&held["averageValue"])),
        None => UNKNOWN.to_owned(),
    };
    let wanted =
        target["averageUtilization"].as_i64().map_or_else(|| "<auto>".to_owned(), |percent| format!("{percent}%"));
    page.field(1, &format!("{head}  (as a percentage of request)"), format_args!("{current} / {wanted}"));
}

fn valued(page: &mut Page, head: &str, target: &Value, value: &impl Fn(&str) -> String, is_average: bool) {
    let (words, field) = if is_average { ("target average value", "averageValue") } else { ("target value", "value") };
    page.field(1, &format!("{head}({words})"), pair(&value(field), &target[field]));
}

fn direction(page: &mut Page, title: &str, rules: &Value) {
    if rules.is_null() {
        return;
    }
    page.line(1, format_args!("{title}:"));
    if let Some(seconds) = rules["stabilizationWindowSeconds"].as_i64() {
        page.line(2, format_args!("Stabilization Window: {seconds} seconds"));
    }
    let policies = items(&rules["policies"]);
    if policies.is_empty() {
        return;
    }
    page.line(2, format_args!("Select Policy: {}", or(&rules["selectPolicy"], "Max")));
    page.line(2, "Policies:");
    for policy in policies {
        let (value, period) = (number(&policy["value"]), number(&policy["periodSeconds"]));
        page.line(3, format_args!("- Type: {}\tValue: {value}\tPeriod: {period} seconds", shown(&policy["type"])));
    }
}

fn conditions(page: &mut Page, conditions: &[Value]) {
    if conditions.is_empty() {
        return;
    }
    page.line(0, "Conditions:");
    page.line(1, "Type\tStatus\tReason\tMessage");
    page.line(1, "----\t------\t------\t-------");
    for condition in conditions {
        page.line(1, ["type", "status", "reason", "message"].map(|field| shown(&condition[field])).join("\t"));
    }
}
