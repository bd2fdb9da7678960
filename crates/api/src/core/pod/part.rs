//! The subresources of a pod that are the pod with one part open: `ephemeralcontainers` and `resize`.

use machinery::field::Problems;
use machinery::{meta, tree};
use serde_json::Value;

use super::qos;
use crate::core::pod_spec::{MIRROR_ANNOTATION, resources};
use crate::cursor::Field;
use crate::difference::difference;
use crate::status::put_back;

// === ephemeralcontainers ===

pub fn open_ephemeral_containers(new: &mut Value, old: &Value) {
    let containers = tree::get(new, "spec.ephemeralContainers").clone();
    let revision = tree::get(new, "metadata.resourceVersion").clone();
    *new = old.clone();
    match containers {
        Value::Null => {
            tree::remove(new, "spec.ephemeralContainers");
        }
        containers => tree::set(new, "spec.ephemeralContainers", containers),
    }
    tree::set(new, "metadata.resourceVersion", revision);
}

pub fn validate_ephemeral_containers(new: &Value, old: &Value, problems: &mut Problems) {
    if meta::annotation(old, MIRROR_ANNOTATION).is_some() {
        return Field::root(new).forbidden(problems, "static pods do not support ephemeral containers");
    }
    (super::KIND.validate)(new, problems);
    let root = Field::root(new);
    let containers = root.get("spec.ephemeralContainers");
    for before in tree::items(old, "spec.ephemeralContainers") {
        let name = before["name"].as_str().unwrap_or("");
        match containers.items().find(|c| c.get("name").str() == name) {
            None => {
                containers.forbidden(problems, format!("existing ephemeral containers {name:?} may not be removed\n"))
            }
            Some(now) if now.value != before => {
                let diff = difference("core.EphemeralContainer", before, now.value);
                let detail = format!("existing ephemeral containers {name:?} may not be changed\n{diff}");
                containers.forbidden(problems, detail);
            }
            Some(_) => {}
        }
    }
}

// === resize ===

/// Resources and how containers take to new ones are open, in containers that are there.
pub fn open_resources(new: &mut Value, old: &Value) {
    let asked = std::mem::replace(new, old.clone());
    put_back(new, &asked, "metadata.resourceVersion");
    for list in ["containers", "initContainers"] {
        for container in tree::items_mut(new, &format!("spec.{list}")) {
            let wanted = tree::items(&asked["spec"], list).iter().find(|c| c["name"] == container["name"]);
            if let Some(wanted) = wanted {
                put_back(container, wanted, "resources");
                put_back(container, wanted, "resizePolicy");
            }
        }
    }
}

pub fn validate_resize(new: &Value, old: &Value, problems: &mut Problems) {
    (super::KIND.validate)(new, problems);
    let root = Field::root(new);
    if meta::annotation(old, MIRROR_ANNOTATION).is_some() {
        return root.forbidden(problems, "static pods cannot be resized");
    }
    if qos::class(new) != tree::str(old, "status.qosClass") && !tree::str(old, "status.qosClass").is_empty() {
        let metadata = root.get("metadata");
        metadata.invalid_as(problems, qos::class(new), "Pod QOS Class may not change as a result of resizing");
    }
    for list in ["containers", "initContainers"] {
        let list_path = format!("spec.{list}");
        let containers = root.get(&list_path);
        for (container, before) in containers.items().zip(tree::items(old, &list_path)) {
            only_cpu_and_memory(&container, before, problems);
        }
    }
}

fn only_cpu_and_memory(container: &Field, before: &Value, problems: &mut Problems) {
    for list in ["limits", "requests"] {
        let (now, old) = (container.get("resources").value, &before["resources"]);
        let rest = |resources: &Value| {
            let entries = tree::get(resources, list).as_object().cloned().unwrap_or_default();
            entries.into_iter().filter(|(name, _)| !matches!(name.as_str(), "cpu" | "memory")).collect::<Vec<_>>()
        };
        if rest(now) != rest(old) {
            container.get("resources").forbidden(problems, "only cpu and memory resources are mutable");
            return;
        }
        let removed = ["cpu", "memory"]
            .into_iter()
            .any(|name| !tree::get(old, list)[name].is_null() && tree::get(now, list)[name].is_null());
        if removed {
            let at = container.get("resources");
            at.get(list).forbidden(problems, format!("resource {list} cannot be removed"));
        }
    }
    for (name, quantity) in container.get("resources.requests").entries() {
        resources::quantity(name, &quantity, problems);
    }
}
