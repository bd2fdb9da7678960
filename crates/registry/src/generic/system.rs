//! The metadata that the server keeps: names, namespaces, uids, times, owners.

use api::kind::NameRule;
use api::{Kind, Scope};
use machinery::field::Problems;
use machinery::meta;
use machinery::status::Status;
use machinery::tree::{self, At};
use machinery::validation::{
    name_is_dns1035_label, name_is_label, name_is_path_segment, name_is_subdomain, object_meta, object_meta_update,
};
use serde_json::Value;

/// Fields that a client cannot set on create.
const SERVER_FIELDS: &[&str] =
    &["creationTimestamp", "uid", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "generation"];

/// Longer prefixes are cut before the random part is put on, so that a label's length is kept.
const GENERATE_NAME_BYTES_MAX: usize = 58;

/// Takes out what a new object cannot bring along.
///
/// # Errors
/// 400 without a reason (upstream: 500): a resourceVersion was set.
pub fn wipe(tree: &mut Value) -> Result<(), Status> {
    if !matches!(meta::resource_version(tree), "" | "0") {
        return Err(Status::failure(400, "", "resourceVersion should not be set on objects to be created"));
    }
    let metadata = tree::map_mut(tree, "metadata");
    metadata.remove("resourceVersion");
    SERVER_FIELDS.iter().for_each(|field| {
        metadata.remove(*field);
    });
    Ok(())
}

/// Puts the request's namespace in, and takes out that of a cluster-scoped object.
///
/// # Errors
/// 400: the object names another namespace.
pub fn place(kind: &Kind, namespace: &str, tree: &mut Value) -> Result<(), Status> {
    let metadata = tree::map_mut(tree, "metadata");
    let given = metadata.get("namespace").and_then(Value::as_str).unwrap_or_default();
    if kind.scope == Scope::Cluster {
        metadata.remove("namespace");
        return Ok(());
    }
    if !given.is_empty() && given != namespace {
        let why = "the namespace of the provided object does not match the namespace sent on the request";
        return Err(Status::bad_request(why));
    }
    if given.is_empty() {
        metadata.insert("namespace".into(), namespace.into());
    }
    Ok(())
}

/// The name and namespace in the body of a PUT must be those of the URL.
///
/// # Errors
/// 400 in upstream's words.
pub fn same_name(namespace: &str, name: &str, tree: &Value) -> Result<(), Status> {
    let (own_namespace, own_name) = (meta::namespace(tree), meta::name(tree));
    if own_name.is_empty() {
        let why = format!("the name of the object ({name} based on URL) was undeterminable: name must be provided");
        return Err(Status::bad_request(why));
    }
    if own_name != name {
        let why = format!("the name of the object ({own_name}) does not match the name on the URL ({name})");
        return Err(Status::bad_request(why));
    }
    if !namespace.is_empty() && !own_namespace.is_empty() && own_namespace != namespace {
        return Err(Status::bad_request(format!(
            "the namespace of the object ({own_namespace}) does not match the namespace on the request ({namespace})"
        )));
    }
    Ok(())
}

/// A name from `generateName` and a random suffix, where the object has none. Says whether it made one.
pub fn name(tree: &mut Value, suffix: impl FnOnce() -> String) -> bool {
    let base = meta::generate_name(tree);
    if base.is_empty() || !meta::name(tree).is_empty() {
        return false;
    }
    let mut end = base.len().min(GENERATE_NAME_BYTES_MAX);
    while !base.is_char_boundary(end) {
        end -= 1;
    }
    let name = format!("{}{}", &base[..end], suffix());
    tree::set(tree, "metadata.name", name);
    true
}

/// Takes repeated owner references out; returns upstream's warning for them.
pub fn dedup_owners(tree: &mut Value, after_admission: bool) -> Option<String> {
    let Some(Value::Array(owners)) = tree::get_mut(tree, "metadata.ownerReferences") else { return None };
    let (mut kept, mut twice): (Vec<Value>, Vec<String>) = (Vec::new(), Vec::new());
    for owner in std::mem::take(owners) {
        match kept.contains(&owner) {
            true => twice.push(owner["uid"].as_str().unwrap_or_default().to_owned()),
            false => kept.push(owner),
        }
    }
    *owners = kept;
    let when = if after_admission { " after mutating admission happens" } else { "" };
    (!twice.is_empty()).then(|| {
        format!(
            ".metadata.ownerReferences contains duplicate entries{when}; API server dedups owner references in 1.20+, \
             and may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: {}",
            twice.join(", ")
        )
    })
}

/// The rules of metadata and of the kind, for a new object.
pub fn validate_new(kind: &Kind, tree: &Value) -> Result<(), Status> {
    let mut problems = Problems::default();
    let namespaced = kind.scope == Scope::Namespaced;
    object_meta(&At::root(tree), namespaced, rule(kind), &mut problems);
    (kind.validate)(tree, &mut problems);
    (kind.validate_create)(tree, &mut problems);
    invalid(kind, tree, &problems)
}

/// The rules of metadata for a changed object; the kind's are the caller's.
pub fn validate_metadata(new: &Value, old: &Value, problems: &mut Problems) {
    object_meta_update(&At::root(new), &At::root(old), problems);
}

pub fn invalid(kind: &Kind, tree: &Value, problems: &Problems) -> Result<(), Status> {
    match problems.is_empty() {
        true => Ok(()),
        false => Err(Status::invalid(kind.group, kind.kind, meta::name(tree), problems)),
    }
}

fn rule(kind: &Kind) -> fn(&str, bool) -> Vec<String> {
    match kind.name_rule {
        NameRule::Subdomain => name_is_subdomain,
        NameRule::Label => name_is_label,
        NameRule::Label1035 => name_is_dns1035_label,
        NameRule::PathSegment => name_is_path_segment,
        NameRule::Address => |name, _| machinery::validation::ip(name),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_name_is_generated_once_and_kept_short() {
        let mut tree = json!({"metadata": {"generateName": "a-"}});
        assert!(name(&mut tree, || "bcdfg".into()));
        assert_eq!(meta::name(&tree), "a-bcdfg");
        assert!(!name(&mut tree, || "xxxxx".into()));
        let mut long = json!({"metadata": {"generateName": "x".repeat(80)}});
        name(&mut long, || "bcdfg".into());
        assert_eq!(meta::name(&long).len(), 63);
    }

    #[test]
    fn names_and_namespaces_must_be_those_of_the_request() {
        let tree = json!({"metadata": {"name": "b", "namespace": "y"}});
        let message = |ns: &str, name: &str, tree: &Value| same_name(ns, name, tree).unwrap_err().message;
        assert_eq!(message("y", "a", &tree), "the name of the object (b) does not match the name on the URL (a)");
        let other = "the namespace of the object (y) does not match the namespace on the request (x)";
        assert_eq!(message("x", "b", &tree), other);
        let none = "the name of the object (a based on URL) was undeterminable: name must be provided";
        assert_eq!(message("x", "a", &json!({"metadata": {}})), none);
    }

    #[test]
    fn owners_are_there_once() {
        let owner = json!({"uid": "u", "name": "n"});
        let mut tree = json!({"metadata": {"ownerReferences": [owner, owner]}});
        let warning = dedup_owners(&mut tree, false).unwrap();
        assert!(warning.ends_with("duplicate UID(s) observed: u"));
        assert_eq!(tree["metadata"]["ownerReferences"].as_array().unwrap().len(), 1);
        assert_eq!(dedup_owners(&mut tree, false), None);
    }
}
