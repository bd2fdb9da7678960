//! Mounts of volumes into a container, as folders and as block devices.

use machinery::field::Problems;

use super::containers::Around;
use crate::cursor::Field;
use crate::rule;

pub fn mounts(container: &Field, around: &Around, problems: &mut Problems) {
    let (mounts, devices) = (container.get("volumeMounts"), container.get("volumeDevices"));
    let mut paths: Vec<&str> = Vec::new();
    for mount in mounts.items() {
        let (name, path) = (mount.get("name"), mount.get("mountPath"));
        if name.is_empty() {
            name.required(problems, "");
        }
        if !around.volumes.iter().any(|v| v.name == name.str()) {
            name.not_found(problems);
        }
        if path.is_empty() {
            path.required(problems, "");
        }
        if paths.contains(&path.str()) {
            path.invalid(problems, "must be unique");
        }
        paths.push(path.str());
        if devices.items().any(|d| d.get("name").str() == name.str()) {
            name.invalid(problems, "must not already exist in volumeDevices");
        }
        if devices.items().any(|d| d.get("devicePath").str() == path.str()) {
            path.invalid(problems, "must not already exist as a path in volumeDevices");
        }
        sub_path(&mounts, &mount, problems);
        propagation(&mounts, &mount, container, problems);
        recursive_read_only(&mount, problems);
    }
}

/// Upstream leaves the index out of these paths.
fn sub_path(mounts: &Field, mount: &Field, problems: &mut Problems) {
    let (path, expression) = (mount.get("subPath"), mount.get("subPathExpr"));
    if !path.is_empty() {
        rule::descending_path(&mounts.get("subPath").with(path.value), problems);
    }
    if !expression.is_empty() {
        if !path.is_empty() {
            expression.invalid(problems, "subPathExpr and subPath are mutually exclusive");
        }
        rule::descending_path(&mounts.get("subPathExpr").with(expression.value), problems);
    }
}

fn propagation(mounts: &Field, mount: &Field, container: &Field, problems: &mut Problems) {
    let value = mount.get("mountPropagation");
    if !value.is_set() {
        return;
    }
    let at = mounts.get("mountPropagation");
    let at = at.with(value.value);
    rule::one_of(&at, &["Bidirectional", "HostToContainer", "None"], problems);
    if value.str() == "Bidirectional" && !container.get("securityContext.privileged").bool() {
        at.forbidden(problems, "Bidirectional mount propagation is available only to privileged containers");
    }
}

fn recursive_read_only(mount: &Field, problems: &mut Problems) {
    let value = mount.get("recursiveReadOnly");
    match value.str() {
        _ if !value.is_set() => {}
        "Disabled" => {}
        "Enabled" | "IfPossible" => {
            if !mount.get("readOnly").bool() {
                value.forbidden(problems, "may only be specified when readOnly is true");
            }
            if !matches!(mount.get("mountPropagation").str(), "" | "None") {
                value.forbidden(problems, "may only be specified when mountPropagation is None or not specified");
            }
        }
        _ => value.not_supported(problems, &["Disabled", "Enabled", "IfPossible"]),
    }
}

pub fn devices(container: &Field, around: &Around, problems: &mut Problems) {
    let (mounts, devices) = (container.get("volumeMounts"), container.get("volumeDevices"));
    let (mut names, mut paths): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
    for device in devices.items() {
        let (name, path) = (device.get("name"), device.get("devicePath"));
        device_name(&name, around, problems);
        if !name.is_empty() && names.contains(&name.str()) {
            name.invalid(problems, "must be unique");
        }
        names.push(name.str());
        if path.is_empty() {
            path.required(problems, "");
        }
        if paths.contains(&path.str()) {
            path.invalid(problems, "must be unique");
        }
        if path.str().split('/').any(|step| step == "..") {
            path.invalid(problems, "can not contain backsteps ('..')");
        } else {
            paths.push(path.str());
        }
        if mounts.items().any(|m| m.get("name").str() == name.str()) {
            name.invalid(problems, "must not already exist in volumeMounts");
        }
        if mounts.items().any(|m| m.get("mountPath").str() == path.str()) {
            path.invalid(problems, "must not already exist as a path in volumeMounts");
        }
    }
}

fn device_name(name: &Field, around: &Around, problems: &mut Problems) {
    if name.is_empty() {
        name.required(problems, "");
    }
    match around.volumes.iter().find(|v| v.name == name.str()) {
        None => name.not_found(problems),
        Some(volume) if volume.is_claim() => {}
        Some(_) => name
            .invalid(problems, "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode"),
    }
}
