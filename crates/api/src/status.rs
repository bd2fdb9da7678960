//! The `status` of a kind between writers: users write the rest, controllers and kubelets write it.

use machinery::tree;
use serde_json::{Value, json};

/// On create: a status that a user sent is dropped. What is left is the empty object that Go would print.
pub fn clear(object: &mut Value) {
    if let Some(map) = object.as_object_mut() {
        map.insert("status".to_owned(), json!({}));
    }
}

/// On update of the main resource: the old status stays.
pub fn keep(new: &mut Value, old: &Value) {
    put_back(new, old, "status");
}

/// On update of `status`: labels stay too (Deployment's rule; elsewhere metadata may change with the status).
pub fn keep_labels(new: &mut Value, old: &Value) {
    put_back(new, old, "metadata.labels");
}

/// Puts the old value at a dotted path back, or takes the new one out where there was none.
pub fn put_back(new: &mut Value, old: &Value, dotted: &str) {
    match tree::get(old, dotted) {
        Value::Null => {
            tree::remove(new, dotted);
        }
        value => tree::set(new, dotted, value.clone()),
    }
}
