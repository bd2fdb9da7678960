//! How an autoscaler's metrics print: `cpu: 10%/80%`, what is and what should be.

use machinery::tree;
use serde_json::Value;

use crate::column::text_or;

/// Metrics shown in the column.
const SHOWN: usize = 2;

pub fn metrics(object: &Value) -> String {
    let (specs, now) = (tree::items(object, "spec.metrics"), tree::items(object, "status.currentMetrics"));
    let texts: Vec<_> =
        specs.iter().enumerate().map(|(i, spec)| one(spec, now.get(i).unwrap_or(&Value::Null))).collect();
    match texts.len() {
        0 => "<none>".to_owned(),
        n if n > SHOWN => format!("{} + {} more...", texts[..SHOWN].join(", "), n - SHOWN),
        _ => texts.join(", "),
    }
}

fn one(spec: &Value, now: &Value) -> String {
    match tree::str(spec, "type") {
        "External" => either(&spec["external"], &now["external"]),
        "Object" => either(&spec["object"], &now["object"]),
        "Pods" => {
            let current = text_or(now, "pods.current.averageValue", "<unknown>");
            format!("{current}/{}", tree::str(spec, "pods.target.averageValue"))
        }
        "Resource" => used(&spec["resource"], &now["resource"]),
        "ContainerResource" => used(&spec["containerResource"], &now["containerResource"]),
        _ => "<unknown type>".to_owned(),
    }
}

fn either(spec: &Value, now: &Value) -> String {
    match tree::str(spec, "target.averageValue") {
        "" => format!("{}/{}", text_or(now, "current.value", "<unknown>"), tree::str(spec, "target.value")),
        wanted => format!("{}/{wanted} (avg)", text_or(now, "current.averageValue", "<unknown>")),
    }
}

fn used(spec: &Value, now: &Value) -> String {
    let name = tree::str(spec, "name");
    match tree::str(spec, "target.averageValue") {
        "" => {
            let percent = |value: &Value, none: &str| value.as_i64().map_or(none.to_owned(), |n| format!("{n}%"));
            let current = percent(tree::get(now, "current.averageUtilization"), "<unknown>");
            let wanted = percent(tree::get(spec, "target.averageUtilization"), "<auto>");
            format!("{name}: {current}/{wanted}")
        }
        wanted => format!("{name}: {}/{wanted}", text_or(now, "current.averageValue", "<unknown>")),
    }
}
