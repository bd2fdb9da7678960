//! CSINode: the storage drivers on a node.
//!
//! Source: <https://kubernetes.io/docs/reference/kubernetes-api/config-and-storage-resources/csi-node-v1/>.

use machinery::field::{Problems, Wrong};
use machinery::tree;
use serde_json::Value;

use super::GROUP;
use crate::column;
use crate::core::pod_spec::volumes;
use crate::cursor::Field;
use crate::kind::{Kind, Scope};
use crate::rule;

const NODE_ID_BYTES_MAX: usize = 256;

pub static KIND: Kind = Kind {
    group: GROUP,
    kind: "CSINode",
    plural: "csinodes",
    singular: "csinode",
    scope: Scope::Cluster,
    definition: "io.k8s.api.storage.v1.CSINode",
    unconditional_update: false,
    validate,
    validate_update: |new, old, problems| {
        for before in tree::items(old, "spec.drivers") {
            let now = tree::items(new, "spec.drivers").iter().find(|d| d["name"] == before["name"]);
            let but_count = |driver: &Value| {
                let mut driver = driver.clone();
                tree::remove(&mut driver, "allocatable.count");
                driver
            };
            if let Some(now) = now.filter(|now| but_count(now) != but_count(before)) {
                Field::standing(now, "CSINodeDriver").invalid(problems, rule::IMMUTABLE);
            }
        }
    },
    columns: &[
        column::NAME,
        column::number("Drivers", "Drivers indicates the number of CSI drivers registered on the node"),
        column::AGE,
    ],
    cells: |object, now| {
        vec![column::name(object), tree::items(object, "spec.drivers").len().into(), column::age(object, now)]
    },
    ..Kind::BASE
};

fn validate(object: &Value, problems: &mut Problems) {
    let mut names: Vec<&str> = Vec::new();
    for driver in Field::root(object).get("spec.drivers").items() {
        let (name, id) = (driver.get("name"), driver.get("nodeID"));
        volumes::driver_name(&name, problems);
        rule::required(&id, problems);
        if id.len() > NODE_ID_BYTES_MAX {
            id.invalid(problems, format!("must be {NODE_ID_BYTES_MAX} characters or less"));
        }
        rule::not_negative(&driver.get("allocatable.count"), problems);
        if names.contains(&name.str()) {
            name.duplicate(problems);
        }
        names.push(name.str());
        let mut keys: Vec<&str> = Vec::new();
        for key in driver.get("topologyKeys").items() {
            // Upstream's path is the driver's.
            let at = driver.with(key.value);
            rule::required(&at, problems);
            if keys.contains(&key.str()) {
                at.wrong(problems, Wrong::Duplicate(key.value.clone()), "");
            }
            keys.push(key.str());
            rule::qualified_name(&at, problems);
        }
    }
}
