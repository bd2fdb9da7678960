//! Volumes of storage systems that upstream knows by name. Only their fields are judged: nothing mounts them without a driver.

use machinery::field::Problems;

use crate::cursor::Field;
use crate::rule;

fn all_required(source: &Field, fields: &[&str], problems: &mut Problems) {
    for field in fields {
        rule::required(&source.get(field), problems);
    }
}

fn in_byte(field: &Field, problems: &mut Problems) {
    if field.is_set() {
        rule::in_range(field, 0, 255, problems);
    }
}

pub fn git_repo(source: &Field, problems: &mut Problems) {
    all_required(source, &["repository"], problems);
    rule::descending_path(&source.get("directory"), problems);
}

pub fn gce_disk(source: &Field, problems: &mut Problems) {
    all_required(source, &["pdName"], problems);
    partition(&source.get("partition"), problems);
}

pub fn aws_disk(source: &Field, problems: &mut Problems) {
    all_required(source, &["volumeID"], problems);
    partition(&source.get("partition"), problems);
}

/// 0 is allowed, whatever the message says.
fn partition(field: &Field, problems: &mut Problems) {
    if !(0..=255).contains(&field.num()) {
        field.invalid(problems, "must be between 1 and 255, inclusive");
    }
}

pub fn nfs(source: &Field, problems: &mut Problems) {
    all_required(source, &["server", "path"], problems);
    let path = source.get("path");
    if !path.str().starts_with('/') {
        path.invalid_as(problems, path.str(), "must be an absolute path");
    }
}

pub fn iscsi(source: &Field, problems: &mut Problems) {
    all_required(source, &["targetPortal"], problems);
    let name = source.get("iqn");
    if rule::required(&name, problems) {
        iscsi_name(&name, problems);
    }
    in_byte(&source.get("lun"), problems);
    let chap = source.get("chapAuthDiscovery").bool() || source.get("chapAuthSession").bool();
    if chap && !source.get("secretRef").is_set() {
        source.get("secretRef").required(problems, "");
    }
    let initiator = source.get("initiatorName");
    if initiator.is_set() {
        iscsi_name(&source.get("initiatorname").with(initiator.value), problems);
    }
}

/// `iqn.2001-04.com.example:storage`, `eui.` and 16, `naa.` and 32 letters or digits.
fn iscsi_name(name: &Field, problems: &mut Problems) {
    let word = |text: &str, len: usize| text.len() == len && text.bytes().all(|b| b.is_ascii_alphanumeric());
    let valid = match name.str().get(..3) {
        Some("iqn") => is_qualified_name(name.str()),
        Some("eui") => name.str().get(4..).is_some_and(|rest| word(rest, 16)),
        Some("naa") => name.str().get(4..).is_some_and(|rest| word(rest, 32)),
        _ => return name.invalid(problems, "must be valid format starting with iqn, eui, or naa"),
    };
    if !valid {
        name.invalid(problems, "must be valid format");
    }
}

fn is_qualified_name(name: &str) -> bool {
    let Some((authority, unique)) = name.strip_prefix("iqn.").and_then(|rest| rest.split_once(':')) else {
        return false;
    };
    let (date, domain) = authority.split_at_checked(7).unwrap_or(("", ""));
    let date_ok = date.len() == 7 && date.as_bytes()[4] == b'-' && date.bytes().filter(u8::is_ascii_digit).count() == 6;
    let domain_ok = domain.len() > 1
        && domain.starts_with('.')
        && domain.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'));
    let bad = |c: char| c.is_whitespace() || matches!(c, '^' | ',' | ';' | '*' | '&' | '$' | '|');
    date_ok && domain_ok && !unique.is_empty() && !unique.contains(bad)
}

pub fn glusterfs(source: &Field, problems: &mut Problems) {
    all_required(source, &["endpoints", "path"], problems);
}

pub fn flocker(source: &Field, problems: &mut Problems) {
    let (name, uuid) = (source.get("datasetName"), source.get("datasetUUID"));
    match (name.is_empty(), uuid.is_empty()) {
        (true, true) => source.required(problems, "one of datasetName and datasetUUID is required"),
        (false, false) => {
            let detail = "datasetName and datasetUUID can not be specified simultaneously";
            source.invalid_as(problems, "resource", detail);
        }
        _ => {}
    }
    if name.str().contains('/') {
        name.invalid(problems, "must not contain '/'");
    }
}

