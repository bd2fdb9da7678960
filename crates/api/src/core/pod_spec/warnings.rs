//! Warnings about pod specs that are allowed and unlikely to be meant.

use machinery::tree;
use serde_json::Value;

use super::CONTAINER_LISTS;
use super::annotations::{SECCOMP_CONTAINER, SECCOMP_POD};
use crate::cursor::Field;
use crate::rule;

/// Labels of nodes that got other names; topology keys, selectors and affinity still work with them for now.
const OLD_NODE_LABELS: [(&str, &str); 5] = [
    ("beta.kubernetes.io/arch", "deprecated since v1.14; use \"kubernetes.io/arch\" instead"),
    ("beta.kubernetes.io/os", "deprecated since v1.14; use \"kubernetes.io/os\" instead"),
    (
        "failure-domain.beta.kubernetes.io/region",
        "deprecated since v1.17; use \"topology.kubernetes.io/region\" instead",
    ),
    ("failure-domain.beta.kubernetes.io/zone", "deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead"),
    ("beta.kubernetes.io/instance-type", "deprecated since v1.17; use \"node.kubernetes.io/instance-type\" instead"),
];
const OLD_ANNOTATIONS: [(&str, &str); 3] = [
    (
        "scheduler.alpha.kubernetes.io/critical-pod",
        "non-functional in v1.16+; use the \"priorityClassName\" field instead",
    ),
    ("security.alpha.kubernetes.io/sysctls", "non-functional in v1.11+; use the \"sysctls\" field instead"),
    ("security.alpha.kubernetes.io/unsafe-sysctls", "non-functional in v1.11+; use the \"sysctls\" field instead"),
];
const OLD_VOLUMES: [(&str, &str); 9] = [
    ("photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
    ("gitRepo", "deprecated in v1.11, and disabled by default in v1.33+"),
    ("scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
    ("flocker", "deprecated in v1.22, non-functional in v1.25+"),
    ("storageos", "deprecated in v1.22, non-functional in v1.25+"),
    ("quobyte", "deprecated in v1.22, non-functional in v1.25+"),
    ("glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
    ("cephfs", "deprecated in v1.28, non-functional in v1.31+"),
    ("rbd", "deprecated in v1.28, non-functional in v1.31+"),
];

/// What is deprecated about a node label, when it is.
pub fn label_warning(label: &str) -> Option<&'static str> {
    OLD_NODE_LABELS.iter().find(|(old, _)| *old == label).map(|(_, text)| *text)
}

/// Of a pod (the root) or a template at its place; the old one (null on create) is there for what was so before.
pub fn template(holder: &Field, _old: &Value) -> Vec<String> {
    let spec = holder.get("spec");
    let mut out = Vec::new();
    node_labels(&spec, &mut out);
    spread(&spec, &mut out);
    annotations(holder, &mut out);
    volumes(&spec, &mut out);
    duplicates(&spec.get("hostAliases"), "ip", &mut out);
    duplicates(&spec.get("imagePullSecrets"), "name", &mut out);
    for secret in spec.get("imagePullSecrets").items().filter(|s| s.get("name").is_empty()) {
        out.push(format!("{}: invalid empty name \"\"", secret.get("name").path()));
    }
    for list in CONTAINER_LISTS {
        for container in spec.get(list).items() {
            fractions(&container.get("resources"), &mut out);
            hidden_variables(&container.get("env"), &mut out);
        }
    }
    ports(&spec, &mut out);
    if spec.get("terminationGracePeriodSeconds").num() < 0 {
        let path = spec.get("terminationGracePeriodSeconds").path();
        out.push(format!("{path}: must be >= 0; negative values are invalid and will be treated as 1"));
    }
    null_selectors(&spec, &mut out);
    out
}

fn node_labels(spec: &Field, out: &mut Vec<String>) {
    for (key, value) in spec.get("nodeSelector").entries() {
        if let Some(text) = label_warning(key) {
            out.push(format!("{}: {text}", value.path()));
        }
    }
    let nodes = spec.get("affinity.nodeAffinity");
    let required = nodes.get("requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms");
    for term in required.items() {
        term_labels(&term, out);
    }
    for preferred in nodes.get("preferredDuringSchedulingIgnoredDuringExecution").items() {
        term_labels(&preferred.get("preference"), out);
    }
}

fn term_labels(term: &Field, out: &mut Vec<String>) {
    for expression in term.get("matchExpressions").items() {
        let key = expression.get("key");
        if let Some(text) = label_warning(key.str()) {
            out.push(format!("{}: {} is {text}", key.path(), key.str()));
        }
    }
}

fn spread(spec: &Field, out: &mut Vec<String>) {
    for constraint in spec.get("topologySpreadConstraints").items() {
        let key = constraint.get("topologyKey");
        if let Some(text) = label_warning(key.str()) {
            out.push(format!("{}: {} is {text}", key.path(), key.str()));
        }
        null_selector(&constraint.get("labelSelector"), out);
    }
}

fn null_selector(selector: &Field, out: &mut Vec<String>) {
    if !selector.is_set() {
        out.push(format!("{}: a null labelSelector results in matching no pod", selector.path()));
    }
}

fn null_selectors(spec: &Field, out: &mut Vec<String>) {
    for direction in ["affinity.podAffinity", "affinity.podAntiAffinity"] {
        let direction = spec.get(direction);
        for term in direction.get("requiredDuringSchedulingIgnoredDuringExecution").items() {
            null_selector(&term.get("labelSelector"), out);
        }
        for term in direction.get("preferredDuringSchedulingIgnoredDuringExecution").items() {
            null_selector(&term.get("podAffinityTerm.labelSelector"), out);
        }
    }
}

fn annotations(holder: &Field, out: &mut Vec<String>) {
    const SECCOMP: &str = "non-functional in v1.27+; use the \"seccompProfile\" field instead";
    let spec = holder.get("spec");
    for (key, value) in holder.get("metadata.annotations").entries() {
        if let Some((_, text)) = OLD_ANNOTATIONS.iter().find(|(old, _)| *old == key) {
            out.push(format!("{}: {text}", value.path()));
        }
        let pod = key == SECCOMP_POD && !spec.get("securityContext.seccompProfile").is_set();
        let container = key.strip_prefix(SECCOMP_CONTAINER).is_some_and(|name| {
            super::all_containers(spec.value)
                .any(|c| c["name"] == name && tree::get(c, "securityContext.seccompProfile").is_null())
        });
        if pod || container {
            out.push(format!("{}: {SECCOMP}", value.path()));
        }
    }
}

fn volumes(spec: &Field, out: &mut Vec<String>) {
    for volume in spec.get("volumes").items() {
        for (source, text) in OLD_VOLUMES {
            if volume.get(source).is_set() {
                out.push(format!("{}: {text}", volume.get(source).path()));
            }
        }
    }
}

fn duplicates(list: &Field, field: &str, out: &mut Vec<String>) {
    let mut seen: Vec<&str> = Vec::new();
    for item in list.items() {
        let at = item.get(field);
        if seen.contains(&at.str()) {
            out.push(format!("{}: duplicate {field} {:?}", at.path(), at.str()));
        }
        seen.push(at.str());
    }
}

/// Bytes are whole.
fn fractions(resources: &Field, out: &mut Vec<String>) {
    for list in ["limits", "requests"] {
        for name in ["memory", "ephemeral-storage"] {
            let list = resources.get(list);
            let at = list.key(name);
            if let Some(quantity) = rule::quantity(&at).filter(|q| q.milli_value() % 1000 != 0) {
                out.push(format!("{}: fractional byte value \"{quantity}\" is invalid, must be an integer", at.path()));
            }
        }
    }
}

/// A variable set twice, where the second does not build on the first.
fn hidden_variables(variables: &Field, out: &mut Vec<String>) {
    let mut seen: Vec<&str> = Vec::new();
    for variable in variables.items() {
        let (name, value) = (variable.get("name").str(), variable.get("value").str());
        if !seen.contains(&name) {
            seen.push(name);
            continue;
        }
        let reference = format!("$({name})");
        if variable.get("valueFrom").is_set() || value == reference || !value.contains(&reference) {
            out.push(format!(
                "{}: hides previous definition of {name:?}, which may be dropped when using apply",
                variable.path()
            ));
        }
    }
}

fn ports(spec: &Field, out: &mut Vec<String>) {
    let mut seen: Vec<(i64, &str, i64, &str, String)> = Vec::new();
    for list in CONTAINER_LISTS {
        for container in spec.get(list).items() {
            for port in container.get("ports").items() {
                let (number, protocol) = (port.get("containerPort").num(), port.get("protocol").str());
                let (host, ip) = (port.get("hostPort").num(), port.get("hostIP").str());
                for (_, _, other_host, other_ip, at) in seen.iter().filter(|s| s.0 == number && s.1 == protocol) {
                    let what = match () {
                        () if ip == *other_ip && host == *other_host => "duplicate",
                        () if host == 0 || *other_host == 0 => "overlapping",
                        () if host == *other_host && ip.is_empty() != other_ip.is_empty() => "dangerously ambiguous",
                        () => continue,
                    };
                    out.push(format!("{}: {what} port definition with {at}", port.path()));
                }
                seen.push((number, protocol, host, ip, port.path().to_string()));
            }
        }
    }
}
