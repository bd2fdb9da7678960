//! VolumeAttributesClass: what of a volume may change while it lives, by name.
//!
//! Source: <https://kubernetes.io/docs/reference/kubernetes-api/config-and-storage-resources/volume-attributes-class-v1/>.

use machinery::tree;

use super::{GROUP, storage_class};
use crate::column;
use crate::cursor::Field;
use crate::kind::{Kind, Scope};
use crate::rule;

pub static KIND: Kind = Kind {
    group: GROUP,
    kind: "VolumeAttributesClass",
    plural: "volumeattributesclasses",
    singular: "volumeattributesclass",
    short_names: &["vac"],
    scope: Scope::Cluster,
    definition: "io.k8s.api.storage.v1.VolumeAttributesClass",
    validate: |object, problems| {
        let root = Field::root(object);
        let driver = root.get("driverName");
        if rule::required(&driver, problems) {
            let name = driver.str().to_lowercase();
            for message in rule::qualified_name_messages(&name) {
                driver.invalid_as(problems, name.as_str(), message);
            }
        }
        if rule::required(&root.get("parameters"), problems) {
            storage_class::parameters(&root.get("parameters"), problems);
        }
    },
    validate_update: |new, old, problems| {
        let root = Field::root(new);
        for field in ["driverName", "parameters"] {
            if new[field] != old[field] {
                root.get(field).forbidden(problems, format!("updates to {field} are forbidden."));
            }
        }
    },
    columns: &[column::NAME, column::text("DriverName", "Name of the CSI driver"), column::AGE],
    cells: |object, now| vec![column::name(object), tree::str(object, "driverName").into(), column::age(object, now)],
    ..Kind::BASE
};
