//! The rules of what an autoscaler measures.

use machinery::field::Problems;

use crate::core::pod_spec::resources;
use crate::cursor::Field;
use crate::rule;

/// In the order in which upstream looks for them.
const SOURCES: [(&str, &str); 5] = [
    ("object", "Object"),
    ("external", "External"),
    ("pods", "Pods"),
    ("resource", "Resource"),
    ("containerResource", "ContainerResource"),
];
const TYPES: [&str; 5] = ["ContainerResource", "External", "Object", "Pods", "Resource"];

pub fn all(metrics: &Field, problems: &mut Problems) {
    for metric in metrics.items() {
        one(&metric, problems);
    }
}

/// Exactly the source that the type names.
fn one(metric: &Field, problems: &mut Problems) {
    let kind = metric.get("type");
    if kind.is_empty() {
        kind.required(problems, "must specify a metric source type");
    }
    if !TYPES.contains(&kind.str()) {
        kind.not_supported(problems, &TYPES);
    }
    let there: Vec<_> = SOURCES.iter().filter(|(field, _)| metric.get(field).is_set()).collect();
    if let Some((field, _)) = there.first() {
        source(field, &metric.get(field), problems);
    }
    let wanted = SOURCES.iter().find(|(_, name)| *name == kind.str()).map(|(field, _)| *field);
    if let Some(wanted) = wanted.filter(|field| !metric.get(field).is_set()) {
        metric.get(wanted).required(problems, "must populate information for the given metric source");
    }
    for (field, _) in there.iter().filter(|(field, _)| there.len() > 1 && Some(*field) != wanted) {
        metric.get(field).forbidden(problems, "must populate the given metric source only");
    }
}

fn source(field: &str, source: &Field, problems: &mut Problems) {
    let metric = source.get("metric.name");
    let target = source.get("target");
    match field {
        "object" => object_reference(&source.get("describedObject"), problems),
        "resource" | "containerResource" => return resource(field, source, problems),
        _ => {}
    }
    if metric.is_empty() {
        metric.required(problems, "must specify a metric name");
    } else {
        rule::path_segment(&metric, problems);
    }
    self::target(&target, problems);
    let (value, average) = (target.get("value"), target.get("averageValue"));
    match (field, value.is_set(), average.is_set()) {
        ("object", false, false) => average.required(problems, "must set either a target value or averageValue"),
        ("external", false, false) => {
            average.required(problems, "must set either a target value for metric or a per-pod target");
        }
        ("external", true, true) => {
            value.forbidden(problems, "may not set both a target value for metric and a per-pod target");
        }
        ("pods", _, false) => average.required(problems, "must specify a positive target averageValue"),
        _ => {}
    }
}

fn resource(field: &str, source: &Field, problems: &mut Problems) {
    let (name, container, target) = (source.get("name"), source.get("container"), source.get("target"));
    if name.is_empty() {
        name.required(problems, "must specify a resource name");
    } else if field == "containerResource" {
        resources::container_name(name.str(), &name, problems);
    }
    if field == "containerResource" && container.is_empty() {
        container.required(problems, "must specify a container");
    } else if field == "containerResource" {
        rule::dns_label(&container, problems);
    }
    self::target(&target, problems);
    let (percent, value) = (target.get("averageUtilization"), target.get("averageValue"));
    match (percent.is_set(), value.is_set()) {
        (false, false) => percent.required(problems, "must set either a target raw value or a target utilization"),
        (true, true) => value.forbidden(problems, "may not set both a target raw value and a target utilization"),
        _ => {}
    }
}

fn target(target: &Field, problems: &mut Problems) {
    let kind = target.get("type");
    if kind.is_empty() {
        kind.required(problems, "must specify a metric target type");
    }
    if !matches!(kind.str(), "Utilization" | "Value" | "AverageValue") {
        kind.invalid_as(problems, kind.str(), "must be either Utilization, Value, or AverageValue");
    }
    for amount in ["value", "averageValue"] {
        let amount = target.get(amount);
        if let Some(quantity) = rule::quantity(&amount).filter(|q| q.sign() <= 0) {
            amount.invalid_as(problems, quantity.to_string(), "must be positive");
        }
    }
    let percent = target.get("averageUtilization");
    if percent.int().is_some_and(|n| n < 1) {
        percent.invalid(problems, "must be greater than 0");
    }
}

pub fn object_reference(reference: &Field, problems: &mut Problems) {
    for field in ["kind", "name"] {
        if rule::required(&reference.get(field), problems) {
            rule::path_segment(&reference.get(field), problems);
        }
    }
}
