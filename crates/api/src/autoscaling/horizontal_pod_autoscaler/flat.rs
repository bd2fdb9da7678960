//! Metrics between v2, where a target or a value is an object, and the flat form that v1 keeps in annotations.

use machinery::tree;
use serde_json::{Map, Value, json};

/// `(flat, nested)` paths; what is named alike in both is listed too.
type Names = &'static [(&'static str, &'static str)];

/// Per source type and field of a metric in a spec.
const TARGETS: [(&str, Names); 5] = [
    (
        "object",
        &[
            ("target", "describedObject"),
            ("metricName", "metric.name"),
            ("selector", "metric.selector"),
            ("targetValue", "target.value"),
            ("averageValue", "target.averageValue"),
        ],
    ),
    (
        "pods",
        &[
            ("metricName", "metric.name"),
            ("selector", "metric.selector"),
            ("targetAverageValue", "target.averageValue"),
        ],
    ),
    ("resource", OF_RESOURCE),
    ("containerResource", OF_RESOURCE),
    (
        "external",
        &[
            ("metricName", "metric.name"),
            ("metricSelector", "metric.selector"),
            ("targetValue", "target.value"),
            ("targetAverageValue", "target.averageValue"),
        ],
    ),
];

const OF_RESOURCE: Names = &[
    ("name", "name"),
    ("container", "container"),
    ("targetAverageUtilization", "target.averageUtilization"),
    ("targetAverageValue", "target.averageValue"),
];

/// The same of a metric in a status.
const MEASURED: [(&str, Names); 5] = [
    (
        "object",
        &[
            ("target", "describedObject"),
            ("metricName", "metric.name"),
            ("selector", "metric.selector"),
            ("currentValue", "current.value"),
            ("averageValue", "current.averageValue"),
        ],
    ),
    (
        "pods",
        &[
            ("metricName", "metric.name"),
            ("selector", "metric.selector"),
            ("currentAverageValue", "current.averageValue"),
        ],
    ),
    ("resource", MEASURED_OF_RESOURCE),
    ("containerResource", MEASURED_OF_RESOURCE),
    (
        "external",
        &[
            ("metricName", "metric.name"),
            ("metricSelector", "metric.selector"),
            ("currentValue", "current.value"),
            ("currentAverageValue", "current.averageValue"),
        ],
    ),
];

const MEASURED_OF_RESOURCE: Names = &[
    ("name", "name"),
    ("container", "container"),
    ("currentAverageUtilization", "current.averageUtilization"),
    ("currentAverageValue", "current.averageValue"),
];

/// Values that the flat form always writes, a zero where there is none.
const ALWAYS: [(&str, &str); 4] = [
    ("object", "targetValue"),
    ("object", "currentValue"),
    ("external", "currentValue"),
    ("resource", "currentAverageValue"),
];

pub fn target_to_flat(metric: &Value) -> Value {
    to_flat(metric, &TARGETS)
}

pub fn measured_to_flat(metric: &Value) -> Value {
    to_flat(metric, &MEASURED)
}

pub fn measured_from_flat(metric: &Value) -> Value {
    from_flat(metric, &MEASURED)
}

pub fn target_from_flat(metric: &Value) -> Value {
    let mut nested = from_flat(metric, &TARGETS);
    for (source, _) in TARGETS {
        let Some(target) = tree::get_mut(&mut nested, source).map(|source| tree::map_mut(source, "target")) else {
            continue;
        };
        let kind = if target.contains_key("averageUtilization") {
            "Utilization"
        } else if target.contains_key("value") {
            "Value"
        } else {
            "AverageValue"
        };
        target.insert("type".to_owned(), kind.into());
    }
    nested
}

fn to_flat(metric: &Value, table: &[(&'static str, Names)]) -> Value {
    let mut flat = json!({"type": metric["type"]});
    for (source, names) in table {
        let Some(from) = metric.get(source).filter(|from| from.is_object()) else { continue };
        let mut to = moved(from, names.iter().map(|(flat, nested)| (*nested, *flat)));
        let measured = names.iter().any(|(_, nested)| nested.starts_with("current."));
        for (_, field) in ALWAYS.iter().filter(|(of, field)| of == source && field.starts_with("current") == measured) {
            tree::default(&mut to, field, "0");
        }
        flat[*source] = to;
    }
    flat
}

fn from_flat(metric: &Value, table: &[(&'static str, Names)]) -> Value {
    let mut nested = json!({"type": metric["type"]});
    for (source, names) in table {
        let Some(from) = metric.get(source).filter(|from| from.is_object()) else { continue };
        let mut to = moved(from, names.iter().copied());
        for part in ["target", "current"] {
            // A zero beside an average was only written because the flat form has to write something.
            if !tree::get(&to, part)["averageValue"].is_null() && tree::get(&to, part)["value"] == "0" {
                tree::remove(&mut to, &format!("{part}.value"));
            }
        }
        nested[*source] = to;
    }
    nested
}

fn moved<'a>(from: &Value, names: impl Iterator<Item = (&'a str, &'a str)>) -> Value {
    let mut to = Value::Object(Map::new());
    for (old, new) in names {
        let value = tree::get(from, old);
        if !value.is_null() {
            tree::set(&mut to, new, value.clone());
        }
    }
    to
}
