//! Bindings: a scheduler puts a pod on a node, once.

use api::Kind;
use machinery::field::{Path, Problems};
use machinery::identity::User;
use machinery::request::{Answer, Content, Request};
use machinery::status::Status;
use machinery::{meta, tree};
use serde_json::{Value, json};
use std::sync::Arc;

use super::get::answer;
use super::update::{Change, Made, Part};
use crate::Registry;
use crate::admission::{Asked, Operation};
use crate::generic::decode::{Expected, exactly};
use crate::generic::deletion::success;

const EXPECTED: Expected<'_> =
    Expected { definition: "io.k8s.api.core.v1.Binding", api_version: "v1", kind: "Binding" };

impl Registry {
    /// `pods/NAME/binding`, and `bindings` with the pod's name inside.
    pub(crate) async fn bind(&self, user: &User, request: &Request) -> Result<Answer, Status> {
        let pods = api::by_plural("", "v1", "pods").ok_or_else(Status::no_such_resource)?;
        let decoded = exactly(EXPECTED, &request.body, &request.options)?;
        let mut binding = decoded.tree;
        let name = meta::name(&binding).to_owned();
        if !request.name.is_empty() && request.name != name {
            return Err(Status::bad_request("name in URL does not match name in Binding object"));
        }
        let given = meta::namespace(&binding);
        if !given.is_empty() && given != request.namespace {
            let why = "the namespace of the provided object does not match the namespace sent on the request";
            return Err(Status::bad_request(why));
        }
        check(&binding)?;
        let asked = Asked {
            user,
            operation: Operation::Create,
            kind: pods,
            subresource: "binding",
            namespace: &request.namespace,
            name: &name,
            object: &Value::Null,
            old: &Value::Null,
            dry_run: request.options.dry_run,
        };
        self.admit(&asked, &mut binding).await?;
        let now = self.world.now_text();
        let make = |pod: &Value| bound(pods, pod, &binding, &now);
        self.change(Change { user, kind: pods, request, name: &name, part: Part::Direct, tracks: false, make: &make })
            .await?;
        let content = Content::Tree(Arc::new(success(201)));
        Ok(Answer { warnings: decoded.warnings, ..answer(201, content) })
    }
}

fn check(binding: &Value) -> Result<(), Status> {
    let (mut problems, target) = (Problems::default(), Path::new("target"));
    let kind = tree::str(binding, "target.kind");
    if !matches!(kind, "" | "Node") {
        problems.not_supported(&target.child("kind"), kind, &["Node", "<empty>"]);
    }
    if tree::str(binding, "target.name").is_empty() {
        problems.required(&target.child("name"), "");
    }
    match problems.is_empty() {
        true => Ok(()),
        // Upstream answers with the bare list here.
        false => Err(Status::failure(422, "", problems.message())),
    }
}

/// The pod on its node.
fn bound(pods: &Kind, pod: &Value, binding: &Value, now: &str) -> Made {
    let name = meta::name(pod);
    let conflict = |why: String| Status::conflict(pods.group, "pods/binding", name, &why);
    if meta::is_deleting(pod) {
        return Err(conflict(format!("pod {name} is being deleted, cannot be assigned to a host")));
    }
    let node = tree::str(pod, "spec.nodeName");
    if !node.is_empty() {
        return Err(conflict(format!("pod {name} is already assigned to node {node:?}")));
    }
    if !tree::items(pod, "spec.schedulingGates").is_empty() {
        return Err(conflict(format!("pod {name} has non-empty .spec.schedulingGates")));
    }
    let mut new = pod.clone();
    tree::set(&mut new, "spec.nodeName", tree::str(binding, "target.name"));
    for (key, value) in meta::annotations(binding).as_object().into_iter().flatten() {
        meta::set_annotation(&mut new, key, value.as_str().unwrap_or_default());
    }
    // Since 1.35 the labels of a binding that say where the node is come along too.
    for (key, value) in meta::labels(binding).as_object().into_iter().flatten() {
        if key.starts_with("topology.kubernetes.io/") {
            meta::set_label(&mut new, key, value.as_str().unwrap_or_default());
        }
    }
    scheduled(&mut new, now);
    // What the binding says of the pod's identity are preconditions.
    for (field, at) in [("uid", "metadata.uid"), ("resourceVersion", "metadata.resourceVersion")] {
        if let Some(text) = binding["metadata"][field].as_str().filter(|text| !text.is_empty()) {
            tree::set(&mut new, at, text);
        }
    }
    Ok((new, Vec::new()))
}

/// Sets the condition PodScheduled.
fn scheduled(pod: &mut Value, now: &str) {
    let mut conditions = tree::items(pod, "status.conditions").to_vec();
    let condition = json!({"type": "PodScheduled", "status": "True", "lastProbeTime": null, "lastTransitionTime": now});
    match conditions.iter_mut().find(|c| c["type"] == "PodScheduled") {
        Some(old) if old["status"] == "True" => {
            old.as_object_mut().map(|c| (c.remove("reason"), c.remove("message")));
        }
        Some(old) => *old = condition,
        None => conditions.push(condition),
    }
    tree::set(pod, "status.conditions", conditions);
}
