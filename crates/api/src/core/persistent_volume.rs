//! PersistentVolume: storage that outlives pods.
//!
//! Source: <https://kubernetes.io/docs/reference/kubernetes-api/config-and-storage-resources/persistent-volume-v1/>.

use machinery::field::Problems;
use machinery::{meta, tree};
use serde_json::{Value, json};

use super::claim_spec::{self, modes_cell, phase_cell};
use super::pod_spec::{self, affinity, volume_sources, volumes};
use crate::column::{self, text_or};
use crate::cursor::Field;
use crate::difference::difference;
use crate::fill;
use crate::kind::{Kind, Scope, Subresource};
use crate::rule;
use crate::status;

pub static KIND: Kind = Kind {
    kind: "PersistentVolume",
    plural: "persistentvolumes",
    singular: "persistentvolume",
    short_names: &["pv"],
    scope: Scope::Cluster,
    definition: "io.k8s.api.core.v1.PersistentVolume",
    subresources: &[Subresource::status("PersistentVolume")],
    set_defaults,
    prepare_create: |object| tree::set(object, "status", json!({"phase": "Pending"})),
    prepare_update: status::keep,
    validate: |object, problems| validate_spec(&Field::root(object).get("spec"), problems),
    validate_update,
    selectable: &[("name", |object| meta::name(object).to_owned())],
    columns: &[
        column::NAME,
        column::text("Capacity", "capacity is the description of the persistent volume's resources and capacity."),
        column::text("Access Modes", "accessModes contains all ways the volume can be mounted."),
        column::text(
            "Reclaim Policy",
            "persistentVolumeReclaimPolicy defines what happens to a persistent volume when released from its claim.",
        ),
        column::text("Status", "phase indicates if a volume is available, bound to a claim, or released by a claim."),
        column::text(
            "Claim",
            "claimRef is part of a bi-directional binding between PersistentVolume and PersistentVolumeClaim.",
        ),
        column::text("StorageClass", "StorageClass of the pv"),
        column::text("VolumeAttributesClass", "VolumeAttributesClass of the pv"),
        column::text(
            "Reason",
            "reason is a brief CamelCase string that describes any failure and is meant for machine parsing and tidy display in the CLI.",
        ),
        column::AGE,
        column::wide(
            "VolumeMode",
            "volumeMode defines if a volume is intended to be used with a formatted filesystem or to remain in raw block state.",
        ),
    ],
    cells: |object, now| {
        let claim = tree::get(object, "spec.claimRef");
        let claim = match claim.is_null() {
            true => String::new(),
            false => format!("{}/{}", tree::str(claim, "namespace"), tree::str(claim, "name")),
        };
        vec![
            column::name(object),
            text_or(object, "spec.capacity.storage", "0").into(),
            modes_cell(tree::items(object, "spec.accessModes")).into(),
            tree::str(object, "spec.persistentVolumeReclaimPolicy").into(),
            phase_cell(object).into(),
            claim.into(),
            claim_spec::class_cell(object).into(),
            text_or(object, "spec.volumeAttributesClassName", "<unset>").into(),
            tree::str(object, "status.reason").into(),
            column::age(object, now),
            text_or(object, "spec.volumeMode", "<unset>").into(),
        ]
    },
    ..Kind::BASE
};

fn set_defaults(object: &mut Value) {
    let spec = tree::map_mut(object, "spec");
    fill::text(spec, "persistentVolumeReclaimPolicy", "Retain");
    fill::absent(spec, "volumeMode", "Filesystem");
    fill::milli(spec, "capacity");
    pod_spec::attached_volume_defaults(spec);
    if let Some(path) = fill::map(spec, "hostPath") {
        fill::absent(path, "type", "");
    }
    if tree::str(object, "status.phase").is_empty() {
        tree::set(object, "status.phase", "Pending");
    }
}

type Judge = fn(&Field, &mut Problems);

/// The storage that a volume can be of, in upstream's order.
const SOURCES: [(&str, Judge); 22] = [
    ("hostPath", volumes::host_path),
    ("gcePersistentDisk", volume_sources::gce_disk),
    ("awsElasticBlockStore", volume_sources::aws_disk),
    ("glusterfs", volume_sources::glusterfs),
    ("flocker", volume_sources::flocker),
    ("nfs", volume_sources::nfs),
    ("rbd", volume_sources::rbd),
    ("quobyte", volume_sources::quobyte),
    ("cephfs", volume_sources::cephfs),
    ("iscsi", volume_sources::iscsi),
    ("cinder", volume_sources::cinder),
    ("fc", volume_sources::fc),
    ("flexVolume", volume_sources::flex),
    ("azureFile", volume_sources::azure_file),
    ("vsphereVolume", volume_sources::vsphere),
    ("photonPersistentDisk", volume_sources::photon),
    ("portworxVolume", volume_sources::portworx),
    ("azureDisk", volume_sources::azure_disk),
    ("scaleIO", volume_sources::scale_io),
    ("local", local),
    ("storageos", volume_sources::storageos),
    ("csi", csi),
];

fn local(source: &Field, problems: &mut Problems) {
    if rule::required(&source.get("path"), problems) {
        rule::no_backsteps(&source.get("path"), problems);
    }
}

