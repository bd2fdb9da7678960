//! What every cluster has from its first second on: Service `kubernetes` with its endpoints, and Service `kube-dns`.
//!
//! Each object has a key of its own, looked at from the start and whenever somebody changes it.

mod api_service;
mod dns;

pub use api_service::{ApiService, SERVER};
pub use dns::ClusterDns;

use control::{Target, Typed, Write};
use machinery::patch::merge_diff;
use serde_json::Value;

/// The write that makes sure of a tree: creates the object, or patches what `wanted` names and is otherwise.
fn ensure<T: Typed>(held: Option<&T>, wanted: Value) -> Option<Write> {
    let Some(held) = held else { return Some(Write::create::<T>(wanted)) };
    let now = serde_json::to_value(held).ok()?;
    let wanted = present(&wanted, &now);
    let differences = named(&wanted, &merge_diff(&now, &wanted));
    (!differences.is_null()).then(|| Write::patch(Target::exactly(held), differences))
}

/// What is wanted without the empty lists and maps that are not there anyway: absent is how they are stored.
fn present(wanted: &Value, now: &Value) -> Value {
    let Some(fields) = wanted.as_object() else { return wanted.clone() };
    let is_empty = |value: &Value| {
        value.as_array().is_some_and(Vec::is_empty) || value.as_object().is_some_and(serde_json::Map::is_empty)
    };
    let kept = fields.iter().filter(|(key, value)| !(is_empty(value) && now.get(*key).is_none()));
    Value::Object(
        kept.map(|(key, value)| (key.clone(), present(value, now.get(key).unwrap_or(&Value::Null)))).collect(),
    )
}

/// Of a difference only what `wanted` names: the rest is somebody else's. Null when nothing is left.
fn named(wanted: &Value, difference: &Value) -> Value {
    let (Some(wanted), Some(difference)) = (wanted.as_object(), difference.as_object()) else {
        return difference.clone();
    };
    let kept = difference.iter().filter_map(|(key, value)| {
        let kept = named(wanted.get(key)?, value);
        (!kept.is_null()).then(|| (key.clone(), kept))
    });
    let kept: serde_json::Map<_, _> = kept.collect();
    if kept.is_empty() { Value::Null } else { Value::Object(kept) }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Service;
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_is_named_is_put_right() {
        let service: Service = serde_json::from_value(json!({
            "metadata": { "name": "a", "labels": { "mine": "x", "theirs": "y" } },
            "spec": { "clusterIP": "10.0.0.1", "type": "ClusterIP" },
        }))
        .unwrap();
        let wanted =
            json!({ "metadata": { "name": "a", "labels": { "mine": "x" } }, "spec": { "clusterIP": "10.0.0.1" } });
        assert_eq!(ensure(Some(&service), wanted), None);
        let wanted = json!({ "metadata": { "labels": { "mine": "z" } } });
        let control::Act::Patch { tree, .. } = ensure(Some(&service), wanted).unwrap().act else { panic!("no patch") };
        assert_eq!(tree, json!({ "metadata": { "labels": { "mine": "z" } } }));
    }
}
