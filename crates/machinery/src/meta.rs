//! `metadata` of a tree: names, labels, owners, finalizers. Reading only what is there; rules are in `validation`.
//!
//! Source: <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/object-meta/>.

use serde_json::{Value, json};

use crate::names::GroupVersion;
use crate::tree;

pub fn kind(tree: &Value) -> &str {
    tree["kind"].as_str().unwrap_or("")
}

pub fn api_version(tree: &Value) -> &str {
    tree["apiVersion"].as_str().unwrap_or("")
}

fn text<'a>(tree: &'a Value, name: &str) -> &'a str {
    tree["metadata"][name].as_str().unwrap_or("")
}

pub fn name(tree: &Value) -> &str {
    text(tree, "name")
}

pub fn generate_name(tree: &Value) -> &str {
    text(tree, "generateName")
}

pub fn namespace(tree: &Value) -> &str {
    text(tree, "namespace")
}

pub fn uid(tree: &Value) -> &str {
    text(tree, "uid")
}

pub fn resource_version(tree: &Value) -> &str {
    text(tree, "resourceVersion")
}

pub fn generation(tree: &Value) -> i64 {
    tree["metadata"]["generation"].as_i64().unwrap_or(0)
}

pub fn creation_timestamp(tree: &Value) -> &str {
    text(tree, "creationTimestamp")
}

/// `None` while nobody asked for the object's deletion.
pub fn deletion_timestamp(tree: &Value) -> Option<&str> {
    tree["metadata"]["deletionTimestamp"].as_str()
}

pub fn is_deleting(tree: &Value) -> bool {
    deletion_timestamp(tree).is_some()
}

/// The map of labels, or null.
pub fn labels(tree: &Value) -> &Value {
    &tree["metadata"]["labels"]
}

pub fn label<'a>(tree: &'a Value, key: &str) -> Option<&'a str> {
    tree["metadata"]["labels"][key].as_str()
}

/// The map of annotations, or null.
pub fn annotations(tree: &Value) -> &Value {
    &tree["metadata"]["annotations"]
}

pub fn annotation<'a>(tree: &'a Value, key: &str) -> Option<&'a str> {
    tree["metadata"]["annotations"][key].as_str()
}

pub fn set_label(tree: &mut Value, key: &str, value: &str) {
    tree::map_mut(tree, "metadata.labels").insert(key.to_owned(), value.into());
}

pub fn set_annotation(tree: &mut Value, key: &str, value: &str) {
    tree::map_mut(tree, "metadata.annotations").insert(key.to_owned(), value.into());
}

pub fn finalizers(tree: &Value) -> impl Iterator<Item = &str> {
    tree::items(tree, "metadata.finalizers").iter().filter_map(Value::as_str)
}

pub fn has_finalizer(tree: &Value, name: &str) -> bool {
    finalizers(tree).any(|f| f == name)
}

/// Adds a finalizer at the end unless it is there; says whether it did.
pub fn add_finalizer(tree: &mut Value, name: &str) -> bool {
    if has_finalizer(tree, name) {
        return false;
    }
    let list = tree::map_mut(tree, "metadata").entry("finalizers").or_insert(Value::Null);
    match list {
        Value::Array(items) => items.push(name.into()),
        other => *other = json!([name]),
    }
    true
}

/// Takes a finalizer out, and the list with its last one; says whether it was there.
pub fn remove_finalizer(tree: &mut Value, name: &str) -> bool {
    let Some(Value::Array(items)) = tree::get_mut(tree, "metadata.finalizers") else { return false };
    let before = items.len();
    items.retain(|f| f != name);
    let (changed, empty) = (items.len() != before, items.is_empty());
    if empty {
        tree::remove(tree, "metadata.finalizers");
    }
    changed
}

/// One `ownerReferences` entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner<'a> {
    pub api_version: &'a str,
    pub kind: &'a str,
    pub name: &'a str,
    pub uid: &'a str,
    pub controller: bool,
    pub block_owner_deletion: bool,
}

impl Owner<'_> {
    /// The group of `apiVersion`; empty for the core group and for what cannot be read.
    pub fn group(&self) -> String {
        GroupVersion::parse(self.api_version).map(|gv| gv.group).unwrap_or_default()
    }
}

pub fn owners(tree: &Value) -> impl Iterator<Item = Owner<'_>> {
    tree::items(tree, "metadata.ownerReferences").iter().map(owner)
}

/// The owner that is marked as controller.
pub fn controller(tree: &Value) -> Option<Owner<'_>> {
    owners(tree).find(|o| o.controller)
}

fn owner(reference: &Value) -> Owner<'_> {
    let text = |name: &str| reference[name].as_str().unwrap_or("");
    Owner {
        api_version: text("apiVersion"),
        kind: text("kind"),
        name: text("name"),
        uid: text("uid"),
        controller: reference["controller"].as_bool().unwrap_or(false),
        block_owner_deletion: reference["blockOwnerDeletion"].as_bool().unwrap_or(false),
    }
}

/// An `ownerReferences` entry that makes `owner` (a whole object) the controller.
pub fn controller_reference(owner: &Value) -> Value {
    json!({
        "apiVersion": api_version(owner), "kind": kind(owner), "name": name(owner), "uid": uid(owner),
        "controller": true, "blockOwnerDeletion": true,
    })
}

/// `namespace/name`, or the name alone where there is no namespace.
pub fn key(tree: &Value) -> String {
    match namespace(tree) {
        "" => name(tree).to_owned(),
        namespace => format!("{namespace}/{}", name(tree)),
    }
}
