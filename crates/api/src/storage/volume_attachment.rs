//! VolumeAttachment: asks a driver to attach a volume to a node.
//!
//! Source: <https://kubernetes.io/docs/reference/kubernetes-api/config-and-storage-resources/volume-attachment-v1/>.

use machinery::field::Problems;
use machinery::tree;
use serde_json::{Value, json};

use super::GROUP;
use crate::column;
use crate::core::persistent_volume;
use crate::core::pod_spec::volumes;
use crate::cursor::Field;
use crate::kind::{Column, Kind, Scope, Subresource};
use crate::rule;
use crate::status;

const METADATA_BYTES_MAX: usize = 256 * 1024;
const MESSAGE_BYTES_MAX: usize = 1024;

pub static KIND: Kind = Kind {
    group: GROUP,
    kind: "VolumeAttachment",
    plural: "volumeattachments",
    singular: "volumeattachment",
    scope: Scope::Cluster,
    definition: "io.k8s.api.storage.v1.VolumeAttachment",
    unconditional_update: false,
    subresources: &[Subresource::status("VolumeAttachment")],
    prepare_create: |object| tree::set(object, "status", json!({"attached": false})),
    prepare_update: status::keep,
    validate,
    validate_update: |new, old, problems| rule::immutable("spec", new, old, problems),
    validate_status: |new, _, problems| reported(&Field::root(new).get("status"), problems),
    columns: &[
        column::NAME,
        Column {
            format: "name",
            ..column::text(
                "Attacher",
                "attacher indicates the name of the volume driver that MUST handle this request.",
            )
        },
        column::text("PV", "persistentVolumeName represents the name of the persistent volume to attach."),
        column::text("Node", "nodeName represents the node that the volume should be attached to."),
        column::flag("Attached", "attached indicates the volume is successfully attached."),
        column::AGE,
    ],
    cells: |object, now| {
        vec![
            column::name(object),
            tree::str(object, "spec.attacher").into(),
            tree::str(object, "spec.source.persistentVolumeName").into(),
            tree::str(object, "spec.nodeName").into(),
            object["status"]["attached"].as_bool().unwrap_or(false).into(),
            column::age(object, now),
        ]
    },
    ..Kind::BASE
};

fn validate(object: &Value, problems: &mut Problems) {
    const ONE: &str = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
    let root = Field::root(object);
    let (spec, source) = (root.get("spec"), root.get("spec.source"));
    volumes::driver_name(&spec.get("attacher"), problems);
    let (inline, name) = (source.get("inlineVolumeSpec"), source.get("persistentVolumeName"));
    match (inline.is_set(), name.is_set()) {
        (false, false) => source.required(problems, ONE),
        (true, true) => source.forbidden(problems, ONE),
        (true, false) => persistent_volume::validate_inline(&inline, problems),
        (false, true) if name.is_empty() => name.required(problems, "must specify non empty persistentVolumeName"),
        (false, true) => {
            rule::dns_subdomain(&name, problems);
        }
    }
    rule::dns_subdomain(&spec.get("nodeName"), problems);
}

/// What drivers say is bounded.
fn reported(status: &Field, problems: &mut Problems) {
    let metadata = status.get("attachmentMetadata");
    if metadata.entries().map(|(key, value)| key.len() + value.len()).sum::<usize>() > METADATA_BYTES_MAX {
        metadata.too_long(problems, METADATA_BYTES_MAX);
    }
    for error in ["attachError.message", "detachError.message"] {
        if status.get(error).len() > MESSAGE_BYTES_MAX {
            status.get(error).too_long(problems, MESSAGE_BYTES_MAX);
        }
    }
}
