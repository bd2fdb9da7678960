//! Affinity: to nodes by their labels, to and from other pods.

use machinery::field::Problems;

use crate::cursor::Field;
use crate::rule;

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

pub fn check(affinity: &Field, problems: &mut Problems) {
    if !affinity.is_set() {
        return;
    }
    let nodes = affinity.get("nodeAffinity");
    if nodes.get(REQUIRED).is_set() {
        node_selector(&nodes.get(REQUIRED), problems);
    }
    for term in nodes.get(PREFERRED).items() {
        weight(&term.get("weight"), problems);
        node_selector_term(&term.get("preference"), problems);
    }
    for direction in ["podAffinity", "podAntiAffinity"] {
        let pods = affinity.get(direction);
        for term in pods.get(REQUIRED).items() {
            pod_term(&term, problems);
        }
        for term in pods.get(PREFERRED).items() {
            weight(&term.get("weight"), problems);
            pod_term(&term.get("podAffinityTerm"), problems);
        }
    }
}

fn weight(weight: &Field, problems: &mut Problems) {
    if !(1..=100).contains(&weight.num()) {
        weight.invalid_as(problems, weight.num(), "must be in the range 1-100");
    }
}

/// A `NodeSelector`: in affinity, and of persistent volumes.
pub fn node_selector(selector: &Field, problems: &mut Problems) {
    let terms = selector.get("nodeSelectorTerms");
    if terms.is_empty() {
        terms.required(problems, "must have at least one node selector term");
    }
    for term in terms.items() {
        node_selector_term(&term, problems);
    }
}

fn node_selector_term(term: &Field, problems: &mut Problems) {
    for expression in term.get("matchExpressions").items() {
        match_expression(&expression, problems);
    }
    for field in term.get("matchFields").items() {
        match_field(&field, problems);
    }
}

fn match_expression(expression: &Field, problems: &mut Problems) {
    let (operator, values) = (expression.get("operator"), expression.get("values"));
    match operator.str() {
        "In" | "NotIn" if values.is_empty() => {
            values.required(problems, "must be specified when `operator` is 'In' or 'NotIn'");
        }
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            values.forbidden(problems, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
        }
        "Gt" | "Lt" if values.len() != 1 => {
            values.required(problems, "must be specified single value when `operator` is 'Lt' or 'Gt'");
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
        other => operator.invalid_as(problems, other, "not a valid selector operator"),
    }
    rule::qualified_name(&expression.get("key"), problems);
    if matches!(operator.str(), "In" | "NotIn") {
        for value in values.items() {
            for message in rule::label_value_messages(value.str()) {
                value.invalid(problems, message);
            }
        }
    }
}

fn match_field(field: &Field, problems: &mut Problems) {
    let (operator, values, key) = (field.get("operator"), field.get("values"), field.get("key"));
    match operator.str() {
        "In" | "NotIn" if values.len() != 1 => values
            .required(problems, "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"),
        "In" | "NotIn" => {}
        other => operator.invalid_as(problems, other, "not a valid selector operator"),
    }
    if key.str() != "metadata.name" {
        key.invalid_as(problems, key.str(), "not a valid field selector key");
        return;
    }
    for value in values.items() {
        rule::dns_subdomain(&value, problems);
    }
}

fn pod_term(term: &Field, problems: &mut Problems) {
    rule::label_selector(&term.get("labelSelector"), problems);
    rule::label_selector(&term.get("namespaceSelector"), problems);
    let namespace = term.get("namespace");
    for name in term.get("namespaces").items() {
        rule::dns_label(&namespace.with(name.value), problems);
    }
    for keys in ["matchLabelKeys", "mismatchLabelKeys"] {
        label_keys(&term.get(keys), &term.get("labelSelector"), problems);
    }
    let topology = term.get("topologyKey");
    if topology.is_empty() {
        topology.required(problems, "can not be empty");
    }
    rule::qualified_name(&topology, problems);
}

/// Keys whose values the pod's own labels give; the pod gets them as expressions of its own, so they may repeat there.
fn label_keys(keys: &Field, selector: &Field, problems: &mut Problems) {
    if keys.is_empty() {
        return;
    }
    if !selector.is_set() {
        keys.forbidden(problems, "must not be specified when labelSelector is not set");
    }
    for key in keys.items() {
        rule::qualified_name(&key, problems);
        if selector.get("matchLabels").key(key.str()).is_set() {
            key.invalid(problems, "exists in both matchLabelKeys and labelSelector");
        }
    }
}
