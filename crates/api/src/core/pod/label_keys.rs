//! `matchLabelKeys` and `mismatchLabelKeys`: keys whose values the new pod's own labels give are written out as
//! expressions, so that the scheduler sees plain selectors.

use machinery::tree;
use serde_json::{Map, Value, json};

pub fn apply(pod: &mut Value) {
    let labels = match tree::get(pod, "metadata.labels") {
        Value::Object(labels) => labels.clone(),
        _ => return,
    };
    for direction in ["podAffinity", "podAntiAffinity"] {
        let at = format!("spec.affinity.{direction}.requiredDuringSchedulingIgnoredDuringExecution");
        for term in tree::items_mut(pod, &at) {
            write_out(term, &labels);
        }
        let at = format!("spec.affinity.{direction}.preferredDuringSchedulingIgnoredDuringExecution");
        for preferred in tree::items_mut(pod, &at) {
            if let Some(term) = preferred.get_mut("podAffinityTerm") {
                write_out(term, &labels);
            }
        }
    }
    for constraint in tree::items_mut(pod, "spec.topologySpreadConstraints") {
        write_out(constraint, &labels);
    }
}

fn write_out(term: &mut Value, labels: &Map<String, Value>) {
    if term["labelSelector"].is_null() {
        return;
    }
    for (list, operator) in [("matchLabelKeys", "In"), ("mismatchLabelKeys", "NotIn")] {
        let keys: Vec<_> = tree::items(term, list).iter().filter_map(|k| k.as_str().map(str::to_owned)).collect();
        for key in keys {
            let Some(value) = labels.get(&key) else { continue };
            let expression = json!({"key": key, "operator": operator, "values": [value]});
            match tree::map_mut(term, "labelSelector").entry("matchExpressions").or_insert_with(|| json!([])) {
                Value::Array(expressions) => expressions.push(expression),
                other => *other = json!([expression]),
            }
        }
    }
}
