//! HorizontalPodAutoscaler, v1: the stored v2 objects as their CPU percentage; the rest is kept in annotations.
//!
//! Source: <https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/horizontal-pod-autoscaler-v1/>.

use machinery::schema;
use machinery::tree;
use serde_json::{Value, json};

use super::{CPU_PERCENT, flat};
use crate::fill;
use crate::kind::{Kind, StoredAs, Subresource};
use crate::status;

const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const MEASURED: &str = "autoscaling.alpha.kubernetes.io/current-metrics";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";
const PERCENT: &str = "spec.targetCPUUtilizationPercentage";
const MEASURED_PERCENT: &str = "status.currentCPUUtilizationPercentage";

pub static KIND: Kind = Kind {
    group: "autoscaling",
    kind: "HorizontalPodAutoscaler",
    plural: "horizontalpodautoscalers",
    singular: "horizontalpodautoscaler",
    short_names: &["hpa"],
    categories: &["all"],
    definition: "io.k8s.api.autoscaling.v1.HorizontalPodAutoscaler",
    subresources: &[Subresource::status("HorizontalPodAutoscaler")],
    set_defaults: |object| fill::absent(tree::map_mut(object, "spec"), "minReplicas", 1),
    stored_as: Some(StoredAs { group: "autoscaling", version: "v2", from_stored, to_stored }),
    prepare_create: |object| {
        status::clear(object);
        forget(object, &[MEASURED, CONDITIONS]);
    },
    prepare_update: |new, old| {
        status::keep(new, old);
        for name in [MEASURED, CONDITIONS] {
            keep(new, old, name);
        }
    },
    validate: |object, problems| (super::KIND.validate)(&to_stored(object.clone()), problems),
    validate_status: |new, old, problems| (super::KIND.validate_status)(new, old, problems),
    columns: super::KIND.columns,
    cells: |object, now| (super::KIND.cells)(&to_stored(object.clone()), now),
    ..Kind::BASE
};

fn annotation<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    tree::get(object, "metadata.annotations").get(name)?.as_str()
}

fn annotate(object: &mut Value, name: &str, value: &Value) {
    tree::map_mut(object, "metadata.annotations").insert(name.to_owned(), value.to_string().into());
}

fn forget(object: &mut Value, names: &[&str]) {
    let Some(annotations) = tree::get_mut(object, "metadata.annotations").and_then(Value::as_object_mut) else {
        return;
    };
    annotations.retain(|name, _| !names.contains(&name.as_str()));
    if annotations.is_empty() {
        tree::remove(object, "metadata.annotations");
    }
}

/// What the annotation holds is status, which an update of the main resource leaves alone.
fn keep(new: &mut Value, old: &Value, name: &str) {
    match annotation(old, name) {
        Some(before) => {
            tree::map_mut(new, "metadata.annotations").insert(name.to_owned(), before.into());
        }
        None => forget(new, &[name]),
    }
}

/// The percentage in `values` of a CPU metric, which v1 has a field for.
fn cpu(metric: &Value, values: &str) -> Option<i64> {
    let resource = &metric["resource"];
    let is_cpu = metric["type"] == "Resource" && resource["name"] == "cpu";
    resource[values]["averageUtilization"].as_i64().filter(|_| is_cpu)
}

fn from_stored(mut object: Value) -> Value {
    forget(&mut object, &[METRICS, MEASURED, CONDITIONS, BEHAVIOR]);
    let metrics = taken(&mut object, "spec.metrics");
    if let Some(percent) = metrics.iter().find_map(|metric| cpu(metric, "target")) {
        tree::set(&mut object, PERCENT, percent);
    }
    let others: Vec<_> = metrics.iter().filter(|m| cpu(m, "target").is_none()).map(flat::target_to_flat).collect();
    let measured = taken(&mut object, "status.currentMetrics");
    if let Some(percent) = measured.iter().rev().find_map(|metric| cpu(metric, "current")) {
        tree::set(&mut object, MEASURED_PERCENT, percent);
    }
    let measured: Vec<_> = measured.iter().map(flat::measured_to_flat).collect();
    let conditions = taken(&mut object, "status.conditions");
    for (name, list) in [(METRICS, others), (MEASURED, measured), (CONDITIONS, conditions)] {
        if !list.is_empty() {
            annotate(&mut object, name, &list.into());
        }
    }
    if let Some(behavior) = tree::remove(&mut object, "spec.behavior").filter(Value::is_object) {
        annotate(&mut object, BEHAVIOR, &renamed(&behavior, char::to_ascii_uppercase));
    }
    object["apiVersion"] = "autoscaling/v1".into();
    canonical(&KIND, object)
}

fn to_stored(mut object: Value) -> Value {
    let mut metrics: Vec<_> = noted_list(&object, METRICS).iter().map(flat::target_from_flat).collect();
    let percent = tree::remove(&mut object, PERCENT).and_then(|percent| percent.as_i64());
    if percent.is_some() || metrics.is_empty() {
        let target = json!({"type": "Utilization", "averageUtilization": percent.unwrap_or(CPU_PERCENT)});
        metrics.push(json!({"type": "Resource", "resource": {"name": "cpu", "target": target}}));
    }
    tree::set(&mut object, "spec.metrics", metrics);
    if let Some(behavior) = noted(&object, BEHAVIOR).filter(Value::is_object) {
        tree::set(&mut object, "spec.behavior", renamed(&behavior, char::to_ascii_lowercase));
    }
    let percent = tree::remove(&mut object, MEASURED_PERCENT);
    let mut measured: Vec<_> = noted_list(&object, MEASURED).iter().map(flat::measured_from_flat).collect();
    if let Some(percent) = percent.filter(|_| measured.is_empty()) {
        let current = json!({"averageUtilization": percent});
        measured.push(json!({"type": "Resource", "resource": {"name": "cpu", "current": current}}));
    }
    let conditions = noted_list(&object, CONDITIONS);
    for (path, list) in [("status.currentMetrics", measured), ("status.conditions", conditions)] {
        if !list.is_empty() {
            tree::set(&mut object, path, list);
        }
    }
    forget(&mut object, &[METRICS, MEASURED, CONDITIONS, BEHAVIOR]);
    object["apiVersion"] = "autoscaling/v2".into();
    canonical(&super::KIND, object)
}

