//! StorageClass: how volumes are made for claims.
//!
//! Source: <https://kubernetes.io/docs/reference/kubernetes-api/config-and-storage-resources/storage-class-v1/>.

use machinery::field::{Problems, Wrong};
use machinery::{meta, tree};
use serde_json::Value;

use super::{GROUP, PARAMETERS_BYTES_MAX, PARAMETERS_MAX};
use crate::column::{self, text_or};
use crate::cursor::Field;
use crate::kind::{Kind, Scope};
use crate::rule;

const DEFAULT: [&str; 2] =
    ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];

pub static KIND: Kind = Kind {
    group: GROUP,
    kind: "StorageClass",
    plural: "storageclasses",
    singular: "storageclass",
    short_names: &["sc"],
    scope: Scope::Cluster,
    definition: "io.k8s.api.storage.v1.StorageClass",
    set_defaults: |object| {
        tree::default(object, "reclaimPolicy", "Delete");
        tree::default(object, "volumeBindingMode", "Immediate");
    },
    validate,
    validate_update: |new, old, problems| {
        let root = Field::root(new);
        for field in ["parameters", "provisioner", "reclaimPolicy"] {
            if new[field] != old[field] {
                root.get(field).forbidden(problems, format!("updates to {field} are forbidden."));
            }
        }
        rule::immutable("volumeBindingMode", new, old, problems);
    },
    columns: &[
        column::NAME,
        column::text("Provisioner", "provisioner indicates the type of the provisioner."),
        column::text(
            "ReclaimPolicy",
            "reclaimPolicy controls the reclaimPolicy for dynamically provisioned PersistentVolumes of this storage class.",
        ),
        column::text(
            "VolumeBindingMode",
            "volumeBindingMode indicates how PersistentVolumeClaims should be provisioned and bound.",
        ),
        column::text(
            "AllowVolumeExpansion",
            "allowVolumeExpansion shows whether the storage class allow volume expand.",
        ),
        column::AGE,
    ],
    cells: |object, now| {
        let default = DEFAULT.iter().any(|key| meta::annotation(object, key) == Some("true"));
        let name = meta::name(object);
        vec![
            if default { format!("{name} (default)") } else { name.to_owned() }.into(),
            tree::str(object, "provisioner").into(),
            text_or(object, "reclaimPolicy", "Delete").into(),
            text_or(object, "volumeBindingMode", "Immediate").into(),
            object["allowVolumeExpansion"].as_bool().unwrap_or(false).into(),
            column::age(object, now),
        ]
    },
    ..Kind::BASE
};

fn validate(object: &Value, problems: &mut Problems) {
    let root = Field::root(object);
    let provisioner = root.get("provisioner");
    if rule::required(&provisioner, problems) {
        let name = provisioner.str().to_lowercase();
        for message in rule::qualified_name_messages(&name) {
            provisioner.invalid_as(problems, name.as_str(), message);
        }
    }
    parameters(&root.get("parameters"), problems);
    if !root.get("reclaimPolicy").is_empty() {
        rule::one_of(&root.get("reclaimPolicy"), &["Delete", "Retain"], problems);
    }
    rule::required_one_of(&root.get("volumeBindingMode"), &["Immediate", "WaitForFirstConsumer"], problems);
    let mut seen: Vec<Vec<(&str, Vec<&str>)>> = Vec::new();
    for term in root.get("allowedTopologies").items() {
        let expressions = term.get("matchLabelExpressions");
        let raw = topology(&expressions, problems);
        if seen.contains(&raw) {
            expressions.wrong(problems, Wrong::Duplicate("".into()), "");
        }
        seen.push(raw);
    }
}

pub(super) fn parameters(parameters: &Field, problems: &mut Problems) {
    if parameters.len() > PARAMETERS_MAX {
        return parameters.too_long(problems, PARAMETERS_MAX);
    }
    let mut bytes = 0;
    for (key, value) in parameters.entries() {
        if key.is_empty() {
            parameters.invalid_as(problems, key, "field can not be empty.");
        }
        bytes += key.len() + value.len();
    }
    if bytes > PARAMETERS_BYTES_MAX {
        parameters.too_long(problems, PARAMETERS_BYTES_MAX);
    }
}

/// The term in a form that compares: keys and their values, sorted.
fn topology<'v>(expressions: &Field<'v, '_>, problems: &mut Problems) -> Vec<(&'v str, Vec<&'v str>)> {
    let mut raw: Vec<(&str, Vec<&str>)> = Vec::new();
    for expression in expressions.items() {
        let (key, values) = (expression.get("key"), expression.get("values"));
        rule::required(&values, problems);
        let mut known: Vec<&str> = Vec::new();
        for value in values.items() {
            if known.contains(&value.str()) {
                value.duplicate(problems);
            }
            known.push(value.str());
        }
        rule::qualified_name(&key, problems);
        if raw.iter().any(|(other, _)| *other == key.str()) {
            key.duplicate(problems);
        }
        known.sort_unstable();
        raw.push((key.str(), known));
    }
    raw.sort_unstable();
    raw
}
