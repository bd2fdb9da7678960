//! PersistentVolumeClaim: asks for storage.
//!
//! Source: <https://kubernetes.io/docs/reference/kubernetes-api/config-and-storage-resources/persistent-volume-claim-v1/>.

use machinery::field::Problems;
use machinery::{meta, tree};
use serde_json::{Value, json};

use super::claim_spec::{self, modes_cell, phase_cell};
use crate::column::{self, text_or};
use crate::cursor::Field;
use crate::difference::difference;
use crate::fill;
use crate::kind::{Kind, Subresource};
use crate::rule;
use crate::status::{self, put_back};

pub static KIND: Kind = Kind {
    kind: "PersistentVolumeClaim",
    plural: "persistentvolumeclaims",
    singular: "persistentvolumeclaim",
    short_names: &["pvc"],
    definition: "io.k8s.api.core.v1.PersistentVolumeClaim",
    subresources: &[Subresource::status("PersistentVolumeClaim")],
    set_defaults: |object| {
        claim_spec::defaults(tree::map_mut(object, "spec"));
        let status = tree::map_mut(object, "status");
        fill::text(status, "phase", "Pending");
        fill::milli(status, "capacity");
        fill::milli(status, "allocatedResources");
    },
    prepare_create: |object| {
        tree::set(object, "status", json!({"phase": "Pending"}));
        both_sources(object);
    },
    prepare_update: |new, old| {
        status::keep(new, old);
        both_sources(new);
    },
    validate: |object, problems| claim_spec::validate(&Field::root(object).get("spec"), problems),
    validate_update,
    validate_status,
    selectable: &[("name", |object| meta::name(object).to_owned())],
    columns: &[
        column::NAME,
        column::text("Status", "phase represents the current phase of PersistentVolumeClaim."),
        column::text("Volume", "volumeName is the binding reference to the PersistentVolume backing this claim."),
        column::text("Capacity", "capacity represents the actual resources of the underlying volume."),
        column::text("Access Modes", "accessModes contains the actual access modes the volume backing the PVC has."),
        column::text("StorageClass", "StorageClass of the pvc"),
        column::text("VolumeAttributesClass", "VolumeAttributesClass of the pvc"),
        column::AGE,
        column::wide("VolumeMode", "volumeMode defines what type of volume is required by the claim."),
    ],
    cells: |object, now| {
        let bound = !tree::str(object, "spec.volumeName").is_empty();
        let (capacity, modes) = match bound {
            true => {
                (text_or(object, "status.capacity.storage", "0"), modes_cell(tree::items(object, "status.accessModes")))
            }
            false => ("", String::new()),
        };
        vec![
            column::name(object),
            phase_cell(object).into(),
            tree::str(object, "spec.volumeName").into(),
            capacity.into(),
            modes.into(),
            claim_spec::class_cell(object).into(),
            text_or(object, "spec.volumeAttributesClassName", "<unset>").into(),
            column::age(object, now),
            text_or(object, "spec.volumeMode", "<unset>").into(),
        ]
    },
    ..Kind::BASE
};

/// What a claim is filled from has two names; a source in the same namespace is written under both.
fn both_sources(object: &mut Value) {
    let spec = tree::get(object, "spec");
    let (source, reference) = (spec["dataSource"].clone(), spec["dataSourceRef"].clone());
    if !source.is_null() && reference.is_null() {
        tree::set(object, "spec.dataSourceRef", source);
    } else if source.is_null() && !reference.is_null() && tree::str(&reference, "namespace").is_empty() {
        tree::set(object, "spec.dataSource", reference);
    }
}

fn validate_update(new: &Value, old: &Value, problems: &mut Problems) {
    const CLASS: &str = "volume.beta.kubernetes.io/storage-class";
    let root = Field::root(new);
    let (mut now, mut before) = (new["spec"].clone(), old["spec"].clone());
    if tree::str(&before, "volumeName").is_empty() {
        put_back(&mut before, &now, "volumeName");
    }
    class_once(&mut now, &before, meta::annotation(old, CLASS));
    let annotation = meta::annotation(new, CLASS);
    if annotation != meta::annotation(old, CLASS) && annotation.is_some() {
        let at = format!("metadata.annotations.{CLASS}");
        Field::standing(&annotation.unwrap_or("").into(), &at).invalid(problems, rule::IMMUTABLE);
    }
    if tree::str(new, "status.phase") == "Bound" {
        put_back(&mut now, &before, "resources.requests.storage");
        put_back(&mut now, &before, "volumeAttributesClassName");
    }
    if now != before {
        let diff = difference("core.PersistentVolumeClaimSpec", &before, &now);
        let detail = format!(
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n{diff}"
        );
        root.get("spec").forbidden(problems, detail);
    }
    not_smaller(&root, old, problems);
    if new["spec"]["volumeMode"] != old["spec"]["volumeMode"] {
        Field::standing(&new["spec"]["volumeMode"], "volumeMode").invalid(problems, rule::IMMUTABLE);
    }
}

/// A claim without a class may get one, that of its annotation if it has it.
fn class_once(now: &mut Value, before: &Value, annotation: Option<&str>) {
    let class = now["storageClassName"].as_str().map(str::to_owned);
    if let Some(class) = class
        && before["storageClassName"].is_null()
        && annotation.is_none_or(|annotation| annotation == class)
    {
        put_back(now, before, "storageClassName");
    }
}

/// A request may come back to what is there, when growing failed.
fn not_smaller(root: &Field, old: &Value, problems: &mut Problems) {
    let storage = root.get("spec.resources.requests.storage");
    let before = Field::root(old);
    let size = |dotted: &str| rule::quantity(&before.get(dotted));
    let now = rule::quantity(&storage);
    let smaller = now < size("spec.resources.requests.storage");
    if smaller && now <= size("status.capacity.storage").or(Some(Default::default())) {
        storage.forbidden(problems, "field can not be less than status.capacity");
    }
}

fn validate_status(new: &Value, _: &Value, problems: &mut Problems) {
    let root = Field::root(new);
    if root.get("spec.accessModes").is_empty() {
        root.get("Spec.accessModes").required(problems, "");
    }
    for list in ["status.capacity", "status.allocatedResources"] {
        for (_, at) in root.get(list).entries() {
            if let Some(quantity) = rule::quantity(&at).filter(|q| q.sign() < 0) {
                at.invalid_as(problems, quantity.value(), "must be a valid resource quantity");
            }
        }
    }
}
