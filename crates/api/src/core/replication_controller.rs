//! ReplicationController: what ReplicaSet was before selectors were more than maps.
//!
//! Source: <https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/replication-controller-v1/>.

use machinery::field::Problems;
use machinery::{meta, tree};
use serde_json::Value;

use crate::apps::{replicaset, workload};
use crate::column;
use crate::core::pod_spec;
use crate::cursor::Field;
use crate::kind::{Kind, ScalePaths, Subresource};
use crate::rule;
use crate::status;

pub static KIND: Kind = Kind {
    kind: "ReplicationController",
    plural: "replicationcontrollers",
    singular: "replicationcontroller",
    short_names: &["rc"],
    categories: &["all"],
    definition: "io.k8s.api.core.v1.ReplicationController",
    subresources: &[Subresource::SCALE, Subresource::status("ReplicationController")],
    scale: Some(ScalePaths {
        spec_replicas: "spec.replicas",
        status_replicas: "status.replicas",
        selector: "spec.selector",
    }),
    generation: true,
    orphan_by_default: true,
    set_defaults,
    prepare_create: status::clear,
    prepare_update: status::keep,
    validate,
    validate_status: |new, _, problems| replicaset::status_counts(&Field::root(new).get("status"), problems),
    warnings: workload::warnings,
    selectable: &[("status.replicas", |object| column::int(object, "status.replicas").to_string())],
    columns: &[
        column::NAME,
        column::number("Desired", "Replicas is the number of desired replicas."),
        column::number("Current", "Replicas is the most recently observed number of replicas."),
        column::number("Ready", "The number of ready replicas for this replication controller."),
        column::AGE,
        column::CONTAINERS,
        column::IMAGES,
        column::wide("Selector", "Selector is a label query over pods that should match the Replicas count."),
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
            column::labels(&object["spec"]["selector"]).into(),
        ]
    },
    ..Kind::BASE
};

/// The template's labels are the selector, and the controller's own labels, when there are none.
fn set_defaults(object: &mut Value) {
    if tree::get(object, "spec.template").is_object() {
        pod_spec::template_defaults(object, "spec.template");
        let labels = tree::get(object, "spec.template.metadata.labels").clone();
        if labels.as_object().is_some_and(|labels| !labels.is_empty()) {
            if tree::get(object, "spec.selector").as_object().is_none_or(serde_json::Map::is_empty) {
                tree::set(object, "spec.selector", labels.clone());
            }
            if meta::labels(object).as_object().is_none_or(serde_json::Map::is_empty) {
                tree::set(object, "metadata.labels", labels);
            }
        }
    }
    tree::default(object, "spec.replicas", 1);
}

fn validate(object: &Value, problems: &mut Problems) {
    let root = Field::root(object);
    let spec = root.get("spec");
    let (selector, template) = (spec.get("selector"), spec.get("template"));
    rule::not_negative(&spec.get("minReadySeconds"), problems);
    rule::required(&selector, problems);
    rule::not_negative(&spec.get("replicas"), problems);
    if !template.is_set() {
        return template.required(problems, "");
    }
    let labels = template.get("metadata.labels");
    if selector.entries().any(|(key, value)| labels.key(key).value != value.value) {
        labels.invalid(problems, "`selector` does not match template `labels`");
    }
    pod_spec::template(&template, problems);
    workload::only_always(&template, "ReplicationController", problems);
}
