//! NodeRestriction: a node changes itself, its lease and its pods, and nothing else.

use std::collections::BTreeSet;

use machinery::status::Status;
use machinery::{meta, tree};
use serde_json::Value;

use super::{Asked, Operation, Patch, Refusal, View};

const MIRROR: &str = "kubernetes.io/config.mirror";
const LEASES: &str = "kube-node-lease";
const RESTRICTED: &str = "node-restriction.kubernetes.io";

/// Labels of Kubernetes' own that a kubelet sets on its node.
const KUBELET_LABELS: &[&str] = &[
    "kubernetes.io/hostname",
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
    "node.kubernetes.io/instance-type",
    "beta.kubernetes.io/instance-type",
    "kubernetes.io/os",
    "kubernetes.io/arch",
    "beta.kubernetes.io/os",
    "beta.kubernetes.io/arch",
];
const KUBELET_LABEL_SPACES: &[&str] = &["kubelet.kubernetes.io", "node.kubernetes.io"];

pub fn admit(asked: &Asked<'_>, view: &View<'_>) -> Result<Patch, Refusal> {
    if !asked.user.in_group("system:nodes") {
        return Ok(Patch::new());
    }
    let Some(node) = asked.user.node().filter(|name| !name.is_empty()) else {
        return Err(asked.forbidden(&format!("could not determine node from user {:?}", asked.user.name)));
    };
    let judged =
        match (asked.kind.group, asked.kind.plural, asked.subresource) {
            ("", "pods", "") => pod(node, asked, view),
            ("", "pods", "status") => pod_status(node, asked),
            ("", "pods", "eviction") => pod_eviction(node, asked, view),
            ("", "pods", other) => Err(asked
                .forbidden(&format!("unexpected pod subresource {other:?}, only 'status' and 'eviction' are allowed"))),
            ("", "nodes", _) => own_node(node, asked),
            ("", "persistentvolumeclaims", "status") => claim_status(node, asked),
            ("", "persistentvolumeclaims", _) => Err(asked.forbidden("may only update PVC status")),
            ("", "serviceaccounts", "token") if asked.operation == Operation::Create => token(node, asked, view),
            ("coordination.k8s.io", "leases", _) => lease(node, asked),
            ("storage.k8s.io", "csinodes", _) if subject(asked) != node => {
                Err(asked.forbidden("can only access CSINode with the same name as the requesting node"))
            }
            _ => Ok(()),
        };
    judged.map(|()| Patch::new())
}

/// The name of the object: on create the one that it brings.
fn subject<'a>(asked: &'a Asked<'_>) -> &'a str {
    if asked.name.is_empty() { meta::name(asked.object) } else { asked.name }
}

fn pod(node: &str, asked: &Asked<'_>, view: &View<'_>) -> Result<(), Refusal> {
    match asked.operation {
        Operation::Create => mirror_pod(node, asked, view),
        Operation::Delete => {
            let pod = existing_pod(asked, view, asked.name)?;
            match tree::str(&pod, "spec.nodeName") == node {
                true => Ok(()),
                false => {
                    let why = format!("node {node:?} can only delete pods with spec.nodeName set to itself");
                    Err(asked.forbidden(&why))
                }
            }
        }
        other => Err(asked.forbidden(&format!(
            "unexpected operation {:?}, node {node:?} can only create and delete mirror pods",
            other.name()
        ))),
    }
}

fn existing_pod(asked: &Asked<'_>, view: &View<'_>, name: &str) -> Result<std::sync::Arc<Value>, Refusal> {
    let pod = view.get("core/pods", asked.namespace, name);
    pod.ok_or_else(|| Refusal::Denied(Status::not_found("", "pods", name)))
}

fn mirror_pod(node: &str, asked: &Asked<'_>, view: &View<'_>) -> Result<(), Refusal> {
    let pod = asked.object;
    let refuse = |why: String| Err(asked.forbidden(&why));
    if meta::annotation(pod, MIRROR).is_none() {
        return refuse(format!("pod does not have {MIRROR:?} annotation, node {node:?} can only create mirror pods"));
    }
    if tree::str(pod, "spec.nodeName") != node {
        return refuse(format!("node {node:?} can only create pods with spec.nodeName set to itself"));
    }
    let owners: Vec<_> = meta::owners(pod).collect();
    let [owner] = owners.as_slice() else {
        let single = if owners.is_empty() { "an owner reference" } else { "a single owner reference" };
        return refuse(format!("node {node:?} can only create pods with {single} set to itself"));
    };
    if owner.api_version != "v1" || owner.kind != "Node" || owner.name != node {
        return refuse(format!("node {node:?} can only create pods with an owner reference set to itself"));
    }
    if !owner.controller {
        return refuse(format!("node {node:?} can only create pods with a controller owner reference set to itself"));
    }
    if owner.block_owner_deletion {
        return refuse(format!("node {node:?} must not set blockOwnerDeletion on an owner reference"));
    }
    let Some(own) = view.get("core/nodes", "", node) else {
        return Err(Refusal::Denied(Status::not_found("", "nodes", node)));
    };
    if meta::uid(&own) != owner.uid {
        return refuse(format!("node {node} UID mismatch: expected {} got {}", owner.uid, meta::uid(&own)));
    }
    mirror_pod_references(node, asked)
}

