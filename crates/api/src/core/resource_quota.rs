//! ResourceQuota: how much all of a namespace may take together.
//!
//! Source: <https://kubernetes.io/docs/reference/kubernetes-api/policy-resources/resource-quota-v1/>.

use machinery::field::Problems;
use machinery::tree;
use serde_json::{Value, json};

use crate::column;
use crate::core::pod_spec::resources;
use crate::cursor::Field;
use crate::fill;
use crate::kind::{Kind, Subresource};
use crate::rule;
use crate::status;

const SCOPES: [&str; 7] = [
    "Terminating",
    "NotTerminating",
    "BestEffort",
    "NotBestEffort",
    "PriorityClass",
    "CrossNamespacePodAffinity",
    "VolumeAttributesClass",
];
/// What pods take, so that scopes of pods can hold it.
const OF_PODS: [&str; 7] = ["pods", "cpu", "memory", "limits.cpu", "limits.memory", "requests.cpu", "requests.memory"];

pub static KIND: Kind = Kind {
    kind: "ResourceQuota",
    plural: "resourcequotas",
    singular: "resourcequota",
    short_names: &["quota"],
    definition: "io.k8s.api.core.v1.ResourceQuota",
    subresources: &[Subresource::status("ResourceQuota")],
    set_defaults: |object| {
        for part in ["spec", "status"] {
            if let Some(part) = object.get_mut(part).and_then(Value::as_object_mut) {
                fill::milli(part, "hard");
                fill::milli(part, "used");
            }
        }
    },
    prepare_create: status::clear,
    prepare_update: status::keep,
    validate,
    validate_update: |new, old, problems| {
        let sorted = |object: &Value| {
            let mut scopes = tree::items(object, "spec.scopes").to_vec();
            scopes.sort_by_key(Value::to_string);
            scopes
        };
        if sorted(new) != sorted(old) {
            Field::root(new).get("spec.scopes").invalid(problems, rule::IMMUTABLE);
        }
    },
    validate_status: |new, _, problems| {
        for list in ["status.hard", "status.used"] {
            amounts(&Field::root(new).get(list), problems);
        }
    },
    columns: &[
        column::NAME,
        column::text("Request", "Request represents a minimum amount of cpu/memory that a container may consume."),
        column::text(
            "Limit",
            "Limits control the maximum amount of cpu/memory that a container may use independent of contention on the node.",
        ),
        column::AGE,
    ],
    cells: |object, now| {
        let of = |limits: bool| -> Value {
            let hard = object["status"]["hard"].as_object().into_iter().flatten();
            let mine = hard.filter(|(name, _)| name.starts_with("limits.") == limits);
            let texts: Vec<_> = mine.map(|(name, hard)| used_of(object, name, hard)).collect();
            texts.join(", ").into()
        };
        vec![column::name(object), of(false), of(true), column::age(object, now)]
    },
    ..Kind::BASE
};

fn used_of(object: &Value, name: &str, hard: &Value) -> String {
    let used = tree::get(object, "status.used")[name].as_str().unwrap_or("0");
    format!("{name}: {used}/{}", hard.as_str().unwrap_or("0"))
}

fn amounts(list: &Field, problems: &mut Problems) {
    for (name, at) in list.entries() {
        resources::quota_name(name, &at, problems);
        resources::quantity(name, &at, problems);
    }
}

fn validate(object: &Value, problems: &mut Problems) {
    let root = Field::root(object);
    let spec = root.get("spec");
    let hard = spec.get("hard");
    amounts(&hard, problems);
    let scopes = spec.get("scopes");
    let names: Vec<_> = scopes.items().map(|s| s.str()).collect();
    for scope in &names {
        if !SCOPES.contains(scope) {
            scopes.invalid(problems, "unsupported scope");
        }
        if !holds_all(scope, &hard) {
            scopes.invalid(problems, "unsupported scope applied to resource");
        }
    }
    conflicting(&scopes, &names, problems);
    let selector = spec.get("scopeSelector");
    let expressions = selector.get("matchExpressions");
    let mut selected: Vec<&str> = Vec::new();
    for expression in expressions.items() {
        scope_expression(&selector, &expressions, &expression, &hard, problems);
        selected.push(expression.get("scopeName").str());
    }
    conflicting(&expressions.with(scopes.value), &selected, problems);
}

/// Whether every standard resource that is limited is one that pods of the scope take.
fn holds_all(scope: &str, hard: &Field) -> bool {
    hard.entries().all(|(name, _)| {
        !resources::is_standard_quota(name)
            || match scope {
                "BestEffort" => name == "pods",
                "VolumeAttributesClass" => matches!(name, "persistentvolumeclaims" | "requests.storage"),
                scope if SCOPES.contains(&scope) => OF_PODS.contains(&name),
                _ => true,
            }
    })
}

fn conflicting(at: &Field, scopes: &[&str], problems: &mut Problems) {
    for (one, other) in [("BestEffort", "NotBestEffort"), ("Terminating", "NotTerminating")] {
        if scopes.contains(&one) && scopes.contains(&other) {
            at.invalid_as(problems, json!(scopes), "conflicting scopes");
        }
    }
}

/// Upstream leaves the index of the expression out of these paths.
fn scope_expression(selector: &Field, list: &Field, expression: &Field, hard: &Field, problems: &mut Problems) {
    let at = list.with(expression.value);
    let (scope, operator, values) = (at.get("scopeName"), at.get("operator"), at.get("values"));
    if !SCOPES.contains(&scope.str()) {
        scope.invalid_as(problems, scope.str(), "unsupported scope");
    }
    if !holds_all(scope.str(), hard) {
        list.with(selector.value).invalid(problems, "unsupported scope applied to resource");
    }
    let by_class = matches!(scope.str(), "PriorityClass" | "VolumeAttributesClass");
    if !by_class && SCOPES.contains(&scope.str()) && operator.str() != "Exists" {
        let detail = "must be 'Exist' when scope is any of ResourceQuotaScopeTerminating, \
            ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or \
            ResourceQuotaScopeCrossNamespacePodAffinity";
        operator.invalid_as(problems, operator.str(), detail);
    }
    match operator.str() {
        "In" | "NotIn" if values.is_empty() => {
            let detail = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector";
            values.required(problems, detail);
        }
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            let detail = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector";
            values.invalid(problems, detail);
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
        other => operator.invalid_as(problems, other, "not a valid selector operator"),
    }
}
