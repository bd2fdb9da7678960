//! What RoleBinding and ClusterRoleBinding share: subjects, the role that they are given, cells.

use jiff::Timestamp;
use machinery::field::Problems;
use machinery::tree;
use serde_json::Value;

use super::GROUP;
use crate::column;
use crate::cursor::Field;
use crate::kind::Column;
use crate::rule;

pub const COLUMNS: &[Column] = &[
    column::NAME,
    column::text(
        "Role",
        "RoleRef can reference a Role in the current namespace or a ClusterRole in the global namespace.",
    ),
    column::AGE,
    column::wide("Users", "Users in the binding"),
    column::wide("Groups", "Groups in the binding"),
    column::wide("ServiceAccounts", "ServiceAccounts in the binding"),
];

pub fn set_defaults(object: &mut Value) {
    if tree::str(object, "roleRef.apiGroup").is_empty() {
        tree::set(object, "roleRef.apiGroup", GROUP);
    }
    for subject in tree::items_mut(object, "subjects") {
        let named = matches!(tree::str(subject, "kind"), "User" | "Group");
        if named && tree::str(subject, "apiGroup").is_empty() {
            tree::set(subject, "apiGroup", GROUP);
        }
    }
}

pub fn validate(object: &Value, kinds: &[&str], namespaced: bool, problems: &mut Problems) {
    let root = Field::root(object);
    let role = root.get("roleRef");
    rule::one_of(&role.get("apiGroup"), &[GROUP], problems);
    rule::one_of(&role.get("kind"), kinds, problems);
    if rule::required(&role.get("name"), problems) {
        rule::path_segment(&role.get("name"), problems);
    }
    for subject in root.get("subjects").items() {
        self::subject(&subject, namespaced, problems);
    }
}

fn subject(subject: &Field, namespaced: bool, problems: &mut Problems) {
    let (name, group) = (subject.get("name"), subject.get("apiGroup"));
    rule::required(&name, problems);
    match subject.get("kind").str() {
        "ServiceAccount" => {
            if !name.is_empty() {
                rule::dns_subdomain(&name, problems);
            }
            if !group.is_empty() {
                group.not_supported(problems, &[""]);
            }
            if !namespaced {
                rule::required(&subject.get("namespace"), problems);
            }
        }
        "User" | "Group" => rule::one_of(&group, &[GROUP], problems),
        _ => subject.get("kind").not_supported(problems, &["ServiceAccount", "User", "Group"]),
    }
}

/// A binding is for one role: another role is another binding.
pub fn validate_update(new: &Value, old: &Value, problems: &mut Problems) {
    if new["roleRef"] != old["roleRef"] {
        Field::root(new).get("roleRef").invalid(problems, "cannot change roleRef");
    }
}

pub fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let of = |kind: &str| -> Value {
        let subjects = tree::items(object, "subjects").iter().filter(|s| s["kind"] == kind);
        let names: Vec<_> = subjects.map(|s| subject_cell(s, kind)).collect();
        names.join(", ").into()
    };
    let role = format!("{}/{}", tree::str(object, "roleRef.kind"), tree::str(object, "roleRef.name"));
    vec![column::name(object), role.into(), column::age(object, now), of("User"), of("Group"), of("ServiceAccount")]
}

fn subject_cell(subject: &Value, kind: &str) -> String {
    let (namespace, name) = (tree::str(subject, "namespace"), tree::str(subject, "name"));
    if kind == "ServiceAccount" && !namespace.is_empty() { format!("{namespace}/{name}") } else { name.to_owned() }
}
