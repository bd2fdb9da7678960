//! ReplicaSet: a wanted number of like pods.
//!
//! Source: <https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/replica-set-v1/>.

use machinery::field::Problems;
use machinery::tree;

use crate::apps::workload;
use crate::column;
use crate::core::pod_spec;
use crate::cursor::Field;
use crate::kind::{Kind, ScalePaths, Subresource};
use crate::rule;
use crate::status;

pub static KIND: Kind = Kind {
    group: "apps",
    kind: "ReplicaSet",
    plural: "replicasets",
    singular: "replicaset",
    short_names: &["rs"],
    categories: &["all"],
    definition: "io.k8s.api.apps.v1.ReplicaSet",
    subresources: &[Subresource::SCALE, Subresource::status("ReplicaSet")],
    scale: Some(ScalePaths {
        spec_replicas: "spec.replicas",
        status_replicas: "status.replicas",
        selector: "spec.selector",
    }),
    generation: true,
    set_defaults: |object| {
        pod_spec::template_defaults(object, "spec.template");
        tree::default(object, "spec.replicas", 1);
    },
    prepare_create: status::clear,
    prepare_update: status::keep,
    validate: |object, problems| {
        let root = Field::root(object);
        let spec = root.get("spec");
        rule::not_negative(&spec.get("replicas"), problems);
        rule::not_negative(&spec.get("minReadySeconds"), problems);
        // Upstream says `deployment` here too.
        workload::selector_and_template(&spec, "deployment", "ReplicaSet", problems);
    },
    validate_update: |new, old, problems| rule::immutable("spec.selector", new, old, problems),
    validate_status: |new, _, problems| status_counts(&Field::root(new).get("status"), problems),
    warnings: workload::warnings,
    selectable: &[("status.replicas", |object| column::int(object, "status.replicas").to_string())],
    columns: &[
        column::NAME,
        column::number("Desired", "Replicas is the number of desired pods."),
        column::number("Current", "Replicas is the most recently observed number of non-terminating pods."),
        column::number(
            "Ready",
            "The number of non-terminating pods targeted by this ReplicaSet with a Ready Condition.",
        ),
        column::AGE,
        column::CONTAINERS,
        column::IMAGES,
        column::wide("Selector", "Selector is a label query over pods that should match the replica count."),
    ],
    cells: |object, now| {
        let [names, images] = column::containers(object, "spec.template.spec.containers");
        vec![
            column::name(object),
            column::int(object, "spec.replicas").into(),
            column::int(object, "status.replicas").into(),
            column::int(object, "status.readyReplicas").into(),
            column::age(object, now),
            names,
            images,
            workload::selector_cell(object),
        ]
    },
    ..Kind::BASE
};

/// The counts of a ReplicaSet's status, and of a ReplicationController's.
pub fn status_counts(status: &Field, problems: &mut Problems) {
    const COUNTS: [&str; 5] =
        ["replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas", "observedGeneration"];
    workload::not_negative(status, &COUNTS, problems);
    let within = ["fullyLabeledReplicas", "readyReplicas", "availableReplicas"];
    workload::counts_within_replicas(status, &within, problems);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{status_problems, update_problems};

    use super::*;

    #[test]
    fn the_selector_stays() {
        let of = |app: &str| json!({"spec": {"selector": {"matchLabels": {"app": app}}}});
        assert_eq!(
            update_problems(&KIND, &of("b"), &of("a")),
            "spec.selector: Invalid value: {\"matchLabels\":{\"app\":\"b\"}}: field is immutable"
        );
    }

    #[test]
    fn counts_are_within_bounds() {
        let status = json!({"status": {"replicas": 1, "readyReplicas": 2}});
        assert_eq!(
            status_problems(&KIND, &status, &json!({})),
            "status.readyReplicas: Invalid value: 2: cannot be greater than status.replicas"
        );
    }
}
