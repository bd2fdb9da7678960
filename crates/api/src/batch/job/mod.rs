//! Job: pods that run to their end.
//!
//! Source: <https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/job-v1/>.

use machinery::{meta, time, tree};
use serde_json::Value;

use super::GROUP;
use crate::column;
use crate::core::pod_spec;
use crate::cursor::Field;
use crate::fill;
use crate::kind::{Kind, Subresource};
use crate::status;

mod policy;
mod rules;

pub use rules::spec as validate_spec;

const UID: &str = "batch.kubernetes.io/controller-uid";
const NAME: &str = "batch.kubernetes.io/job-name";
const OLD_UID: &str = "controller-uid";
const OLD_NAME: &str = "job-name";

pub static KIND: Kind = Kind {
    group: GROUP,
    kind: "Job",
    plural: "jobs",
    singular: "job",
    categories: &["all"],
    definition: "io.k8s.api.batch.v1.Job",
    subresources: &[Subresource::status("Job")],
    generation: true,
    orphan_by_default: true,
    set_defaults: |object| {
        pod_spec::template_defaults(object, "spec.template");
        spec_defaults(tree::map_mut(object, "spec"));
        let labels = tree::get(object, "spec.template.metadata.labels").clone();
        let own = meta::labels(object).as_object().is_none_or(fill::Tree::is_empty);
        if own && labels.as_object().is_some_and(|labels| !labels.is_empty()) {
            tree::set(object, "metadata.labels", labels);
        }
    },
    prepare_create: |object| {
        status::clear(object);
        generate_selector(object);
    },
    prepare_update: status::keep,
    validate: rules::validate,
    validate_create: rules::validate_create,
    validate_update: rules::validate_update,
    validate_status: rules::validate_status,
    warnings: |new, old| {
        if !old.is_null() && new["spec"]["template"] == old["spec"]["template"] {
            return Vec::new();
        }
        pod_spec::warnings(&Field::root(new).get("spec.template"), &old["spec"]["template"])
    },
    selectable: &[("status.successful", |object| column::int(object, "status.succeeded").to_string())],
    columns: &[
        column::NAME,
        column::text("Status", "Status of the job."),
        column::text("Completions", "The number of pods which reached phase Succeeded."),
        column::text("Duration", "Time required to complete the job."),
        column::AGE,
        column::CONTAINERS,
        column::IMAGES,
        column::wide("Selector", "A label query over pods that should match the pod count."),
    ],
    cells: |object, now| {
        let [names, images] = column::containers(object, "spec.template.spec.containers");
        let took = time::from_tree(&object["status"]["startTime"]).map(|start| {
            let end = time::from_tree(&object["status"]["completionTime"]).unwrap_or(now);
            time::human(end.as_second() - start.as_second())
        });
        vec![
            column::name(object),
            state(object).into(),
            completions(object).into(),
            took.unwrap_or_default().into(),
            column::age(object, now),
            names,
            images,
            column::selector(&object["spec"]["selector"]).into(),
        ]
    },
    ..Kind::BASE
};

fn has_condition(object: &Value, kind: &str) -> bool {
    tree::items(object, "status.conditions").iter().any(|c| c["type"] == kind && c["status"] == "True")
}

fn state(object: &Value) -> &'static str {
    const STATES: [(&str, &str); 5] = [
        ("Complete", "Complete"),
        ("Failed", "Failed"),
        ("Suspended", "Suspended"),
        ("FailureTarget", "FailureTarget"),
        ("SuccessCriteriaMet", "SuccessCriteriaMet"),
    ];
    if meta::is_deleting(object) && !has_condition(object, "Complete") && !has_condition(object, "Failed") {
        return "Terminating";
    }
    STATES.iter().find(|(condition, _)| has_condition(object, condition)).map_or("Running", |(_, text)| text)
}

fn completions(object: &Value) -> String {
    let succeeded = column::int(object, "status.succeeded");
    match (object["spec"]["completions"].as_i64(), column::int(object, "spec.parallelism")) {
        (Some(wanted), _) => format!("{succeeded}/{wanted}"),
        (None, parallel) if parallel > 1 => format!("{succeeded}/1 of {parallel}"),
        (None, _) => format!("{succeeded}/1"),
    }
}

/// Defaults of a Job; the jobs in templates of them get only those of their pods.
fn spec_defaults(spec: &mut fill::Tree) {
    let absent = |spec: &fill::Tree, key: &str| spec.get(key).is_none_or(Value::is_null);
    if absent(spec, "completions") && absent(spec, "parallelism") {
        fill::absent(spec, "completions", 1);
    }
    fill::absent(spec, "parallelism", 1);
    let per_index = !absent(spec, "backoffLimitPerIndex");
    fill::absent(spec, "backoffLimit", if per_index { i32::MAX } else { 6 });
    fill::absent(spec, "completionMode", "NonIndexed");
    fill::absent(spec, "suspend", false);
    let mut has_policy = false;
    if let Some(policy) = fill::map(spec, "podFailurePolicy") {
        has_policy = true;
        for rule in fill::maps(policy, "rules") {
            for pattern in fill::maps(rule, "onPodConditions") {
                fill::text(pattern, "status", "True");
            }
        }
    }
    fill::absent(spec, "podReplacementPolicy", if has_policy { "Failed" } else { "TerminatingOrFailed" });
}

/// Pods of a job are known by its uid, so that no two jobs share any; the uid is there by now.
fn generate_selector(object: &mut Value) {
    if object["spec"]["manualSelector"] == true {
        return;
    }
    let (name, uid) = (meta::name(object).to_owned(), meta::uid(object).to_owned());
    let labels = tree::map_mut(object, "spec.template.metadata.labels");
    for (label, value) in [(OLD_NAME, &name), (NAME, &name), (OLD_UID, &uid), (UID, &uid)] {
        labels.entry(label).or_insert_with(|| value.as_str().into());
    }
    let selector = tree::map_mut(object, "spec.selector.matchLabels");
    selector.entry(UID).or_insert_with(|| uid.as_str().into());
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{problems, with_defaults};

    use super::*;

    fn pi(policy: &str) -> Value {
        let template = json!({"spec": {"restartPolicy": policy, "containers": [{"name": "pi", "image": "perl:5"}]}});
        let mut job =
            with_defaults(&KIND, json!({"metadata": {"name": "pi", "uid": "u1"}, "spec": {"template": template}}));
        (KIND.prepare_create)(&mut job);
        job
    }

    #[test]
    fn a_job_selects_its_pods_by_uid() {
        let job = pi("Never");
        assert_eq!(problems(&KIND, &job), "");
        assert_eq!(job["spec"]["selector"], json!({"matchLabels": {UID: "u1"}}));
        assert_eq!(job["spec"]["template"]["metadata"]["labels"][OLD_NAME], "pi");
        assert_eq!(job["spec"]["completions"], 1);
        assert_eq!(job["spec"]["backoffLimit"], 6);
    }

    #[test]
    fn a_job_ends() {
        assert_eq!(
            problems(&KIND, &pi("")),
            "spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", \"Never\""
        );
    }
}
