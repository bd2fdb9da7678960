//! StatefulSet: pods that have names and storage of their own.
//!
//! Source: <https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/stateful-set-v1/>.

use machinery::field::Problems;
use machinery::tree;
use serde_json::{Value, json};

use crate::apps::workload;
use crate::column;
use crate::core::{claim_spec, pod_spec};
use crate::cursor::Field;
use crate::fill;
use crate::kind::{Kind, NameRule, ScalePaths, Subresource};
use crate::rule;
use crate::status;

const OPEN: &str = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', \
    'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";

pub static KIND: Kind = Kind {
    group: "apps",
    kind: "StatefulSet",
    plural: "statefulsets",
    singular: "statefulset",
    short_names: &["sts"],
    categories: &["all"],
    name_rule: NameRule::Label,
    definition: "io.k8s.api.apps.v1.StatefulSet",
    subresources: &[Subresource::SCALE, Subresource::status("StatefulSet")],
    scale: Some(ScalePaths {
        spec_replicas: "spec.replicas",
        status_replicas: "status.replicas",
        selector: "spec.selector",
    }),
    generation: true,
    set_defaults,
    prepare_create: status::clear,
    prepare_update: status::keep,
    validate,
    validate_update,
    validate_status,
    warnings: workload::warnings,
    columns: &[
        column::NAME,
        column::text("Ready", "Number of the pod with ready state"),
        column::AGE,
        column::CONTAINERS,
        column::IMAGES,
    ],
    cells: |object, now| {
        let [names, images] = column::containers(object, "spec.template.spec.containers");
        let ready = format!("{}/{}", column::int(object, "status.readyReplicas"), column::int(object, "spec.replicas"));
        vec![column::name(object), ready.into(), column::age(object, now), names, images]
    },
    ..Kind::BASE
};

fn set_defaults(object: &mut Value) {
    pod_spec::template_defaults(object, "spec.template");
    for claim in tree::items_mut(object, "spec.volumeClaimTemplates").iter_mut().filter_map(Value::as_object_mut) {
        claim.insert("apiVersion".to_owned(), "v1".into());
        claim.insert("kind".to_owned(), "PersistentVolumeClaim".into());
        if let Value::Object(spec) = claim.entry("spec").or_insert_with(|| json!({})) {
            claim_spec::defaults(spec);
        }
        if let Value::Object(status) = claim.entry("status").or_insert_with(|| json!({})) {
            fill::text(status, "phase", "Pending");
        }
    }
    let spec = tree::map_mut(object, "spec");
    fill::text(spec, "podManagementPolicy", "OrderedReady");
    fill::absent(spec, "replicas", 1);
    fill::absent(spec, "revisionHistoryLimit", 10);
    if tree::str(object, "spec.updateStrategy.type").is_empty() {
        tree::set(object, "spec.updateStrategy.type", "RollingUpdate");
        tree::default(object, "spec.updateStrategy.rollingUpdate", json!({}));
    }
    let strategy = tree::get(object, "spec.updateStrategy");
    if strategy["type"] == "RollingUpdate" && strategy["rollingUpdate"].is_object() {
        tree::default(object, "spec.updateStrategy.rollingUpdate.partition", 0);
    }
    let policy = tree::map_mut(object, "spec.persistentVolumeClaimRetentionPolicy");
    fill::text(policy, "whenDeleted", "Retain");
    fill::text(policy, "whenScaled", "Retain");
}

fn validate(object: &Value, problems: &mut Problems) {
    let root = Field::root(object);
    let spec = root.get("spec");
    let policy = spec.get("podManagementPolicy");
    match policy.str() {
        "" => policy.required(problems, ""),
        "OrderedReady" | "Parallel" => {}
        _ => policy.invalid(problems, "must be 'OrderedReady' or 'Parallel'"),
    }
    strategy(&spec.get("updateStrategy"), problems);
    for when in ["whenDeleted", "whenScaled"] {
        rule::one_of(&spec.get("persistentVolumeClaimRetentionPolicy").get(when), &["Retain", "Delete"], problems);
    }
    for count in ["replicas", "minReadySeconds", "ordinals.start", "revisionHistoryLimit"] {
        rule::not_negative(&spec.get(count), problems);
    }
    let (selector, template) = (spec.get("selector"), spec.get("template"));
    if selector.is_set() {
        rule::label_selector(&selector, problems);
        workload::not_empty(&selector, "statefulset", problems);
    } else {
        selector.required(problems, "");
    }
    if rule::is_label_selector(&selector) {
        workload::template_matches(&selector, &template, problems);
        labels_and_annotations(&template, problems);
    } else {
        selector.invalid(problems, "");
    }
    workload::only_always(&template, "StatefulSet", problems);
}

