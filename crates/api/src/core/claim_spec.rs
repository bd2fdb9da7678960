//! The spec of a claim for storage, in a PersistentVolumeClaim and in templates of one.

use machinery::field::Problems;

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
    let storage = spec.get("resources.requests");
    match storage.key("storage") {
        storage if storage.is_set() => {
            resources::quantity("storage", &storage, problems);
            if rule::quantity(&storage).is_some_and(|q| q.is_zero()) {
                storage.invalid(problems, "must be greater than zero");
            }
        }
        storage => storage.required(problems, ""),
    }
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
    data_source(&spec.get("dataSource"), problems);
    data_source(&spec.get("dataSourceRef"), problems);
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
    let once_pod = modes.items().any(|m| m.str() == "ReadWriteOncePod");
    if once_pod && modes.len() > 1 {
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
    if core && !source.get("kind").is_empty() && source.get("kind").str() != "PersistentVolumeClaim" {
        source.invalid(problems, "must be 'PersistentVolumeClaim' when referencing the default apiGroup");
    }
}
