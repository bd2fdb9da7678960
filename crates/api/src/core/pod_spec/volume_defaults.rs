//! Defaults of a pod's volumes.

use serde_json::json;

use super::defaults;
use crate::core::claim_spec;
use crate::fill::{self, Tree};

/// 0644: what files of configMap, secret, downwardAPI and projected volumes have.
const FILE_MODE: i64 = 0o644;
const TOKEN_SECONDS: i64 = 3600;

pub fn volume(volume: &mut Tree) {
    if volume.iter().all(|(key, value)| key == "name" || value.is_null()) {
        volume.insert("emptyDir".to_owned(), json!({}));
    }
    for source in ["secret", "configMap", "downwardAPI", "projected"] {
        if let Some(source) = fill::map(volume, source) {
            fill::absent(source, "defaultMode", FILE_MODE);
            downward_items(source);
        }
    }
    if let Some(projected) = fill::map(volume, "projected") {
        for source in fill::maps(projected, "sources") {
            projection(source);
        }
    }
    if let Some(path) = fill::map(volume, "hostPath") {
        fill::absent(path, "type", "");
    }
    if let Some(image) = fill::map(volume, "image")
        && fill::get_text(image, "pullPolicy").is_empty()
    {
        let policy = defaults::pull_policy(fill::get_text(image, "reference"));
        image.insert("pullPolicy".to_owned(), policy.into());
    }
    if let Some(template) = fill::map(volume, "ephemeral").and_then(|e| fill::map(e, "volumeClaimTemplate"))
        && let Some(spec) = fill::map(template, "spec")
    {
        claim_spec::defaults(spec);
    }
    attached(volume);
}

fn downward_items(source: &mut Tree) {
    for item in fill::maps(source, "items") {
        defaults::field_ref(item);
    }
}

fn projection(source: &mut Tree) {
    if let Some(downward) = fill::map(source, "downwardAPI") {
        downward_items(downward);
    }
    if let Some(token) = fill::map(source, "serviceAccountToken") {
        fill::absent(token, "expirationSeconds", TOKEN_SECONDS);
    }
}

/// Volumes of storage systems that upstream still knows by name; the same for persistent volumes.
pub fn attached(source: &mut Tree) {
    if let Some(iscsi) = fill::map(source, "iscsi") {
        fill::text(iscsi, "iscsiInterface", "default");
    }
    if let Some(rbd) = fill::map(source, "rbd") {
        fill::text(rbd, "pool", "rbd");
        fill::text(rbd, "user", "admin");
        fill::text(rbd, "keyring", "/etc/ceph/keyring");
    }
    if let Some(scale) = fill::map(source, "scaleIO") {
        fill::text(scale, "storageMode", "ThinProvisioned");
        fill::text(scale, "fsType", "xfs");
    }
    if let Some(azure) = fill::map(source, "azureDisk") {
        fill::absent(azure, "cachingMode", "ReadWrite");
        fill::absent(azure, "kind", "Shared");
        fill::absent(azure, "fsType", "ext4");
        fill::absent(azure, "readOnly", false);
    }
}