fn csi(source: &Field, problems: &mut Problems) {
    volumes::driver_name(&source.get("driver"), problems);
    rule::required(&source.get("volumeHandle"), problems);
    const SECRETS: [&str; 5] = [
        "controllerPublishSecretRef",
        "controllerExpandSecretRef",
        "nodePublishSecretRef",
        "nodeExpandSecretRef",
        "nodeStageSecretRef",
    ];
    for secret in SECRETS {
        let secret = source.get(secret);
        for part in ["name", "namespace"].into_iter().filter(|_| secret.is_set()) {
            rule::required(&secret.get(part), problems);
        }
    }
}

fn validate_spec(spec: &Field, problems: &mut Problems) {
    if spec.get("accessModes").is_empty() {
        spec.get("accessModes").required(problems, "");
    } else {
        claim_spec::access_modes(&spec.get("accessModes"), problems);
    }
    capacity(&spec.get("capacity"), problems);
    let policy = spec.get("persistentVolumeReclaimPolicy");
    if !policy.is_empty() {
        rule::one_of(&policy, &["Delete", "Recycle", "Retain"], problems);
    }
    let nodes = spec.get("nodeAffinity");
    if nodes.is_set() {
        match nodes.get("required") {
            required if required.is_set() => affinity::node_selector(&required, problems),
            required => required.required(problems, "must specify required node constraints"),
        }
    }
    source(spec, problems);
    let root = spec.get("hostPath.path").str();
    if !root.is_empty() && root.split('/').all(|s| matches!(s, "" | ".")) && policy.str() == "Recycle" {
        policy.forbidden(problems, "may not be 'recycle' for a hostPath mount of '/'");
    }
    for class in ["storageClassName", "volumeAttributesClassName"] {
        if !spec.get(class).is_empty() {
            rule::dns_subdomain(&spec.get(class), problems);
        }
    }
    if spec.get("volumeMode").is_set() {
        rule::one_of(&spec.get("volumeMode"), &["Block", "Filesystem"], problems);
    }
}

/// A volume that stands in a VolumeAttachment: a driver's, with nothing of a claim or a class.
pub fn validate_inline(spec: &Field, problems: &mut Problems) {
    const DETAIL: &str = "may not be specified in the context of inline volumes";
    for field in ["claimRef", "capacity", "nodeAffinity", "storageClassName"] {
        if !spec.get(field).is_empty() {
            spec.get(field).forbidden(problems, DETAIL);
        }
    }
    if !spec.get("csi").is_set() {
        spec.get("csi").required(problems, "has to be specified in the context of inline volumes");
    }
    if spec.get("accessModes").is_empty() {
        spec.get("accessModes").required(problems, "");
    }
    let only = [("persistentVolumeReclaimPolicy", "Retain", "may only be Retain in the context of inline volumes")];
    let mode = "may not specify volumeMode other than Filesystem in the context of inline volumes";
    for (field, allowed, detail) in only.into_iter().chain([("volumeMode", "Filesystem", mode)]) {
        if !spec.get(field).is_empty() && spec.get(field).str() != allowed {
            spec.get(field).forbidden(problems, detail);
        }
    }
    source(spec, problems);
}

fn capacity(capacity: &Field, problems: &mut Problems) {
    rule::required(capacity, problems);
    if !capacity.key("storage").is_set() || capacity.len() > 1 {
        capacity.not_supported(problems, &["storage"]);
    }
    for (_, at) in capacity.entries() {
        if let Some(quantity) = rule::quantity(&at).filter(|q| q.sign() <= 0) {
            at.invalid_as(problems, quantity.to_string(), "must be greater than zero");
        }
    }
}

fn source(spec: &Field, problems: &mut Problems) {
    let mut found = false;
    for (kind, judge) in SOURCES {
        let source = spec.get(kind);
        if source.is_set() && found {
            source.forbidden(problems, "may not specify more than 1 volume type");
        } else if source.is_set() {
            found = true;
            judge(&source, problems);
        }
    }
    if !found {
        spec.required(problems, "must specify a volume type");
    }
    if spec.get("local").is_set() && !spec.get("nodeAffinity").is_set() {
        spec.get("nodeAffinity").required(problems, "Local volume requires node affinity");
    }
}

fn validate_update(new: &Value, old: &Value, problems: &mut Problems) {
    let sources = |object: &Value| {
        let mut kept = fill::Tree::new();
        for (kind, _) in SOURCES {
            if let Some(source) = object["spec"].get(kind) {
                kept.insert(kind.to_owned(), source.clone());
            }
        }
        Value::Object(kept)
    };
    let (mut now, before) = (sources(new), sources(old));
    if before["csi"].is_object() && before["csi"]["controllerExpandSecretRef"].is_null() {
        tree::remove(&mut now, "csi.controllerExpandSecretRef");
    }
    let root = Field::root(new);
    if now != before {
        let diff = difference("core.PersistentVolumeSource", &before, &now);
        let detail = format!("spec.persistentvolumesource is immutable after creation\n{diff}");
        root.get("spec.persistentvolumesource").forbidden(problems, detail);
    }
    if new["spec"]["volumeMode"] != old["spec"]["volumeMode"] {
        Field::standing(&new["spec"]["volumeMode"], "volumeMode").invalid(problems, rule::IMMUTABLE);
    }
    let (nodes, before) = (&new["spec"]["nodeAffinity"], &old["spec"]["nodeAffinity"]);
    if !before.is_null() && nodes != before {
        let detail = "field is immutable, except for updating from beta label to GA";
        Field::standing(nodes, "nodeAffinity").invalid(problems, detail);
    }
}
