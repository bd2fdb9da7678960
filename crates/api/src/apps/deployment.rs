//! Deployment: a wanted number of like pods, rolled over to a new template within bounds.
//!
//! Source: <https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/deployment-v1/>.

use machinery::field::Problems;
use machinery::tree;
use serde_json::Value;

use crate::apps::workload;
use crate::column;
use crate::core::pod_spec;
use crate::cursor::Field;
use crate::kind::{Kind, ScalePaths, Subresource};
use crate::rule;
use crate::status;

pub static KIND: Kind = Kind {
    group: "apps",
    kind: "Deployment",
    plural: "deployments",
    singular: "deployment",
    short_names: &["deploy"],
    categories: &["all"],
    definition: "io.k8s.api.apps.v1.Deployment",
    subresources: &[Subresource::SCALE, Subresource::status("Deployment")],
    scale: Some(ScalePaths {
        spec_replicas: "spec.replicas",
        status_replicas: "status.replicas",
        selector: "spec.selector",
    }),
    generation: true,
    generation_metadata: &["annotations"],
    set_defaults,
    prepare_create: status::clear,
    prepare_update: status::keep,
    prepare_status: status::keep_labels,
    validate,
    validate_update: |new, old, problems| rule::immutable("spec.selector", new, old, problems),
    validate_status,
    warnings: workload::warnings,
    columns: &[
        column::NAME,
        column::text("Ready", "Number of the pod with ready state"),
        column::text(
            "Up-to-date",
            "Total number of non-terminated pods targeted by this deployment that have the desired template spec.",
        ),
        column::text(
            "Available",
            "Total number of available pods (ready for at least minReadySeconds) targeted by this deployment.",
        ),
        column::AGE,
        column::CONTAINERS,
        column::IMAGES,
        column::wide("Selector", "Label selector for pods."),
    ],
    cells: |object, now| {
        let [names, images] = column::containers(object, "spec.template.spec.containers");
        let ready = format!("{}/{}", column::int(object, "status.readyReplicas"), column::int(object, "spec.replicas"));
        vec![
            column::name(object),
            ready.into(),
            column::int(object, "status.updatedReplicas").into(),
            column::int(object, "status.availableReplicas").into(),
            column::age(object, now),
            names,
            images,
            workload::selector_cell(object),
        ]
    },
    ..Kind::BASE
};

fn set_defaults(object: &mut Value) {
    pod_spec::template_defaults(object, "spec.template");
    tree::default(object, "spec.replicas", 1);
    workload::default_strategy(object, "spec.strategy", "25%".into(), "25%".into());
    tree::default(object, "spec.revisionHistoryLimit", 10);
    tree::default(object, "spec.progressDeadlineSeconds", 600);
}

fn validate(object: &Value, problems: &mut Problems) {
    let root = Field::root(object);
    let spec = root.get("spec");
    rule::not_negative(&spec.get("replicas"), problems);
    workload::selector_and_template(&spec, "deployment", "ReplicaSet", problems);
    strategy(&spec.get("strategy"), problems);
    rule::not_negative(&spec.get("minReadySeconds"), problems);
    rule::not_negative(&spec.get("revisionHistoryLimit"), problems);
    let deadline = spec.get("progressDeadlineSeconds");
    if let Some(seconds) = deadline.int() {
        rule::not_negative(&deadline, problems);
        if seconds <= spec.get("minReadySeconds").num() {
            deadline.invalid(problems, "must be greater than minReadySeconds");
        }
    }
}

fn strategy(strategy: &Field, problems: &mut Problems) {
    let rolling = strategy.get("rollingUpdate");
    match strategy.get("type").str() {
        "Recreate" if rolling.is_set() => {
            rolling.forbidden(problems, "may not be specified when strategy `type` is 'Recreate'");
        }
        "Recreate" => {}
        "RollingUpdate" if rolling.is_set() => rolling_update(&rolling, problems),
        "RollingUpdate" => rolling.required(problems, "this should be defaulted and never be nil"),
        _ => strategy.not_supported(problems, &["Recreate", "RollingUpdate"]),
    }
}

fn rolling_update(rolling: &Field, problems: &mut Problems) {
    let (unavailable, surge) = (rolling.get("maxUnavailable"), rolling.get("maxSurge"));
    rule::count_or_percent(&unavailable, problems);
    rule::count_or_percent(&surge, problems);
    if rule::count_or_percent_value(&unavailable) == 0 && rule::count_or_percent_value(&surge) == 0 {
        unavailable.invalid(problems, "may not be 0 when `maxSurge` is 0");
    }
    rule::at_most_100_percent(&unavailable, problems);
}

fn validate_status(new: &Value, old: &Value, problems: &mut Problems) {
    let root = Field::root(new);
    let status = root.get("status");
    const COUNTS: [&str; 7] = [
        "observedGeneration",
        "replicas",
        "updatedReplicas",
        "readyReplicas",
        "availableReplicas",
        "unavailableReplicas",
        "collisionCount",
    ];
    workload::not_negative(&status, &COUNTS, problems);
    workload::counts_within_replicas(&status, &["updatedReplicas", "readyReplicas", "availableReplicas"], problems);
    workload::collisions_only_grow(&status, &old["status"], problems);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{problems, with_defaults};

    use super::*;

    fn nginx(template_labels: Value) -> Value {
        json!({"spec": {
            "replicas": 3, "selector": {"matchLabels": {"app": "nginx"}},
            "template": {"metadata": {"labels": template_labels}, "spec": {"containers": [{"name": "nginx", "image": "nginx:1.14.2"}]}},
        }})
    }

    #[test]
    fn a_selector_that_does_not_match_is_refused() {
        let object = with_defaults(&KIND, nginx(json!({"apps": "nginx"})));
        assert_eq!(
            problems(&KIND, &object),
            "spec.template.metadata.labels: Invalid value: {\"apps\":\"nginx\"}: `selector` does not match template `labels`"
        );
    }

    #[test]
    fn the_strategy_is_filled_in() {
        let object = with_defaults(&KIND, nginx(json!({"app": "nginx"})));
        assert_eq!(problems(&KIND, &object), "");
        assert_eq!(
            object["spec"]["strategy"],
            json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}})
        );
        assert_eq!(object["spec"]["template"]["spec"]["restartPolicy"], "Always");
        assert_eq!(object["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"], "IfNotPresent");
    }

    #[test]
    fn nothing_can_move_with_both_bounds_zero() {
        let mut object = with_defaults(&KIND, nginx(json!({"app": "nginx"})));
        object["spec"]["strategy"]["rollingUpdate"] = json!({"maxSurge": 0, "maxUnavailable": "0%"});
        assert_eq!(
            problems(&KIND, &object),
            "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: \"0%\": may not be 0 when `maxSurge` is 0"
        );
    }
}
