//! Environment variables and where their values come from.

use machinery::field::Problems;

use super::containers::Around;
use crate::cursor::Field;
use crate::rule;

const ENV_FIELDS: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];
pub const VOLUME_FIELDS: [&str; 5] =
    ["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];
const RESOURCES: [&str; 6] = [
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];
const CPU_DIVISORS: [&str; 2] = ["1m", "1"];
const BYTE_DIVISORS: [&str; 13] = ["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];

pub fn variables(variables: &Field, around: &Around, problems: &mut Problems) {
    for variable in variables.items() {
        let name = variable.get("name");
        if name.is_empty() {
            name.required(problems, "");
        } else {
            rule::env_name(&name, problems);
        }
        if variable.get("valueFrom").is_set() {
            value_from(&variable, around, problems);
        }
    }
}

fn value_from(variable: &Field, around: &Around, problems: &mut Problems) {
    let source = variable.get("valueFrom");
    let mut sources = 0;
    let field = source.get("fieldRef");
    if field.is_set() {
        sources += 1;
        field_ref(&field, &ENV_FIELDS, problems);
    }
    let resource = source.get("resourceFieldRef");
    if resource.is_set() {
        sources += 1;
        resource_ref(&resource, false, problems);
    }
    for key in ["configMapKeyRef", "secretKeyRef"] {
        let key = source.get(key);
        if key.is_set() {
            sources += 1;
            key_ref(&key, problems);
        }
    }
    let file = source.get("fileKeyRef");
    if file.is_set() {
        sources += 1;
        file_ref(&file, around, problems);
    }
    let detail = match sources {
        0 => "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`",
        _ if !variable.get("value").is_empty() => "may not be specified when `value` is not empty",
        1 => return,
        _ => "may not have more than one field specified at a time",
    };
    source.invalid_as(problems, "", detail);
}

/// A name and a key of a ConfigMap or Secret.
pub fn key_ref(reference: &Field, problems: &mut Problems) {
    let name = reference.get("name");
    for message in rule::dns_subdomain_messages(name.str()) {
        name.invalid_as(problems, name.str(), message);
    }
    match reference.get("key") {
        key if key.is_empty() => key.required(problems, ""),
        key => key.messages(problems, rule::config_key_messages(key.str())),
    }
}

fn file_ref(file: &Field, around: &Around, problems: &mut Problems) {
    for field in ["key", "volumeName", "path"] {
        if file.get(field).is_empty() {
            file.get(field).required(problems, "");
        }
    }
    let volume = file.get("volumeName");
    if !volume.is_empty() && !around.volumes.iter().any(|v| v.name == volume.str()) {
        volume.not_found(problems);
    }
    if !file.get("path").is_empty() {
        rule::local_path(&file.get("path"), problems);
    }
}

/// A field of the pod; labels and annotations may name one by subscript.
pub fn field_ref(reference: &Field, supported: &[&str], problems: &mut Problems) {
    let path = reference.get("fieldPath");
    if reference.get("apiVersion").is_empty() {
        return reference.get("apiVersion").required(problems, "");
    }
    if path.is_empty() {
        return path.required(problems, "");
    }
    match subscript(path.str()) {
        Some(("metadata.annotations", key)) => {
            let key = key.to_lowercase();
            for message in rule::qualified_name_messages(&key) {
                reference.invalid_as(problems, key.as_str(), message);
            }
        }
        Some(("metadata.labels", key)) => {
            for message in rule::qualified_name_messages(key) {
                reference.invalid_as(problems, key, message);
            }
        }
        Some((other, _)) => path.invalid(problems, unknown_field(other, path.str())),
        None if supported.contains(&path.str()) => {}
        None if is_field(path.str()) => path.not_supported(problems, supported),
        None => path.invalid(problems, unknown_field(path.str(), path.str())),
    }
}

fn unknown_field(path: &str, whole: &str) -> String {
    if is_field(path) {
        return format!("error converting fieldPath: field label does not support subscript: {whole}");
    }
    format!("error converting fieldPath: field label not supported: {whole}")
}

/// Every field that the downward API knows, in variables or in volumes.
fn is_field(path: &str) -> bool {
    const MORE: [&str; 2] = ["spec.restartPolicy", "spec.schedulerName"];
    const STATUS: [&str; 1] = ["status.phase"];
    ENV_FIELDS.contains(&path) || VOLUME_FIELDS.contains(&path) || MORE.contains(&path) || STATUS.contains(&path)
}

/// `metadata.labels['key']` taken apart.
fn subscript(path: &str) -> Option<(&str, &str)> {
    let (head, rest) = path.split_once("['")?;
    Some((head, rest.strip_suffix("']")?))
}

pub fn resource_ref(reference: &Field, in_volume: bool, problems: &mut Problems) {
    let (container, resource) = (reference.get("containerName"), reference.get("resource"));
    let name = resource.str();
    let huge = name.starts_with("requests.hugepages-") || name.starts_with("limits.hugepages-");
    if in_volume && container.is_empty() {
        container.required(problems, "");
    } else if resource.is_empty() {
        resource.required(problems, "");
    } else if !RESOURCES.contains(&name) && !huge {
        resource.not_supported(problems, &RESOURCES);
    }
    divisor(reference, name, problems);
}

fn divisor(reference: &Field, resource: &str, problems: &mut Problems) {
    let divisor = reference.get("divisor");
    let Some(quantity) = rule::quantity(&divisor).filter(|q| !q.is_zero()) else { return };
    let (noun, supported): (&str, &[&str]) = match resource.split_once('.').map(|(_, r)| r) {
        Some("cpu") => ("cpu", &CPU_DIVISORS),
        Some("memory") => ("memory", &BYTE_DIVISORS),
        Some("ephemeral-storage") => ("local ephemeral storage", &BYTE_DIVISORS),
        Some(huge) if huge.starts_with("hugepages-") => ("hugepages", &BYTE_DIVISORS),
        _ => return,
    };
    if !supported.contains(&quantity.to_string().as_str()) {
        let values = match noun {
            "cpu" => "1m and 1".to_owned(),
            _ => supported.join(", "),
        };
        let detail = format!("only divisor's values {values} are supported with the {noun} resource");
        divisor.invalid_as(problems, resource, detail);
    }
}

/// `envFrom`: whole ConfigMaps and Secrets.
pub fn from(sources: &Field, problems: &mut Problems) {
    for source in sources.items() {
        let prefix = source.get("prefix");
        if !prefix.is_empty() {
            rule::env_name(&prefix, problems);
        }
        let mut count = 0;
        for reference in ["configMapRef", "secretRef"] {
            let reference = source.get(reference);
            if !reference.is_set() {
                continue;
            }
            count += 1;
            match reference.get("name") {
                name if name.is_empty() => name.required(problems, ""),
                name => {
                    rule::dns_subdomain(&name, problems);
                }
            }
        }
        match count {
            0 => sources.invalid_as(problems, "", "must specify one of: `configMapRef` or `secretRef`"),
            1 => {}
            _ => sources.invalid_as(problems, "", "may not have more than one field specified at a time"),
        }
    }
}