pub fn rbd(source: &Field, problems: &mut Problems) {
    all_required(source, &["monitors", "image"], problems);
}

pub fn cinder(source: &Field, problems: &mut Problems) {
    all_required(source, &["volumeID"], problems);
    let secret = source.get("secretRef");
    if secret.is_set() {
        rule::required(&secret.get("name"), problems);
    }
}

pub fn cephfs(source: &Field, problems: &mut Problems) {
    all_required(source, &["monitors"], problems);
}

pub fn quobyte(source: &Field, problems: &mut Problems) {
    const PAIRS: &str = "must be a host:port pair or multiple pairs separated by commas";
    const TENANT_BYTES_MAX: usize = 64;
    let registry = source.get("registry");
    if registry.is_empty() {
        registry.required(problems, PAIRS);
    } else if source.get("tenant").len() > TENANT_BYTES_MAX {
        let detail = "must be a UUID and may not exceed a length of 64 characters";
        source.get("tenant").required(problems, detail);
    } else if registry.str().split(',').any(|pair| !pair.contains(':')) {
        registry.invalid(problems, PAIRS);
    }
    all_required(source, &["volume"], problems);
}

pub fn fc(source: &Field, problems: &mut Problems) {
    let (targets, wwids, lun) = (source.get("targetWWNs"), source.get("wwids"), source.get("lun"));
    if targets.is_empty() && wwids.is_empty() {
        targets.required(problems, "must specify either targetWWNs or wwids, but not both");
    }
    if !targets.is_empty() && !wwids.is_empty() {
        targets.invalid(problems, "targetWWNs and wwids can not be specified simultaneously");
    }
    if !targets.is_empty() && !lun.is_set() {
        lun.required(problems, "lun is required if targetWWNs is specified");
    } else if !targets.is_empty() {
        in_byte(&lun, problems);
    }
}

pub fn flex(source: &Field, problems: &mut Problems) {
    all_required(source, &["driver"], problems);
    for (key, option) in source.get("options").entries() {
        let domain = format!(".{}", key.split_once('/').map_or(key, |(domain, _)| domain).to_lowercase());
        if domain.ends_with(".kubernetes.io") || domain.ends_with(".k8s.io") {
            option.invalid_as(problems, key, "kubernetes.io and k8s.io namespaces are reserved");
        }
    }
}

pub fn azure_file(source: &Field, problems: &mut Problems) {
    all_required(source, &["secretName", "shareName"], problems);
}

pub fn azure_disk(source: &Field, problems: &mut Problems) {
    const MANAGED: &str =
        "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}";
    const BLOB: &str = "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd";
    all_required(source, &["diskName", "diskURI"], problems);
    let (kind, uri) = (source.get("kind"), source.get("diskURI"));
    if source.get("cachingMode").is_set() {
        rule::one_of(&source.get("cachingMode"), &["None", "ReadOnly", "ReadWrite"], problems);
    }
    if !kind.is_set() {
        return;
    }
    rule::one_of(&kind, &["Dedicated", "Managed", "Shared"], problems);
    if kind.str() == "Managed" && !uri.str().starts_with("/subscriptions/") {
        uri.not_supported(problems, &[MANAGED]);
    }
    if kind.str() != "Managed" && !uri.str().starts_with("https://") {
        uri.not_supported(problems, &[BLOB]);
    }
}

pub fn vsphere(source: &Field, problems: &mut Problems) {
    all_required(source, &["volumePath"], problems);
}

pub fn photon(source: &Field, problems: &mut Problems) {
    all_required(source, &["pdID"], problems);
}

pub fn portworx(source: &Field, problems: &mut Problems) {
    all_required(source, &["volumeID"], problems);
}

pub fn storageos(source: &Field, problems: &mut Problems) {
    for name in ["volumeName", "volumeNamespace"] {
        if !source.get(name).is_empty() {
            rule::dns_label(&source.get(name), problems);
        }
    }
    if source.get("volumeName").is_empty() {
        source.get("volumeName").required(problems, "");
    }
    let secret = source.get("secretRef");
    if secret.is_set() {
        rule::required(&secret.get("name"), problems);
    }
}

pub fn scale_io(source: &Field, problems: &mut Problems) {
    all_required(source, &["gateway", "system", "volumeName"], problems);
}
