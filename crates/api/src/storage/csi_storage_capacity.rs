//! CSIStorageCapacity: how much a driver can still make of a class, somewhere.
//!
//! Source: <https://kubernetes.io/docs/reference/kubernetes-api/config-and-storage-resources/csi-storage-capacity-v1/>.

use machinery::tree;

use super::GROUP;
use crate::column::{self, text_or};
use crate::cursor::Field;
use crate::kind::Kind;
use crate::rule;

pub static KIND: Kind = Kind {
    group: GROUP,
    kind: "CSIStorageCapacity",
    plural: "csistoragecapacities",
    singular: "csistoragecapacity",
    definition: "io.k8s.api.storage.v1.CSIStorageCapacity",
    unconditional_update: false,
    validate: |object, problems| {
        let root = Field::root(object);
        rule::label_selector(&root.get("nodeTopology"), problems);
        rule::dns_subdomain(&root.get("storageClassName"), problems);
        let capacity = root.get("capacity");
        if let Some(quantity) = rule::quantity(&capacity).filter(|q| q.sign() < 0) {
            capacity.invalid_as(problems, quantity.to_string(), machinery::validation::NEGATIVE);
        }
    },
    validate_update: |new, old, problems| {
        rule::immutable("nodeTopology", new, old, problems);
        rule::immutable("storageClassName", new, old, problems);
    },
    columns: &[
        column::NAME,
        column::text(
            "StorageClassName",
            "storageClassName represents the name of the StorageClass that the reported capacity applies to.",
        ),
        column::text(
            "Capacity",
            "capacity is the value reported by the CSI driver in its GetCapacityResponse for a GetCapacityRequest with topology and parameters that match the previous fields.",
        ),
    ],
    cells: |object, _| {
        vec![
            column::name(object),
            tree::str(object, "storageClassName").into(),
            text_or(object, "capacity", "<unset>").into(),
        ]
    },
    ..Kind::BASE
};
