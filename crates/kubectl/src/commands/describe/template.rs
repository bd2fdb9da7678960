//! A workload's pod template, and what pods need of nodes.

use machinery::selector::LabelSelector;
use serde_json::Value;

use super::containers::{self, Section};
use super::page::{Page, items, number, shown};
use super::volumes;

pub fn describe(page: &mut Page, template: &Value) {
    let (meta, spec) = (&template["metadata"], &template["spec"]);
    page.line(0, "Pod Template:");
    page.labels("  Labels", &meta["labels"]);
    if meta["annotations"].as_object().is_some_and(|all| !all.is_empty()) {
        page.annotations("  Annotations", &meta["annotations"]);
    }
    page.optional(1, "Service Account", &spec["serviceAccountName"]);
    for (label, field) in [("Init Containers", "initContainers"), ("Containers", "containers")] {
        if field == "containers" || !items(&spec[field]).is_empty() {
            let (statuses, pod) = (&Value::Null, &Value::Null);
            containers::describe(page, &Section { label, containers: &spec[field], statuses, pod, indent: "  " });
        }
    }
    volumes::describe(page, &spec["volumes"], "  ");
    spread(page, &spec["topologySpreadConstraints"], "  ");
    page.optional(1, "Priority Class Name", &spec["priorityClassName"]);
    page.labels("  Node-Selectors", &spec["nodeSelector"]);
    tolerations(page, "  Tolerations", &spec["tolerations"]);
}

pub fn tolerations(page: &mut Page, title: &str, tolerations: &Value) {
    let mut all = items(tolerations).to_vec();
    all.sort_by_key(|toleration| shown(&toleration["key"]));
    page.stack(title, &all.iter().map(toleration).collect::<Vec<_>>());
}

fn toleration(toleration: &Value) -> String {
    let (mut text, value) = (shown(&toleration["key"]), shown(&toleration["value"]));
    if !value.is_empty() {
        text.push_str(&format!("={value}"));
    }
    let effect = shown(&toleration["effect"]);
    if !effect.is_empty() {
        text.push_str(&format!(":{effect}"));
    }
    if toleration["operator"] == "Exists" && value.is_empty() {
        text.push_str(if text.is_empty() { "op=Exists" } else { " op=Exists" });
    }
    if let Some(seconds) = toleration["tolerationSeconds"].as_i64() {
        text.push_str(&format!(" for {seconds}s"));
    }
    text
}

/// Topology spread constraints; nothing when there are none.
pub fn spread(page: &mut Page, constraints: &Value, indent: &str) {
    let mut all = items(constraints).to_vec();
    if all.is_empty() {
        return;
    }
    all.sort_by_key(|constraint| shown(&constraint["topologyKey"]));
    let text = |constraint: &Value| {
        let selector = match &constraint["labelSelector"] {
            Value::Null => String::new(),
            selector => format!(" for selector {}", self::selector(selector)),
        };
        format!(
            "{}:{} when max skew {} is exceeded{selector}",
            shown(&constraint["topologyKey"]),
            shown(&constraint["whenUnsatisfiable"]),
            number(&constraint["maxSkew"])
        )
    };
    page.stack(&format!("{indent}Topology Spread Constraints"), &all.iter().map(text).collect::<Vec<_>>());
}

/// A label selector in one line; `<none>` selects everything.
pub fn selector(tree: &Value) -> String {
    match LabelSelector::from_tree(tree).map(|selector| selector.to_string()) {
        Ok(text) if text.is_empty() => "<none>".into(),
        Ok(text) => text,
        Err(_) => "<error>".into(),
    }
}
