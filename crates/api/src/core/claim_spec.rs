//! The spec of a claim for storage, in a PersistentVolumeClaim and in templates of one.

use machinery::field::Problems;
use machinery::{meta, tree};
use serde_json::Value;

use crate::cursor::Field;
use crate::fill::{self, Tree};
use crate::rule;

use super::pod_spec::resources;

pub const ACCESS_MODES: [&str; 4] = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];

pub fn defaults(spec: &mut Tree) {
    fill::absent(spec, "volumeMode", "Filesystem");
    if let Some(resources) = fill::map(spec, "resources") {
        fill::milli(resources, "limits");
        fill::milli(resources, "requests");
    }
}

pub fn validate(spec: &Field, problems: &mut Problems) {
    access_modes(&spec.get("accessModes"), problems);
    let selector = spec.get("selector");
    if selector.is_set() {
        rule::label_selector(&selector, problems);
    }
    storage(spec, problems);
    if !spec.get("storageClassName").is_empty() {
        rule::dns_subdomain(&spec.get("storageClassName"), problems);
    }
    let mode = spec.get("volumeMode");
    if mode.is_set() {
        rule::one_of(&mode, &["Block", "Filesystem"], problems);
    }
    if !spec.get("volumeAttributesClassName").is_empty() {
        rule::dns_subdomain(&spec.get("volumeAttributesClassName"), problems);
    }
    data_sources(spec, problems);
}

fn data_sources(spec: &Field, problems: &mut Problems) {
    let (source, reference) = (spec.get("dataSource"), spec.get("dataSourceRef"));
    data_source(&source, problems);
    data_source(&reference, problems);
    let namespace = reference.get("namespace");
    if !namespace.is_empty() {
        rule::dns_label(&namespace, problems);
    }
    if !source.is_set() || !reference.is_set() {
        return;
    }
    let shown = source.path().to_string();
    if !namespace.is_empty() {
        spec.invalid_as(problems, shown, "may not be specified when dataSourceRef.namespace is specified");
    } else if ["apiGroup", "kind", "name"].iter().any(|f| source.get(f).value != reference.get(f).value) {
        spec.invalid_as(problems, shown, "must match dataSourceRef");
    }
}

/// Upstream's path is `resources[storage]`.
fn storage(spec: &Field, problems: &mut Problems) {
    let resources = spec.get("resources");
    let storage = resources.key("storage");
    let storage = storage.with(&spec.get("resources.requests").value["storage"]);
    match rule::quantity(&storage) {
        None => storage.required(problems, ""),
        Some(quantity) if quantity.sign() <= 0 => {
            storage.invalid_as(problems, quantity.to_string(), "must be greater than zero");
        }
        Some(_) => resources::quantity("storage", &storage, problems),
    }
}

pub fn access_modes(modes: &Field, problems: &mut Problems) {
    if modes.is_empty() {
        modes.required(problems, "at least 1 access mode is required");
    }
    for mode in modes.items() {
        if !ACCESS_MODES.contains(&mode.str()) {
            modes.with(mode.value).not_supported(problems, &ACCESS_MODES);
        }
    }
    once_pod_is_alone(modes, problems);
}

fn once_pod_is_alone(modes: &Field, problems: &mut Problems) {
    let once_pod = modes.items().any(|m| m.str() == "ReadWriteOncePod");
    if once_pod && modes.items().any(|m| m.str() != "ReadWriteOncePod") {
        modes.forbidden(problems, "may not use ReadWriteOncePod with other access modes");
    }
}

fn data_source(source: &Field, problems: &mut Problems) {
    if !source.is_set() {
        return;
    }
    for field in ["name", "kind"] {
        if source.get(field).is_empty() {
            source.get(field).required(problems, "");
        }
    }
    let core = source.get("apiGroup").is_empty();
    let kind = source.get("kind").str();
    if core && kind != "PersistentVolumeClaim" {
        source.invalid_as(problems, kind, "must be 'PersistentVolumeClaim' when referencing the default apiGroup");
    }
}

// === cells ===

/// `RWO,ROX,RWX,RWOP`, always in this order.
pub fn modes_cell(modes: &[Value]) -> String {
    const SHORT: [(&str, &str); 4] =
        [("ReadWriteOnce", "RWO"), ("ReadOnlyMany", "ROX"), ("ReadWriteMany", "RWX"), ("ReadWriteOncePod", "RWOP")];
    let there: Vec<_> = SHORT.iter().filter(|(mode, _)| modes.iter().any(|m| m == mode)).map(|(_, s)| *s).collect();
    there.join(",")
}

pub fn phase_cell(object: &Value) -> &str {
    if meta::is_deleting(object) { "Terminating" } else { tree::str(object, "status.phase") }
}

/// The class by its old annotation, or by the field.
pub fn class_cell(object: &Value) -> &str {
    let annotation = meta::annotation(object, "volume.beta.kubernetes.io/storage-class");
    annotation.unwrap_or_else(|| tree::str(object, "spec.storageClassName"))
}