fn mirror_pod_references(node: &str, asked: &Asked<'_>) -> Result<(), Refusal> {
    let pod = asked.object;
    let claims = tree::items(pod, "spec.volumes").iter().any(|v| !v["persistentVolumeClaim"].is_null());
    let uses = [
        (!tree::str(pod, "spec.serviceAccountName").is_empty(), "a service account"),
        (names_secrets(pod), "secrets"),
        (names_config_maps(pod), "configmaps"),
        (claims, "persistentvolumeclaims"),
    ];
    match uses.iter().find(|(uses, _)| *uses) {
        Some((_, what)) => Err(asked.forbidden(&format!("node {node:?} can not create pods that reference {what}"))),
        None => Ok(()),
    }
}

fn environment(pod: &Value) -> impl Iterator<Item = &Value> {
    let lists = ["spec.initContainers", "spec.containers", "spec.ephemeralContainers"];
    let containers = lists.into_iter().flat_map(|list| tree::items(pod, list));
    containers.flat_map(|c| tree::items(c, "env").iter().chain(tree::items(c, "envFrom")))
}

/// Whether any part of a pod names a Secret.
pub fn names_secrets(pod: &Value) -> bool {
    const SOURCES: &[&str] = &["cephfs", "flexVolume", "iscsi", "rbd", "scaleIO", "storageos"];
    let volume = |v: &Value| {
        let plain = !v["secret"].is_null() || !v["azureFile"]["secretName"].is_null();
        let referred = SOURCES.iter().any(|s| !v[*s]["secretRef"].is_null());
        let driver = !v["csi"]["nodePublishSecretRef"].is_null();
        plain || referred || driver || tree::items(v, "projected.sources").iter().any(|s| !s["secret"].is_null())
    };
    let variable = |e: &Value| !e["valueFrom"]["secretKeyRef"].is_null() || !e["secretRef"].is_null();
    let pulls = !tree::items(pod, "spec.imagePullSecrets").is_empty();
    pulls || tree::items(pod, "spec.volumes").iter().any(volume) || environment(pod).any(variable)
}

fn names_config_maps(pod: &Value) -> bool {
    let volume = |v: &Value| {
        !v["configMap"].is_null() || tree::items(v, "projected.sources").iter().any(|s| !s["configMap"].is_null())
    };
    let variable = |e: &Value| !e["valueFrom"]["configMapKeyRef"].is_null() || !e["configMapRef"].is_null();
    tree::items(pod, "spec.volumes").iter().any(volume) || environment(pod).any(variable)
}

fn pod_status(node: &str, asked: &Asked<'_>) -> Result<(), Refusal> {
    if asked.operation != Operation::Update {
        return Err(asked.forbidden(&format!("unexpected operation {:?}", asked.operation.name())));
    }
    if tree::str(asked.old, "spec.nodeName") != node {
        let why = format!("node {node:?} can only update pod status for pods with spec.nodeName set to itself");
        return Err(asked.forbidden(&why));
    }
    if !modified_labels(asked.object, asked.old).is_empty() {
        return Err(asked.forbidden(&format!("node {node:?} cannot update labels through pod status")));
    }
    let claims = "status.resourceClaimStatuses";
    if tree::items(asked.object, claims) != tree::items(asked.old, claims) {
        return Err(asked.forbidden(&format!("node {node:?} cannot update resource claim statues")));
    }
    Ok(())
}

