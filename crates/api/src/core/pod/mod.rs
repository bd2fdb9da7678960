//! Pod: containers that run together on one node.
//!
//! The spec's rules are in `core/pod_spec`; here are the pod's own: what may change and when, its status, how it is
//! deleted, how it prints. Source:
//! <https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/>.

use machinery::field::Problems;
use machinery::tree;
use serde_json::{Value, json};

use crate::column;
use crate::core::pod_spec::{self, Holder, containers};
use crate::cursor::Field;
use crate::kind::{Kind, PartUpdate, Subresource};
use crate::rule;
use crate::status;

mod cells;
mod label_keys;
mod part;
pub mod qos;
mod status_rules;
mod update;

const STREAM_VERBS: &[&str] = &["create", "get"];

pub static KIND: Kind = Kind {
    kind: "Pod",
    plural: "pods",
    singular: "pod",
    short_names: &["po"],
    categories: &["all"],
    definition: "io.k8s.api.core.v1.Pod",
    subresources: &[
        Subresource::named("attach", "PodAttachOptions", STREAM_VERBS),
        Subresource::named("binding", "Binding", &["create"]),
        Subresource::part(
            "ephemeralcontainers",
            "Pod",
            Subresource::STATUS_VERBS,
            PartUpdate { prepare: part::open_ephemeral_containers, validate: part::validate_ephemeral_containers },
        ),
        Subresource { group: "policy", version: "v1", ..Subresource::named("eviction", "Eviction", &["create"]) },
        Subresource::named("exec", "PodExecOptions", STREAM_VERBS),
        Subresource::named("log", "Pod", &["get"]),
        Subresource::named("portforward", "PodPortForwardOptions", STREAM_VERBS),
        Subresource::named("proxy", "PodProxyOptions", &["create", "delete", "get", "patch", "update"]),
        Subresource::part(
            "resize",
            "Pod",
            Subresource::STATUS_VERBS,
            PartUpdate { prepare: part::open_resources, validate: part::validate_resize },
        ),
        Subresource::status("Pod"),
    ],
    generation: true,
    set_defaults: pod_spec::pod_defaults,
    prepare_create,
    prepare_update: status::keep,
    prepare_status: |new, old| {
        status::put_back(new, old, "spec");
        status::put_back(new, old, "metadata.deletionTimestamp");
        status::put_back(new, old, "metadata.ownerReferences");
    },
    validate,
    validate_create,
    validate_update: update::validate,
    validate_status: status_rules::validate,
    warnings,
    selectable: &[
        ("spec.nodeName", |o| text(o, "spec.nodeName")),
        ("spec.restartPolicy", |o| text(o, "spec.restartPolicy")),
        ("spec.schedulerName", |o| text(o, "spec.schedulerName")),
        ("spec.serviceAccountName", |o| text(o, "spec.serviceAccountName")),
        ("spec.hostNetwork", |o| o["spec"]["hostNetwork"].as_bool().unwrap_or(false).to_string()),
        ("status.phase", |o| text(o, "status.phase")),
        ("status.podIP", |o| text(o, "status.podIP")),
        ("status.podIPs", |o| text(o, "status.podIP")),
        ("status.nominatedNodeName", |o| text(o, "status.nominatedNodeName")),
    ],
    columns: cells::COLUMNS,
    cells: cells::cells,
    finished: |object| match tree::str(object, "status.phase") {
        "Succeeded" => Some(("Succeeded", "The pod has completed successfully.")),
        "Failed" => Some(("Failed", "The pod failed.")),
        _ => None,
    },
    grace: |object, asked| Some(grace(object, asked)),
    ..Kind::BASE
};

fn text(object: &Value, dotted: &str) -> String {
    tree::str(object, dotted).to_owned()
}

/// Seconds that a deleted pod has to stop: none when it runs nowhere, or has ended.
fn grace(object: &Value, asked: Option<i64>) -> i64 {
    let phase = tree::str(object, "status.phase");
    if tree::str(object, "spec.nodeName").is_empty() || matches!(phase, "Failed" | "Succeeded") {
        return 0;
    }
    let seconds = asked.unwrap_or_else(|| column::int(object, "spec.terminationGracePeriodSeconds"));
    if seconds < 0 { 1 } else { seconds }
}

fn prepare_create(object: &mut Value) {
    let mut status = json!({"phase": "Pending", "qosClass": qos::class(object)});
    if !tree::items(object, "spec.schedulingGates").is_empty() {
        status["conditions"] = json!([{
            "type": "PodScheduled", "status": "False", "reason": "SchedulingGated",
            "message": "Scheduling is blocked due to non-empty scheduling gates",
        }]);
    }
    tree::set(object, "status", status);
    label_keys::apply(object);
}

fn validate(object: &Value, problems: &mut Problems) {
    let root = Field::root(object);
    let spec = root.get("spec");
    pod_spec::annotations(&root.get("metadata.annotations"), &spec, problems);
    pod_spec::spec(&spec, &Holder::Pod { name: root.get("metadata.name").str() }, problems);
    if spec.get("serviceAccountName").is_empty() {
        no_tokens(&spec, problems);
    }
    for list in ["containers", "initContainers"] {
        for container in spec.get(list).items() {
            containers::image_is_trimmed(&container, problems);
        }
    }
}

/// Without an account there is nobody to make a token for.
fn no_tokens(spec: &Field, problems: &mut Problems) {
    for volume in spec.get("volumes").items() {
        for source in volume.get("projected.sources").items() {
            let token = source.get("serviceAccountToken");
            if token.is_set() {
                token.forbidden(problems, "must not be specified when serviceAccountName is not set");
            }
        }
    }
}

fn validate_create(object: &Value, problems: &mut Problems) {
    let root = Field::root(object);
    let spec = root.get("spec");
    if !spec.get("ephemeralContainers").is_empty() {
        spec.get("ephemeralContainers").forbidden(problems, "cannot be set on create");
    }
    if !spec.get("nodeName").is_empty() && !spec.get("schedulingGates").is_empty() {
        spec.get("nodeName").forbidden(problems, "cannot be set until all schedulingGates have been cleared");
    }
    pod_spec::annotation_fields_agree(root.get("metadata.annotations").value, &spec, problems);
}

/// Only for new pods: people seldom change them, and kubelets and schedulers do all the time.
fn warnings(new: &Value, old: &Value) -> Vec<String> {
    if !old.is_null() {
        return Vec::new();
    }
    let root = Field::root(new);
    let mut out = Vec::new();
    let messages = rule::dns_label_messages(root.get("metadata.name").str());
    if !messages.is_empty() {
        out.push(format!(
            "metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; \
             a DNS label is recommended: [{}]",
            messages.join(" ")
        ));
    }
    out.extend(pod_spec::warnings(&root, old));
    out
}

#[cfg(test)]
mod tests;
