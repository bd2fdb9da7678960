//! HorizontalPodAutoscaler, v2: replicas by what is measured. This is the stored form.
//!
//! Source: <https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/horizontal-pod-autoscaler-v2/>.

use machinery::field::Problems;
use machinery::tree;
use serde_json::{Value, json};

use crate::column;
use crate::cursor::Field;
use crate::fill;
use crate::kind::{Kind, Subresource};
use crate::rule;
use crate::status;

mod cell;
mod flat;
mod metrics;
pub mod v1;

/// Percent of the requested CPU that pods use on average, where nothing else is asked for.
const CPU_PERCENT: i64 = 80;
const PERIOD_SECONDS_MAX: i64 = 1800;
const WINDOW_SECONDS_MAX: i64 = 3600;

pub static KIND: Kind = Kind {
    group: "autoscaling",
    version: "v2",
    kind: "HorizontalPodAutoscaler",
    plural: "horizontalpodautoscalers",
    singular: "horizontalpodautoscaler",
    short_names: &["hpa"],
    categories: &["all"],
    definition: "io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler",
    subresources: &[Subresource::status("HorizontalPodAutoscaler")],
    set_defaults,
    prepare_create: status::clear,
    prepare_update: status::keep,
    validate,
    validate_status: |new, _, problems| {
        let root = Field::root(new);
        for count in ["status.currentReplicas", "status.desiredReplicas"] {
            rule::not_negative(&root.get(count), problems);
        }
    },
    columns: &[
        column::NAME,
        column::text("Reference", "scaleTargetRef points to the target resource to scale."),
        column::text(
            "Targets",
            "metrics contains the specifications for which to use to calculate the desired replica count.",
        ),
        column::text(
            "MinPods",
            "minReplicas is the lower limit for the number of replicas to which the autoscaler can scale down.",
        ),
        column::text(
            "MaxPods",
            "maxReplicas is the upper limit for the number of replicas to which the autoscaler can scale up.",
        ),
        column::text(
            "Replicas",
            "currentReplicas is current number of replicas of pods managed by this autoscaler, as last seen by the autoscaler.",
        ),
        column::AGE,
    ],
    cells: |object, now| {
        let target = tree::get(object, "spec.scaleTargetRef");
        let least = object["spec"]["minReplicas"].as_i64().map_or_else(|| "<unset>".to_owned(), |n| n.to_string());
        vec![
            column::name(object),
            format!("{}/{}", tree::str(target, "kind"), tree::str(target, "name")).into(),
            cell::metrics(object).into(),
            least.into(),
            column::int(object, "spec.maxReplicas").into(),
            column::int(object, "status.currentReplicas").into(),
            column::age(object, now),
        ]
    },
    ..Kind::BASE
};

fn set_defaults(object: &mut Value) {
    let spec = tree::map_mut(object, "spec");
    fill::absent(spec, "minReplicas", 1);
    if spec.get("metrics").and_then(Value::as_array).is_none_or(Vec::is_empty) {
        let target = json!({"type": "Utilization", "averageUtilization": CPU_PERCENT});
        let cpu = json!([{"type": "Resource", "resource": {"name": "cpu", "target": target}}]);
        spec.insert("metrics".to_owned(), cpu);
    }
    if let Some(behavior) = fill::map(spec, "behavior") {
        let up = json!([
            {"type": "Pods", "value": 4, "periodSeconds": 15}, {"type": "Percent", "value": 100, "periodSeconds": 15}]);
        rules(behavior, "scaleUp", up, Some(0));
        let down = json!([{"type": "Percent", "value": 100, "periodSeconds": 15}]);
        rules(behavior, "scaleDown", down, None);
    }
}

fn rules(behavior: &mut fill::Tree, direction: &str, policies: Value, window: Option<i64>) {
    fill::absent(behavior, direction, json!({}));
    let Some(rules) = fill::map(behavior, direction) else { return };
    fill::absent(rules, "policies", policies);
    fill::absent(rules, "selectPolicy", "Max");
    if let Some(seconds) = window {
        fill::absent(rules, "stabilizationWindowSeconds", seconds);
    }
}

fn validate(object: &Value, problems: &mut Problems) {
    let root = Field::root(object);
    let spec = root.get("spec");
    let (least, most) = (spec.get("minReplicas"), spec.get("maxReplicas"));
    if least.int().is_some_and(|n| n < 1) {
        least.invalid(problems, "must be greater than or equal to 1");
    }
    if most.num() < 1 {
        most.invalid_as(problems, most.num(), "must be greater than 0");
    }
    if least.int().is_some_and(|n| most.num() < n) {
        most.invalid_as(problems, most.num(), "must be greater than or equal to `minReplicas`");
    }
    metrics::object_reference(&spec.get("scaleTargetRef"), problems);
    metrics::all(&spec.get("metrics"), problems);
    for direction in ["scaleUp", "scaleDown"] {
        let behavior = spec.get("behavior");
        let rules = behavior.get(direction);
        if rules.is_set() {
            scaling_rules(&rules, problems);
        }
    }
}

fn scaling_rules(rules: &Field, problems: &mut Problems) {
    let (window, select) = (rules.get("stabilizationWindowSeconds"), rules.get("selectPolicy"));
    if window.num() < 0 {
        window.invalid(problems, "must be greater than or equal to zero");
    }
    if window.num() > WINDOW_SECONDS_MAX {
        window.invalid(problems, format!("must be less than or equal to {WINDOW_SECONDS_MAX}"));
    }
    if select.is_set() {
        rule::one_of(&select, &["Disabled", "Max", "Min"], problems);
    }
    let policies = rules.get("policies");
    if policies.is_empty() {
        policies.required(problems, "must specify at least one Policy");
    }
    for policy in policies.items() {
        rule::one_of(&policy.get("type"), &["Percent", "Pods"], problems);
        let period = policy.get("periodSeconds");
        for number in [policy.get("value"), period].iter().filter(|n| n.num() <= 0) {
            number.invalid_as(problems, number.num(), "must be greater than zero");
        }
        if period.num() > PERIOD_SECONDS_MAX {
            period.invalid(problems, format!("must be less than or equal to {PERIOD_SECONDS_MAX}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{problems, with_defaults};

    use super::*;

    #[test]
    fn cpu_is_measured_when_nothing_else_is_said() {
        let target = json!({"kind": "Deployment", "name": "a", "apiVersion": "apps/v1"});
        let object = with_defaults(&KIND, json!({"spec": {"maxReplicas": 3, "scaleTargetRef": target}}));
        assert_eq!(problems(&KIND, &object), "");
        assert_eq!(cell::metrics(&object), "cpu: <unknown>/80%");
    }
}