/// The pod spec itself is judged when pods are made of it: only then are its volumes and claims together.
fn labels_and_annotations(template: &Field, problems: &mut Problems) {
    let (labels, annotations) = (template.get("labels"), template.get("annotations"));
    rule::labels(&labels.with(template.get("metadata.labels").value), problems);
    let annotations = annotations.with(template.get("metadata.annotations").value);
    rule::annotations(&annotations, problems);
    pod_spec::annotations(&annotations, &template.get("spec"), problems);
}

fn strategy(strategy: &Field, problems: &mut Problems) {
    let rolling = strategy.get("rollingUpdate");
    match strategy.get("type").str() {
        "" => strategy.required(problems, ""),
        "OnDelete" if rolling.is_set() => {
            rolling.invalid(problems, "only allowed for updateStrategy 'RollingUpdate'");
        }
        "OnDelete" => {}
        "RollingUpdate" => {
            rule::not_negative(&rolling.get("partition"), problems);
            let unavailable = rolling.get("maxUnavailable");
            if unavailable.is_set() {
                rule::count_or_percent(&unavailable, problems);
                if rule::count_or_percent_value(&unavailable) == 0 {
                    unavailable.invalid(problems, "cannot be 0");
                }
                rule::at_most_100_percent(&unavailable, problems);
            }
        }
        _ => strategy.invalid(problems, "must be 'RollingUpdate' or 'OnDelete'"),
    }
}

fn validate_update(new: &Value, old: &Value, problems: &mut Problems) {
    const FIELDS: [&str; 7] = [
        "replicas",
        "ordinals",
        "template",
        "updateStrategy",
        "revisionHistoryLimit",
        "persistentVolumeClaimRetentionPolicy",
        "minReadySeconds",
    ];
    let closed = |object: &Value| {
        let spec = object["spec"].as_object().cloned().unwrap_or_default();
        spec.into_iter().filter(|(field, _)| !FIELDS.contains(&field.as_str())).collect::<fill::Tree>()
    };
    if closed(new) != closed(old) {
        Field::root(new).get("spec").forbidden(problems, OPEN);
    }
}

fn validate_status(new: &Value, old: &Value, problems: &mut Problems) {
    let root = Field::root(new);
    let status = root.get("status");
    const COUNTS: [&str; 7] = [
        "replicas",
        "readyReplicas",
        "currentReplicas",
        "updatedReplicas",
        "availableReplicas",
        "observedGeneration",
        "collisionCount",
    ];
    workload::not_negative(&status, &COUNTS, problems);
    let replicas = status.get("replicas").num();
    for count in ["readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas"] {
        if status.get(count).num() > replicas {
            status.get(count).invalid(problems, "cannot be greater than status.replicas");
        }
    }
    let available = status.get("availableReplicas");
    if available.num() > status.get("readyReplicas").num() {
        available.invalid(problems, "cannot be greater than status.readyReplicas");
    }
    workload::collisions_only_grow(&status, &old["status"], problems);
}

#[cfg(test)]
mod tests {
    use crate::testing::{problems, update_problems, with_defaults};

    use super::*;

    fn web() -> Value {
        let spec = json!({
            "serviceName": "web", "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": "nginx"}]}},
            "volumeClaimTemplates": [{"metadata": {"name": "www"}, "spec": {"accessModes": ["ReadWriteOnce"]}}],
        });
        with_defaults(&KIND, json!({"metadata": {"name": "web"}, "spec": spec}))
    }

    #[test]
    fn claims_are_whole_objects() {
        let object = web();
        assert_eq!(problems(&KIND, &object), "");
        assert_eq!(
            object["spec"]["volumeClaimTemplates"][0],
            json!({
                "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "www"},
                "spec": {"accessModes": ["ReadWriteOnce"], "volumeMode": "Filesystem"}, "status": {"phase": "Pending"},
            })
        );
    }

    #[test]
    fn names_and_storage_stay() {
        let mut new = web();
        new["spec"]["replicas"] = 5.into();
        assert_eq!(update_problems(&KIND, &new, &web()), "");
        new["spec"]["serviceName"] = "other".into();
        assert_eq!(update_problems(&KIND, &new, &web()), format!("spec: Forbidden: {OPEN}"));
    }
}
