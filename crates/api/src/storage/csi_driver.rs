//! CSIDriver: what Kubernetes has to know of a storage driver.
//!
//! Source: <https://kubernetes.io/docs/reference/kubernetes-api/config-and-storage-resources/csi-driver-v1/>.

use machinery::field::Problems;
use machinery::tree;
use serde_json::{Value, json};

use super::GROUP;
use crate::column;
use crate::cursor::Field;
use crate::fill;
use crate::kind::{Kind, Scope};
use crate::rule;

const TOKEN_SECONDS_MIN: i64 = 600;
const TOKEN_SECONDS_MAX: i64 = 1 << 32;

pub static KIND: Kind = Kind {
    group: GROUP,
    kind: "CSIDriver",
    plural: "csidrivers",
    singular: "csidriver",
    scope: Scope::Cluster,
    definition: "io.k8s.api.storage.v1.CSIDriver",
    unconditional_update: false,
    set_defaults: |object| {
        let spec = tree::map_mut(object, "spec");
        fill::absent(spec, "attachRequired", true);
        for flag in ["podInfoOnMount", "storageCapacity", "requiresRepublish", "seLinuxMount"] {
            fill::absent(spec, flag, false);
        }
        fill::absent(spec, "fsGroupPolicy", "ReadWriteOnceWithFSType");
        if spec.get("volumeLifecycleModes").and_then(Value::as_array).is_none_or(Vec::is_empty) {
            spec.insert("volumeLifecycleModes".to_owned(), json!(["Persistent"]));
        }
    },
    validate,
    validate_update: |new, old, problems| {
        if new["spec"]["attachRequired"] != old["spec"]["attachRequired"] {
            Field::standing(&new["spec"]["attachRequired"], "spec.attachedRequired").invalid(problems, rule::IMMUTABLE);
        }
        rule::immutable("spec.volumeLifecycleModes", new, old, problems);
    },
    columns: &[
        column::NAME,
        column::flag("AttachRequired", "attachRequired indicates this CSI volume driver requires an attach operation."),
        column::flag(
            "PodInfoOnMount",
            "podInfoOnMount indicates this CSI volume driver requires additional pod information during mount operations.",
        ),
        column::flag(
            "StorageCapacity",
            "storageCapacity indicates that the CSI volume driver wants pod scheduling to consider the storage capacity that the driver deployment will report.",
        ),
        column::text(
            "TokenRequests",
            "tokenRequests indicates the CSI driver needs pods' service account tokens it is mounting volume for to do necessary authentication.",
        ),
        column::flag(
            "RequiresRepublish",
            "requiresRepublish indicates the CSI driver wants NodePublishVolume being periodically called to reflect any possible change in the mounted volume.",
        ),
        column::text("Modes", "volumeLifecycleModes defines what kind of volumes this CSI volume driver supports."),
        column::AGE,
    ],
    cells: |object, now| {
        let flag = |field: &str, or: bool| -> Value { object["spec"][field].as_bool().unwrap_or(or).into() };
        let modes: Vec<_> = tree::items(object, "spec.volumeLifecycleModes").iter().filter_map(Value::as_str).collect();
        let audiences = object["spec"]["tokenRequests"]
            .as_array()
            .map(|requests| requests.iter().map(|r| tree::str(r, "audience")).collect::<Vec<_>>().join(","));
        vec![
            column::name(object),
            flag("attachRequired", true),
            flag("podInfoOnMount", false),
            flag("storageCapacity", false),
            audiences.unwrap_or_else(|| "<unset>".to_owned()).into(),
            flag("requiresRepublish", false),
            if modes.is_empty() { "<none>".to_owned() } else { modes.join(",") }.into(),
            column::age(object, now),
        ]
    },
    ..Kind::BASE
};

fn validate(object: &Value, problems: &mut Problems) {
    let root = Field::root(object);
    let spec = root.get("spec");
    for (field, at) in [
        ("attachRequired", "attachedRequired"),
        ("podInfoOnMount", "podInfoOnMount"),
        ("storageCapacity", "storageCapacity"),
    ] {
        if !spec.get(field).is_set() {
            spec.get(at).required(problems, "");
        }
    }
    if spec.get("fsGroupPolicy").is_set() {
        rule::one_of(&spec.get("fsGroupPolicy"), &["File", "None", "ReadWriteOnceWithFSType"], problems);
    }
    let mut audiences: Vec<&str> = Vec::new();
    for request in spec.get("tokenRequests").items() {
        let (audience, seconds) = (request.get("audience"), request.get("expirationSeconds"));
        if audiences.contains(&audience.str()) {
            audience.duplicate(problems);
            continue;
        }
        audiences.push(audience.str());
        if seconds.int().is_some_and(|n| n < TOKEN_SECONDS_MIN) {
            seconds.invalid(problems, "may not specify a duration less than 10 minutes");
        }
        if seconds.num() > TOKEN_SECONDS_MAX {
            seconds.invalid(problems, "may not specify a duration larger than 2^32 seconds");
        }
    }
    let modes = spec.get("volumeLifecycleModes");
    for mode in modes.items() {
        rule::one_of(&modes.with(mode.value), &["Persistent", "Ephemeral"], problems);
    }
}
