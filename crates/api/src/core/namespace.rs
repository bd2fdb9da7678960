//! Namespace: a room for names. It goes when all in it is gone, which `spec.finalizers` waits for.
//!
//! Source: <https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/namespace-v1/>.

use machinery::field::Problems;
use machinery::{meta, tree};
use serde_json::{Value, json};

use crate::column;
use crate::cursor::Field;
use crate::kind::{Kind, NameRule, PartUpdate, Scope, Subresource};
use crate::rule;
use crate::status;

/// Every namespace has it in `spec.finalizers` until its content is gone.
const FINALIZER: &str = "kubernetes";
/// Finalizers that need no domain.
const STANDARD_FINALIZERS: [&str; 3] = [FINALIZER, "orphan", "foregroundDeletion"];

pub static KIND: Kind = Kind {
    kind: "Namespace",
    plural: "namespaces",
    singular: "namespace",
    short_names: &["ns"],
    scope: Scope::Cluster,
    name_rule: NameRule::Label,
    definition: "io.k8s.api.core.v1.Namespace",
    verbs: &["create", "delete", "get", "list", "patch", "update", "watch"],
    subresources: &[
        Subresource::part(
            "finalize",
            "Namespace",
            &["update"],
            PartUpdate { prepare: status::keep, validate: validate_finalize },
        ),
        Subresource::status("Namespace"),
    ],
    set_defaults: |object| {
        label_with_name(object);
        if tree::str(object, "status.phase").is_empty() {
            tree::set(object, "status.phase", "Active");
        }
    },
    prepare_create,
    prepare_update: |new, old| {
        status::put_back(new, old, "spec.finalizers");
        status::keep(new, old);
    },
    validate_create: |object, problems| {
        let root = Field::root(object);
        let finalizers = root.get("spec.finalizers");
        for finalizer in finalizers.items() {
            finalizer_name(&finalizers.with(finalizer.value), problems);
        }
    },
    validate_status,
    selectable: &[
        ("name", |object| meta::name(object).to_owned()),
        ("status.phase", |object| tree::str(object, "status.phase").to_owned()),
    ],
    columns: &[column::NAME, column::text("Status", "The status of the namespace"), column::AGE],
    cells: |object, now| vec![column::name(object), tree::str(object, "status.phase").into(), column::age(object, now)],
    ..Kind::BASE
};

/// Selectors find a namespace by its name. One that has no name yet gets the label with it.
fn label_with_name(object: &mut Value) {
    let name = meta::name(object).to_owned();
    if !name.is_empty() {
        meta::set_label(object, "kubernetes.io/metadata.name", &name);
    }
}

fn prepare_create(object: &mut Value) {
    label_with_name(object);
    tree::set(object, "status", json!({"phase": "Active"}));
    let finalizers = tree::map_mut(object, "spec").entry("finalizers").or_insert_with(|| json!([]));
    match finalizers {
        Value::Array(items) if items.iter().any(|f| f == FINALIZER) => {}
        Value::Array(items) => items.push(FINALIZER.into()),
        other => *other = json!([FINALIZER]),
    }
}

fn finalizer_name(at: &Field, problems: &mut Problems) {
    rule::qualified_name(at, problems);
    if !at.str().contains('/') && !STANDARD_FINALIZERS.contains(&at.str()) {
        let detail = "name is neither a standard finalizer name nor is it fully qualified";
        at.invalid(problems, detail);
    }
}

fn validate_finalize(new: &Value, _: &Value, problems: &mut Problems) {
    for finalizer in Field::root(new).get("spec.finalizers").items() {
        finalizer_name(&finalizer, problems);
    }
}

fn validate_status(new: &Value, _: &Value, problems: &mut Problems) {
    let root = Field::root(new);
    let phase = root.get("status.Phase");
    let phase = phase.with(&new["status"]["phase"]);
    let (wanted, when) = match meta::is_deleting(new) {
        false => ("Active", "empty"),
        true => ("Terminating", "not empty"),
    };
    if phase.str() != wanted {
        phase.invalid_as(problems, phase.str(), format!("may only be '{wanted}' if `deletionTimestamp` is {when}"));
    }
}
