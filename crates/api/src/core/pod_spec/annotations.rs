//! Annotations of pods that mean something: mirror pods, old seccomp and AppArmor profiles, deletion cost.

use machinery::field::Problems;
use serde_json::Value;

use super::CONTAINER_LISTS;
use crate::cursor::Field;

pub const MIRROR: &str = "kubernetes.io/config.mirror";
pub const SECCOMP_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
pub const SECCOMP_CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";
pub const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// `annotations` of a pod or template with this spec.
pub fn specific(annotations: &Field, spec: &Field, problems: &mut Problems) {
    for (key, value) in annotations.entries() {
        let text = value.str();
        match key {
            MIRROR if spec.get("nodeName").is_empty() => {
                value.invalid(problems, "must set spec.nodeName if mirror pod annotation is set");
            }
            DELETION_COST if !is_cost(text) => value.invalid(problems, "must be a 32bit integer"),
            SECCOMP_POD => seccomp_value(text, key, annotations, problems),
            _ if key.starts_with(SECCOMP_CONTAINER) => seccomp_value(text, key, annotations, problems),
            _ => {}
        }
        if let Some(container) = key.strip_prefix(APP_ARMOR) {
            app_armor(&value, container, spec, problems);
        }
    }
}

/// A 32-bit number without a sign or zeros in front.
fn is_cost(text: &str) -> bool {
    let odd = text.starts_with('+') || text.starts_with("-0") || (text.len() > 1 && text.starts_with('0'));
    !odd && text.parse::<i32>().is_ok()
}

/// Upstream's path is `annotations.KEY` here, not `annotations[KEY]`.
fn seccomp_value(text: &str, key: &str, annotations: &Field, problems: &mut Problems) {
    let at = annotations.path().child(key);
    match text.strip_prefix("localhost/") {
        _ if matches!(text, "runtime/default" | "docker/default" | "unconfined") => {}
        Some(path) if path.starts_with('/') => problems.invalid(&at, path, "must be a relative path"),
        Some(path) if path.split('/').any(|step| step == "..") => {
            problems.invalid(&at, path, "must not contain '..'");
        }
        Some(_) => {}
        None => problems.invalid(&at, text, "must be a valid seccomp profile"),
    }
}

fn app_armor(value: &Field, container: &str, spec: &Field, problems: &mut Problems) {
    let known = super::all_containers(spec.value).any(|c| c["name"] == container);
    if !known {
        value.invalid_as(problems, container, "container not found");
    }
    let text = value.str();
    let valid = matches!(text, "" | "runtime/default" | "unconfined") || text.starts_with("localhost/");
    if !valid {
        value.invalid(problems, format!("invalid AppArmor profile name: {text:?}"));
    }
}

/// On update: mirror pods stay what they are, and AppArmor annotations stay.
pub fn unchanged(new: &Field, old: &Field, problems: &mut Problems) {
    for (key, before) in old.entries() {
        if new.key(key).value == before.value {
            continue;
        }
        if key.starts_with(APP_ARMOR) {
            new.key(key).forbidden(problems, "may not remove or update AppArmor annotations");
        }
        if key == MIRROR {
            new.key(key).forbidden(problems, "may not remove or update mirror pod annotation");
        }
    }
    for (key, added) in new.entries().filter(|(key, _)| !old.key(key).is_set()) {
        if key.starts_with(APP_ARMOR) {
            added.forbidden(problems, "may not add AppArmor annotations");
        }
        if key == MIRROR {
            added.forbidden(problems, "may not add mirror pod annotation");
        }
    }
}

/// Where a profile is given by an old annotation and by the field, they agree.
pub fn fields_agree(annotations: &Value, spec: &Field, problems: &mut Problems) {
    if annotations.as_object().is_none_or(serde_json::Map::is_empty) {
        return;
    }
    let context = spec.get("securityContext.seccompProfile");
    if let Some(annotation) = annotations[SECCOMP_POD].as_str() {
        agrees(annotation, &context, "seccomp", problems);
    }
    for list in CONTAINER_LISTS {
        for container in spec.get(list).items() {
            let name = container.get("name").str();
            if let Some(annotation) = annotations[format!("{SECCOMP_CONTAINER}{name}")].as_str() {
                agrees(annotation, &container.get("securityContext.seccompProfile"), "seccomp", problems);
            }
            if let Some(annotation) = annotations[format!("{APP_ARMOR}{name}")].as_str() {
                agrees(annotation, &container.get("securityContext.appArmorProfile"), "apparmor", problems);
            }
        }
    }
}

fn agrees(annotation: &str, profile: &Field, noun: &str, problems: &mut Problems) {
    let local = annotation.strip_prefix("localhost/");
    let same_type = match profile.get("type").str() {
        "Unconfined" => annotation == "unconfined",
        "RuntimeDefault" => annotation == "runtime/default" || (noun == "seccomp" && annotation == "docker/default"),
        "Localhost" => local.is_some(),
        _ => true,
    };
    if !same_type {
        let detail = format!("{noun} type in annotation and field must match");
        profile.get("type").forbidden(problems, detail);
    } else if profile.get("type").str() == "Localhost" && local != Some(profile.get("localhostProfile").str()) {
        let detail = format!("{noun} profile in annotation and field must match");
        profile.get("localhostProfile").forbidden(problems, detail);
    }
}
