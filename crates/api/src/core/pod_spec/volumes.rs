//! A pod's volumes: their names, that each has one source, and the sources that the kubelet itself fills.

use machinery::field::Problems;
use serde_json::Value;

use super::spec::Holder;
use super::{env, volume_sources};
use crate::core::claim_spec;
use crate::cursor::Field;
use crate::rule;

/// A volume that mounts may name.
pub struct Named<'v> {
    pub name: &'v str,
    volume: &'v Value,
}

impl Named<'_> {
    /// Whether it comes from a claim, so that it may be a block device.
    pub fn is_claim(&self) -> bool {
        !self.volume["persistentVolumeClaim"].is_null() || !self.volume["ephemeral"].is_null()
    }
}

/// Judges the list; only volumes that are right can be mounted.
pub fn check<'v>(volumes: &Field<'v, '_>, holder: &Holder, problems: &mut Problems) -> Vec<Named<'v>> {
    let mut named: Vec<Named<'v>> = Vec::new();
    for volume in volumes.items() {
        let before = problems.0.len();
        source(&volume, holder, problems);
        let name = volume.get("name");
        if name.is_empty() {
            name.required(problems, "");
        } else {
            rule::dns_label(&name, problems);
        }
        if named.iter().any(|v| v.name == name.str()) {
            name.duplicate(problems);
        }
        if problems.0.len() == before {
            named.push(Named { name: name.str(), volume: volume.value });
        }
        not_a_claim_made_here(volumes, &volume, holder, problems);
    }
    named
}

fn not_a_claim_made_here(volumes: &Field, volume: &Field, holder: &Holder, problems: &mut Problems) {
    let claim = volume.get("persistentVolumeClaim.claimName");
    if claim.is_empty() || holder.pod_name().is_empty() {
        return;
    }
    let made = |v: &Field| format!("{}-{}", holder.pod_name(), v.get("name").str());
    if volumes.items().any(|v| v.get("ephemeral").is_set() && made(&v) == claim.str()) {
        claim.invalid(problems, "must not reference a PVC that gets created for an ephemeral volume");
    }
}

/// Exactly one source; only the first, in upstream's order, is judged.
fn source(volume: &Field, holder: &Holder, problems: &mut Problems) {
    let mut found = false;
    for (kind, judge) in SOURCES {
        let source = volume.get(kind);
        if !source.is_set() {
            continue;
        }
        if found {
            source.forbidden(problems, "may not specify more than 1 volume type");
        } else {
            found = true;
            judge(&source, problems);
        }
    }
    if !found {
        volume.required(problems, "must specify a volume type");
    }
    if volume.get("ephemeral").is_set() {
        claim_name(volume, holder, problems);
    }
}

type Judge = fn(&Field, &mut Problems);

const SOURCES: [(&str, Judge); 30] = [
    ("emptyDir", empty_dir),
    ("hostPath", host_path),
    ("gitRepo", volume_sources::git_repo),
    ("gcePersistentDisk", volume_sources::gce_disk),
    ("awsElasticBlockStore", volume_sources::aws_disk),
    ("secret", secret),
    ("nfs", volume_sources::nfs),
    ("iscsi", volume_sources::iscsi),
    ("glusterfs", volume_sources::glusterfs),
    ("flocker", volume_sources::flocker),
    ("persistentVolumeClaim", claim),
    ("rbd", volume_sources::rbd),
    ("cinder", volume_sources::cinder),
    ("cephfs", volume_sources::cephfs),
    ("quobyte", volume_sources::quobyte),
    ("downwardAPI", downward),
    ("fc", volume_sources::fc),
    ("flexVolume", volume_sources::flex),
    ("configMap", config_map),
    ("azureFile", volume_sources::azure_file),
    ("vsphereVolume", volume_sources::vsphere),
    ("photonPersistentDisk", volume_sources::photon),
    ("portworxVolume", volume_sources::portworx),
    ("azureDisk", volume_sources::azure_disk),
    ("storageos", volume_sources::storageos),
    ("projected", projected),
    ("scaleIO", volume_sources::scale_io),
    ("csi", csi),
    ("ephemeral", ephemeral),
    ("image", image),
];

fn empty_dir(source: &Field, problems: &mut Problems) {
    let limit = source.get("sizeLimit");
    if rule::quantity(&limit).is_some_and(|q| q.sign() < 0) {
        limit.forbidden(problems, "SizeLimit field must be a valid resource quantity");
    }
}

