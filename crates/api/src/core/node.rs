//! Node: a machine that runs pods.
//!
//! Source: <https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/node-v1/>.

use machinery::field::{Problems, Wrong};
use machinery::tree;
use serde_json::{Value, json};

use crate::column::{self, text_or};
use crate::core::pod_spec::{resources, scheduling};
use crate::cursor::Field;
use crate::kind::{Kind, Scope, Subresource};
use crate::rule;
use crate::status;

pub static KIND: Kind = Kind {
    kind: "Node",
    plural: "nodes",
    singular: "node",
    short_names: &["no"],
    scope: Scope::Cluster,
    definition: "io.k8s.api.core.v1.Node",
    subresources: &[
        Subresource::named("proxy", "NodeProxyOptions", &["create", "delete", "get", "patch", "update"]),
        Subresource::status("Node"),
    ],
    set_defaults,
    // A kubelet registers with a status: it is not cleared on create.
    prepare_update: status::keep,
    validate,
    validate_update,
    validate_status: |new, old, problems| {
        validate(new, problems);
        validate_update(new, old, problems);
    },
    selectable: &[("spec.unschedulable", |object| {
        object["spec"]["unschedulable"].as_bool().unwrap_or(false).to_string()
    })],
    columns: &[
        column::NAME,
        column::text("Status", "The status of the node"),
        column::text("Roles", "The roles of the node"),
        column::AGE,
        column::text("Version", "Kubelet Version reported by the node."),
        column::wide("Internal-IP", "List of addresses reachable to the node."),
        column::wide("External-IP", "List of addresses reachable to the node."),
        column::wide(
            "OS-Image",
            "OS Image reported by the node from /etc/os-release (e.g. Debian GNU/Linux 7 (wheezy)).",
        ),
        column::wide(
            "Kernel-Version",
            "Kernel Version reported by the node from 'uname -r' (e.g. 3.16.0-0.bpo.4-amd64).",
        ),
        column::wide(
            "Container-Runtime",
            "ContainerRuntime Version reported by the node through runtime remote API (e.g. containerd://1.4.2).",
        ),
    ],
    cells: |object, now| {
        vec![
            column::name(object),
            status_cell(object).into(),
            roles(object).into(),
            column::age(object, now),
            tree::str(object, "status.nodeInfo.kubeletVersion").into(),
            address(object, "InternalIP").into(),
            address(object, "ExternalIP").into(),
            text_or(object, "status.nodeInfo.osImage", "<unknown>").into(),
            text_or(object, "status.nodeInfo.kernelVersion", "<unknown>").into(),
            text_or(object, "status.nodeInfo.containerRuntimeVersion", "<unknown>").into(),
        ]
    },
    ..Kind::BASE
};

/// The single range of pods is the first of the list; what can be used is all there is, unless said otherwise.
fn set_defaults(object: &mut Value) {
    let single = tree::str(object, "spec.podCIDR").to_owned();
    let first = tree::items(object, "spec.podCIDRs").first().and_then(Value::as_str).unwrap_or("").to_owned();
    if first.is_empty() && !single.is_empty() {
        tree::set(object, "spec.podCIDRs", json!([single]));
    } else if single.is_empty() && !first.is_empty() {
        tree::set(object, "spec.podCIDR", first);
    }
    let capacity = tree::get(object, "status.capacity").clone();
    if !capacity.is_null() {
        tree::default(object, "status.allocatable", capacity);
    }
}

/// Upstream reports taints below `metadata`, and amounts by dotted names.
fn validate(object: &Value, problems: &mut Problems) {
    let root = Field::root(object);
    let taints = root.get("metadata.taints");
    scheduling::taints(&taints.with(&object["spec"]["taints"]), problems);
    for list in ["capacity", "allocatable"] {
        let at = root.get("status").value.get(list).unwrap_or(&Value::Null);
        for (name, value) in at.as_object().into_iter().flatten() {
            let path = format!("status.{list}.{name}");
            resources::quantity(name, &Field::standing(value, &path), problems);
        }
    }
    pod_ranges(&root.get("spec.podCIDRs"), problems);
    addresses(&root.get("status.addresses"), problems);
}

fn pod_ranges(ranges: &Field, problems: &mut Problems) {
    let mut families: Vec<bool> = Vec::new();
    for range in ranges.items() {
        match machinery::validation::parse_cidr(range.str()) {
            None => range.with(ranges.value).invalid(problems, "must be valid CIDR"),
            Some((address, _)) => families.push(address.is_ipv6()),
        }
    }
    let two = families.len() == 2 && families[0] != families[1];
    if ranges.len() > 1 && !two {
        ranges.invalid(problems, "may specify no more than one CIDR for each IP family");
    }
}