/// A node reports the size and the conditions of a claim, and nothing else.
fn claim_status(node: &str, asked: &Asked<'_>) -> Result<(), Refusal> {
    if asked.operation != Operation::Update {
        return Err(asked.forbidden(&format!("unexpected operation {:?}", asked.operation.name())));
    }
    let fixed = |claim: &Value| {
        let mut claim = claim.clone();
        tree::set(&mut claim, "metadata.resourceVersion", "");
        for open in ["capacity", "conditions", "allocatedResourceStatuses", "allocatedResources"] {
            tree::remove(&mut claim, &format!("status.{open}"));
        }
        tree::remove(&mut claim, "metadata.managedFields");
        claim
    };
    match fixed(asked.object) == fixed(asked.old) {
        true => Ok(()),
        false => Err(asked.forbidden(&format!(
            "node {node:?} is not allowed to update fields other than status.capacity and status.conditions"
        ))),
    }
}

fn pod_eviction(node: &str, asked: &Asked<'_>, view: &View<'_>) -> Result<(), Refusal> {
    if asked.operation != Operation::Create {
        return Err(asked.forbidden(&format!("unexpected operation {}", asked.operation.name())));
    }
    let pod = existing_pod(asked, view, subject(asked))?;
    match tree::str(&pod, "spec.nodeName") == node {
        true => Ok(()),
        false => Err(asked.forbidden(&format!("node {node} can only evict pods with spec.nodeName set to itself"))),
    }
}

fn own_node(node: &str, asked: &Asked<'_>) -> Result<(), Refusal> {
    let name = subject(asked);
    if name != node {
        return Err(asked.forbidden(&format!("node {node:?} is not allowed to modify node {name:?}")));
    }
    if asked.operation == Operation::Update && asked.object["spec"]["taints"] != asked.old["spec"]["taints"] {
        return Err(asked.forbidden(&format!("node {node:?} is not allowed to modify taints")));
    }
    if !matches!(asked.operation, Operation::Create | Operation::Update) {
        return Ok(());
    }
    let forbidden: Vec<_> =
        modified_labels(asked.object, asked.old).into_iter().filter(|label| !may_label(label)).collect();
    match (forbidden.is_empty(), asked.operation) {
        (true, _) => Ok(()),
        (false, Operation::Create) => Err(asked
            .forbidden(&format!("node {node:?} is not allowed to set the following labels: {}", forbidden.join(", ")))),
        (false, _) => Err(asked.forbidden(&format!("is not allowed to modify labels: {}", forbidden.join(", ")))),
    }
}

/// The keys of labels that differ, sorted.
fn modified_labels(new: &Value, old: &Value) -> BTreeSet<String> {
    let (new, old) = (meta::labels(new), meta::labels(old));
    let keys = [new, old].into_iter().filter_map(Value::as_object).flat_map(|map| map.keys());
    keys.filter(|key| new.get(key.as_str()) != old.get(key.as_str())).cloned().collect()
}

fn may_label(label: &str) -> bool {
    let space = label.split_once('/').map_or("", |(space, _)| space);
    let within = |root: &str| space == root || space.strip_suffix(root).is_some_and(|rest| rest.ends_with('.'));
    if within(RESTRICTED) {
        return false;
    }
    let own = KUBELET_LABELS.contains(&label) || KUBELET_LABEL_SPACES.iter().any(|root| within(root));
    own || !(within("kubernetes.io") || within("k8s.io"))
}

/// A node gets tokens only for pods that it runs.
fn token(node: &str, asked: &Asked<'_>, view: &View<'_>) -> Result<(), Refusal> {
    let bound = &asked.object["spec"]["boundObjectRef"];
    let text = |field: &str| bound[field].as_str().unwrap_or_default();
    if text("apiVersion") != "v1" || text("kind") != "Pod" || text("name").is_empty() {
        return Err(asked.forbidden("node requested token not bound to a pod"));
    }
    if text("uid").is_empty() {
        return Err(asked.forbidden("node requested token with a pod binding without a uid"));
    }
    let pod = existing_pod(asked, view, text("name"))?;
    if meta::uid(&pod) != text("uid") {
        return Err(asked.forbidden(&format!(
            "the UID in the bound object reference ({}) does not match the UID in record. The object might have been \
             deleted and then recreated",
            text("uid")
        )));
    }
    match tree::str(&pod, "spec.nodeName") == node {
        true => Ok(()),
        false => Err(asked.forbidden("node requested token bound to a pod scheduled on a different node")),
    }
}

fn lease(node: &str, asked: &Asked<'_>) -> Result<(), Refusal> {
    if asked.namespace != LEASES {
        return Err(asked.forbidden(&format!("can only access leases in the {LEASES:?} system namespace")));
    }
    match subject(asked) == node {
        true => Ok(()),
        false => Err(asked.forbidden("can only access node lease with the same name as the requesting node")),
    }
}
