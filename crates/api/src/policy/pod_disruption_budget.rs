//! PodDisruptionBudget: how many pods of a set may be missing by will.
//!
//! Source: <https://kubernetes.io/docs/reference/kubernetes-api/policy-resources/pod-disruption-budget-v1/>.

use machinery::field::Problems;
use serde_json::Value;

use crate::column;
use crate::cursor::Field;
use crate::kind::{Kind, Subresource};
use crate::rule;
use crate::status;

pub static KIND: Kind = Kind {
    group: "policy",
    kind: "PodDisruptionBudget",
    plural: "poddisruptionbudgets",
    singular: "poddisruptionbudget",
    short_names: &["pdb"],
    definition: "io.k8s.api.policy.v1.PodDisruptionBudget",
    subresources: &[Subresource::status("PodDisruptionBudget")],
    generation: true,
    unconditional_update: false,
    prepare_create: status::clear,
    prepare_update: status::keep,
    validate,
    validate_status: |new, _, problems| {
        let root = Field::root(new);
        let status = root.get("status");
        rule::conditions(&status.get("conditions"), problems);
        for count in ["disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"] {
            rule::not_negative(&status.get(count), problems);
        }
    },
    columns: &[
        column::NAME,
        column::text("Min Available", "The minimum number of pods that must be available."),
        column::text("Max Unavailable", "The maximum number of pods that may be unavailable."),
        column::number("Allowed Disruptions", "Calculated number of pods that may be disrupted at this time."),
        column::AGE,
    ],
    cells: |object, now| {
        let amount = |field: &str| match &object["spec"][field] {
            Value::Null => "N/A".to_owned(),
            Value::String(percent) => percent.clone(),
            number => number.to_string(),
        };
        vec![
            column::name(object),
            amount("minAvailable").into(),
            amount("maxUnavailable").into(),
            column::int(object, "status.disruptionsAllowed").into(),
            column::age(object, now),
        ]
    },
    ..Kind::BASE
};

fn validate(object: &Value, problems: &mut Problems) {
    let root = Field::root(object);
    let spec = root.get("spec");
    let bounds = [spec.get("minAvailable"), spec.get("maxUnavailable")];
    if bounds.iter().all(Field::is_set) {
        spec.invalid(problems, "minAvailable and maxUnavailable cannot be both set");
    }
    for bound in bounds.iter().filter(|b| b.is_set()) {
        rule::count_or_percent(bound, problems);
        rule::at_most_100_percent(bound, problems);
    }
    rule::label_selector(&spec.get("selector"), problems);
    let policy = spec.get("unhealthyPodEvictionPolicy");
    if policy.is_set() {
        rule::one_of(&policy, &["AlwaysAllow", "IfHealthyBudget"], problems);
    }
}