fn addresses(addresses: &Field, problems: &mut Problems) {
    let items = addresses.value.as_array().map_or(&[][..], Vec::as_slice);
    for (i, address) in items.iter().enumerate() {
        if items[..i].contains(address) {
            addresses.index(i).wrong(problems, Wrong::Duplicate(address.clone()), "");
        }
    }
}

fn validate_update(new: &Value, old: &Value, problems: &mut Problems) {
    let (root, before) = (Field::root(new), Field::root(old));
    let ranges = root.get("spec.podCIDRs");
    if !before.get("spec.podCIDRs").is_empty() && ranges.value != before.get("spec.podCIDRs").value {
        ranges.forbidden(problems, "node updates may not change podCIDR except from \"\" to valid");
    }
    let provider = before.get("spec.providerID").str();
    if !provider.is_empty() && root.get("spec.providerID").str() != provider {
        let at = root.get("spec.providerID");
        at.forbidden(problems, "node updates may not change providerID except from \"\" to valid");
    }
    if root.get("spec.externalID").str() != before.get("spec.externalID").str() {
        root.get("spec.externalID").forbidden(problems, "may not be updated");
    }
    let source = root.get("spec.configSource");
    if source.is_set() && source.get("configMap").is_set() {
        rule::required(&source.get("configMap.name"), problems);
    } else if source.is_set() {
        source.invalid(problems, "exactly one reference subfield must be non-nil");
    }
}

fn status_cell(object: &Value) -> String {
    let ready = tree::items(object, "status.conditions").iter().rfind(|c| c["type"] == "Ready");
    let mut text = match ready {
        Some(condition) if condition["status"] == "True" => "Ready".to_owned(),
        Some(_) => "NotReady".to_owned(),
        None => "Unknown".to_owned(),
    };
    if object["spec"]["unschedulable"].as_bool().unwrap_or(false) {
        text.push_str(",SchedulingDisabled");
    }
    text
}

/// `node-role.kubernetes.io/ROLE` and `kubernetes.io/role=ROLE`, sorted.
fn roles(object: &Value) -> String {
    let mut roles: Vec<&str> = Vec::new();
    for (key, value) in object["metadata"]["labels"].as_object().into_iter().flatten() {
        match key.strip_prefix("node-role.kubernetes.io/") {
            Some(role) if !role.is_empty() => roles.push(role),
            None if key == "kubernetes.io/role" => roles.extend(value.as_str().filter(|role| !role.is_empty())),
            _ => {}
        }
    }
    roles.sort_unstable();
    roles.dedup();
    if roles.is_empty() { "<none>".to_owned() } else { roles.join(",") }
}

fn address<'a>(object: &'a Value, kind: &str) -> &'a str {
    let address = tree::items(object, "status.addresses").iter().find(|a| a["type"] == kind);
    address.and_then(|a| a["address"].as_str()).unwrap_or("<none>")
}

#[cfg(test)]
mod tests {
    use crate::testing::{problems, update_problems};

    use super::*;

    #[test]
    fn a_cordoned_node_says_so() {
        let node = json!({
            "metadata": {"name": "a", "labels": {"node-role.kubernetes.io/control-plane": ""}},
            "spec": {"unschedulable": true}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}});
        let cells = (KIND.cells)(&node, jiff::Timestamp::UNIX_EPOCH);
        assert_eq!(cells[1], "Ready,SchedulingDisabled");
        assert_eq!(cells[2], "control-plane");
    }

    #[test]
    fn taints_are_one_of_a_kind() {
        let node =
            json!({"spec": {"taints": [{"key": "a", "effect": "NoSchedule"}, {"key": "a", "effect": "NoSchedule"}]}});
        assert_eq!(
            problems(&KIND, &node),
            "metadata.taints[1]: Duplicate value: {\"effect\":\"NoSchedule\",\"key\":\"a\"}: \
             taints must be unique by key and effect pair"
        );
    }

    #[test]
    fn a_range_of_pods_stays() {
        let range = |cidr: &str| json!({"spec": {"podCIDRs": [cidr]}});
        assert_eq!(update_problems(&KIND, &range("10.0.0.0/24"), &json!({})), "");
        assert_eq!(
            update_problems(&KIND, &range("10.0.0.0/24"), &range("10.0.1.0/24")),
            "spec.podCIDRs: Forbidden: node updates may not change podCIDR except from \"\" to valid"
        );
    }
}
