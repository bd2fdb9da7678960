//! ConfigMap: text and bytes by key, for pods to read.
//!
//! Source: <https://kubernetes.io/docs/reference/kubernetes-api/config-and-storage-resources/config-map-v1/>.

use machinery::field::Problems;
use serde_json::Value;

use crate::column;
use crate::cursor::Field;
use crate::kind::Kind;
use crate::rule;

/// Keys' values together, as stored: upstream's `MaxSecretSize`.
pub(super) const DATA_BYTES_MAX: usize = 1024 * 1024;

pub static KIND: Kind = Kind {
    kind: "ConfigMap",
    plural: "configmaps",
    singular: "configmap",
    short_names: &["cm"],
    definition: "io.k8s.api.core.v1.ConfigMap",
    validate,
    validate_update,
    columns: &[column::NAME, column::text("Data", "The keys of the configuration data."), column::AGE],
    cells: |object, now| {
        let keys = Field::root(object).get("data").len() + Field::root(object).get("binaryData").len();
        vec![column::name(object), keys.into(), column::age(object, now)]
    },
    ..Kind::BASE
};

fn validate(object: &Value, problems: &mut Problems) {
    let root = Field::root(object);
    let (data, binary) = (root.get("data"), root.get("binaryData"));
    let mut bytes = 0;
    for (key, value) in data.entries() {
        config_key(key, &value, problems);
        if binary.key(key).is_set() {
            value.invalid_as(problems, key, "duplicate of key present in binaryData");
        }
        bytes += value.len();
    }
    for (key, value) in binary.entries() {
        config_key(key, &value, problems);
        bytes += rule::base64_len(value.str());
    }
    if bytes > DATA_BYTES_MAX {
        // Upstream's path here is one with an empty name.
        root.key("").too_long(problems, DATA_BYTES_MAX);
    }
}

/// A key is shown where its value stands.
pub(super) fn config_key(key: &str, at: &Field, problems: &mut Problems) {
    for message in rule::config_key_messages(key) {
        at.invalid_as(problems, key, message);
    }
}

fn validate_update(new: &Value, old: &Value, problems: &mut Problems) {
    immutable_once_set(new, old, &["data", "binaryData"], problems);
}

/// The rule of `immutable`, shared with Secret: once true it stays, and so does the data.
pub(super) fn immutable_once_set(new: &Value, old: &Value, fields: &[&str], problems: &mut Problems) {
    let (new, old) = (Field::root(new), Field::root(old));
    if !old.get("immutable").bool() {
        return;
    }
    const DETAIL: &str = "field is immutable when `immutable` is set";
    if !new.get("immutable").bool() {
        new.get("immutable").forbidden(problems, DETAIL);
    }
    for field in fields {
        if new.get(field).value != old.get(field).value {
            new.get(field).forbidden(problems, DETAIL);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{problems, update_problems};

    use super::*;

    #[test]
    fn keys_are_checked_and_may_stand_in_one_bag_only() {
        let object = json!({"data": {"a b": "1", "c": "2"}, "binaryData": {"c": "AA=="}});
        assert_eq!(
            problems(&KIND, &object),
            "[data[a b]: Invalid value: \"a b\": a valid config key must consist of alphanumeric characters, '-', '_' or '.' \
             (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+'), \
             data[c]: Invalid value: \"c\": duplicate of key present in binaryData]"
        );
    }

    #[test]
    fn an_immutable_map_stays() {
        let old = json!({"immutable": true, "data": {"a": "1"}});
        assert_eq!(
            update_problems(&KIND, &json!({"immutable": true, "data": {"a": "2"}}), &old),
            "data: Forbidden: field is immutable when `immutable` is set"
        );
    }
}