fn taken(object: &mut Value, path: &str) -> Vec<Value> {
    match tree::remove(object, path) {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    }
}

/// What an annotation holds; whoever wrote something else there gets nothing from it.
fn noted(object: &Value, name: &str) -> Option<Value> {
    serde_json::from_str(annotation(object, name)?).ok()
}

fn noted_list(object: &Value, name: &str) -> Vec<Value> {
    match noted(object, name) {
        Some(Value::Array(items)) => items.into_iter().filter(Value::is_object).collect(),
        _ => Vec::new(),
    }
}

/// The behavior is kept with Go's names of its fields: `ScaleUp`, `SelectPolicy`. Absent fields are null there.
fn renamed(value: &Value, first: fn(&char) -> char) -> Value {
    match value {
        Value::Object(map) => {
            let fields = map.iter().filter(|(_, value)| !value.is_null());
            fields.map(|(name, value)| (with_first(name, first), renamed(value, first))).collect()
        }
        Value::Array(items) => items.iter().map(|item| renamed(item, first)).collect(),
        other => other.clone(),
    }
}

fn with_first(name: &str, change: fn(&char) -> char) -> String {
    name.chars().enumerate().map(|(i, c)| if i == 0 { change(&c) } else { c }).collect()
}

/// Annotations are free text: what does not fit the type is dropped, as a decoder would.
fn canonical(kind: &Kind, object: Value) -> Value {
    let Some(schema) = crate::schemas().get(kind.definition) else { return object };
    let Ok((mut object, _)) = schema::check(schema, object.clone()) else { return without_notes(object) };
    schema::canonicalize(schema, &mut object);
    object
}

/// The parts that could have come from an annotation.
fn without_notes(mut object: Value) -> Value {
    for path in ["spec.metrics", "spec.behavior", "status.currentMetrics", "status.conditions"] {
        tree::remove(&mut object, path);
    }
    object
}

#[cfg(test)]
mod tests {
    use crate::testing::problems;

    use super::*;

    fn stored() -> Value {
        let object = json!({"kind": "Service", "name": "a", "apiVersion": "v1"});
        let cpu = json!({"type": "Resource", "resource": {"name": "cpu", "target":
            {"type": "Utilization", "averageUtilization": 50}}});
        json!({
            "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "a", "namespace": "d", "annotations": {"mine": "1"}},
            "spec": {
                "scaleTargetRef": {"kind": "Deployment", "name": "a", "apiVersion": "apps/v1"},
                "minReplicas": 1, "maxReplicas": 5,
                "behavior": {"scaleDown": {"selectPolicy": "Max", "policies":
                    [{"type": "Percent", "value": 100, "periodSeconds": 15}]}},
                "metrics": [
                    {"type": "Object", "object": {"describedObject": object, "metric": {"name": "hits"},
                        "target": {"type": "AverageValue", "averageValue": "2"}}},
                    {"type": "External", "external": {"metric": {"name": "q", "selector": {"matchLabels": {"a": "b"}}},
                        "target": {"type": "Value", "value": "30"}}},
                    cpu,
                ],
            },
            "status": {"currentReplicas": 2, "desiredReplicas": 2,
                "currentMetrics": [{"type": "Resource", "resource": {"name": "cpu",
                    "current": {"averageUtilization": 10, "averageValue": "1m"}}}],
                "conditions": [{"type": "AbleToScale", "status": "True", "lastTransitionTime": null}]},
        })
    }

    #[test]
    fn nothing_is_lost_between_the_forms() {
        let flat = from_stored(stored());
        assert_eq!(flat["spec"]["targetCPUUtilizationPercentage"], 50);
        assert_eq!(flat["status"]["currentCPUUtilizationPercentage"], 10);
        let notes = flat["metadata"]["annotations"].as_object().map(serde_json::Map::len);
        assert_eq!(notes, Some(5), "{flat}");
        assert!(annotation(&flat, BEHAVIOR).is_some_and(|text| text.contains(r#""SelectPolicy":"Max""#)));
        assert_eq!(to_stored(flat.clone()), canonical(&super::super::KIND, stored()));
        assert_eq!(from_stored(to_stored(flat.clone())), flat);
    }

    #[test]
    fn what_kubectl_autoscale_posts() {
        let target = json!({"kind": "Deployment", "name": "a", "apiVersion": "apps/v1"});
        let mut object = json!({"apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "a"}, "spec": {"maxReplicas": 3, "scaleTargetRef": target}});
        (KIND.set_defaults)(&mut object);
        assert_eq!(problems(&KIND, &object), "");
        let stored = to_stored(object);
        assert_eq!(cell(&stored), "cpu: <unknown>/80%");
    }

    fn cell(stored: &Value) -> String {
        super::super::cell::metrics(stored)
    }

    #[test]
    fn annotations_hold_anything() {
        for text in ["", "[1]", "{}", r#"[{"type":1}]"#, r#"[{"type":"Object","object":{"target":1}}]"#] {
            let object =
                json!({"metadata": {"annotations": {METRICS: text, MEASURED: text, BEHAVIOR: text}}, "spec": {}});
            let stored = to_stored(object);
            assert!(stored["metadata"]["annotations"].is_null(), "{stored}");
        }
    }
}