pub fn host_path(source: &Field, problems: &mut Problems) {
    const TYPES: [&str; 8] =
        ["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];
    let path = source.get("path");
    if path.is_empty() {
        return path.required(problems, "");
    }
    rule::no_backsteps(&path, problems);
    if source.get("type").is_set() {
        rule::one_of(&source.get("type"), &TYPES, problems);
    }
}

fn secret(source: &Field, problems: &mut Problems) {
    rule::required(&source.get("secretName"), problems);
    rule::file_mode(&source.get("defaultMode"), problems);
    for item in source.get("items").items() {
        key_to_path(&item, problems);
    }
}

fn config_map(source: &Field, problems: &mut Problems) {
    rule::required(&source.get("name"), problems);
    rule::file_mode(&source.get("defaultMode"), problems);
    for item in source.get("items").items() {
        key_to_path(&item, problems);
    }
}

fn key_to_path(item: &Field, problems: &mut Problems) {
    rule::required(&item.get("key"), problems);
    rule::required(&item.get("path"), problems);
    rule::local_path(&item.get("path"), problems);
    rule::file_mode(&item.get("mode"), problems);
}

fn claim(source: &Field, problems: &mut Problems) {
    rule::required(&source.get("claimName"), problems);
}

/// Upstream leaves the index of the item out of these paths.
fn downward(source: &Field, problems: &mut Problems) {
    rule::file_mode(&source.get("defaultMode"), problems);
    for item in source.get("items").items() {
        downward_file(&source.with(item.value), problems);
    }
}

fn downward_file(file: &Field, problems: &mut Problems) {
    rule::required(&file.get("path"), problems);
    rule::local_path(&file.get("path"), problems);
    let (field, resource) = (file.get("fieldRef"), file.get("resourceFieldRef"));
    if field.is_set() {
        env::field_ref(&field, &env::VOLUME_FIELDS, problems);
        if resource.is_set() {
            let detail = "fieldRef and resourceFieldRef can not be specified simultaneously";
            file.invalid_as(problems, "resource", detail);
        }
    } else if resource.is_set() {
        env::resource_ref(&resource, true, problems);
    } else {
        file.required(problems, "one of fieldRef and resourceFieldRef is required");
    }
    rule::file_mode(&file.get("mode"), problems);
}

fn projected(source: &Field, problems: &mut Problems) {
    rule::file_mode(&source.get("defaultMode"), problems);
    let mut paths: Vec<&str> = Vec::new();
    for projection in source.get("sources").items() {
        let mut count = 0;
        for kind in ["secret", "configMap"] {
            let part = projection.get(kind);
            if !part.is_set() {
                continue;
            }
            count += 1;
            rule::required(&part.get("name"), problems);
            for item in part.get("items").items() {
                key_to_path(&item, problems);
                unique_path(source, item.get("path").str(), part.get("name").str(), &mut paths, problems);
            }
        }
        let downward = projection.get("downwardAPI");
        if downward.is_set() {
            count += 1;
            for item in downward.get("items").items() {
                downward_file(&downward.with(item.value), problems);
                let path = item.get("path").str();
                unique_path(source, path, path, &mut paths, problems);
            }
        }
        count += made_projections(source, &projection, &mut paths, problems);
        if count > 1 {
            projection.forbidden(problems, "may not specify more than 1 volume type");
        }
    }
}

fn unique_path<'v>(source: &Field, path: &'v str, shown: &str, paths: &mut Vec<&'v str>, problems: &mut Problems) {
    if path.is_empty() {
        return;
    }
    if paths.contains(&path) {
        source.invalid_as(problems, shown, "conflicting duplicate paths");
    } else {
        paths.push(path);
    }
}

/// What the kubelet has made for the pod: tokens, bundles of trust, certificates.
fn made_projections<'v>(
    source: &Field,
    projection: &Field<'v, '_>,
    paths: &mut Vec<&'v str>,
    problems: &mut Problems,
) -> usize {
    const TOKEN_SECONDS_MIN: i64 = 600;
    const TOKEN_SECONDS_MAX: i64 = 1 << 32;
    let token = projection.get("serviceAccountToken");
    if token.is_set() {
        let seconds = token.get("expirationSeconds");
        if seconds.num() < TOKEN_SECONDS_MIN {
            seconds.invalid_as(problems, seconds.num(), "may not specify a duration less than 10 minutes");
        }
        if seconds.num() > TOKEN_SECONDS_MAX {
            seconds.invalid(problems, "may not specify a duration larger than 2^32 seconds");
        }
        if token.get("path").is_empty() {
            source.get("path").required(problems, "");
        }
    }
    let bundle = projection.get("clusterTrustBundle");
    if bundle.is_set() {
        rule::required(&bundle.get("path"), problems);
        rule::local_path(&bundle.get("path"), problems);
        unique_path(source, bundle.get("path").str(), bundle.get("path").str(), paths, problems);
        if bundle.get("name").is_set() == bundle.get("signerName").is_set() {
            bundle.required(problems, "either name or signerName must be specified");
        }
    }
    usize::from(token.is_set()) + usize::from(bundle.is_set())
}

fn csi(source: &Field, problems: &mut Problems) {
    driver_name(&source.get("driver"), problems);
    let secret = source.get("nodePublishSecretRef");
    if secret.is_set() {
        rule::required(&secret.get("name"), problems);
    }
}

pub fn driver_name(driver: &Field, problems: &mut Problems) {
    const NAME_BYTES_MAX: usize = 63;
    if !rule::required(driver, problems) {
        return;
    }
    if driver.len() > NAME_BYTES_MAX {
        driver.too_long(problems, NAME_BYTES_MAX);
    }
    for message in rule::dns_subdomain_messages(&driver.str().to_lowercase()) {
        driver.invalid(problems, message);
    }
}

fn ephemeral(source: &Field, problems: &mut Problems) {
    let template = source.get("volumeClaimTemplate");
    if !template.is_set() {
        return template.required(problems, "");
    }
    rule::annotations(&template.get("metadata.annotations"), problems);
    rule::labels(&template.get("metadata.labels"), problems);
    for (field, at) in template.get("metadata").entries() {
        if !matches!(field, "annotations" | "labels" | "creationTimestamp") {
            template.get("metadata").get(field).with(at.value).forbidden(problems, "not allowed for this object");
        }
    }
    claim_spec::validate(&template.get("spec"), problems);
}

/// The claim that is made for an ephemeral volume has the pod's name and the volume's.
fn claim_name(volume: &Field, holder: &Holder, problems: &mut Problems) {
    let name = volume.get("name");
    if holder.pod_name().is_empty() || name.is_empty() {
        return;
    }
    let claim = format!("{}-{}", holder.pod_name(), name.str());
    for message in rule::dns_subdomain_messages(&claim) {
        name.invalid(problems, format!("PVC name {claim:?}: {message}"));
    }
}

fn image(source: &Field, problems: &mut Problems) {
    rule::required(&source.get("reference"), problems);
    rule::one_of(&source.get("pullPolicy"), &["Always", "IfNotPresent", "Never"], problems);
}
