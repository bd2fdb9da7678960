//! The node authorizer: what `system:node:NAME` in `system:nodes` may do.
//!
//! Source: <https://kubernetes.io/docs/reference/access-authn-authz/node/>. What a node may write into its own
//! objects is admission's business (NodeRestriction).

use super::Decision;
use super::attributes::{Attributes, Target};
use super::graph::{Graph, Sort};
use super::rules::Rule;

const LEASE_NAMESPACE: &str = "kube-node-lease";

fn allow() -> Decision {
    Decision::Allow(String::new())
}

fn no(reason: impl Into<String>) -> Decision {
    Decision::NoOpinion(reason.into())
}

/// Whether the answer depends on which pods are on the node.
pub fn depends_on_graph(asked: &Attributes) -> bool {
    matches!(&asked.target, Target::Resource { group, resource, .. } if sort_of(group, resource).is_some())
}

fn sort_of(group: &str, resource: &str) -> Option<Sort> {
    Some(match (group, resource) {
        ("", "secrets") => Sort::Secret,
        ("", "configmaps") => Sort::ConfigMap,
        ("", "persistentvolumeclaims") => Sort::Claim,
        ("", "persistentvolumes") => Sort::Volume,
        ("", "serviceaccounts") => Sort::ServiceAccount,
        ("", "pods") => Sort::Pod,
        ("storage.k8s.io", "volumeattachments") => Sort::Attachment,
        ("resource.k8s.io", "resourceclaims") => Sort::ResourceClaim,
        _ => return None,
    })
}

pub fn decide(node: &str, asked: &Attributes, rules: &[Rule], graph: &Graph) -> Decision {
    let by_rules = || if rules.iter().any(|r| r.allows(asked)) { allow() } else { no("") };
    let Target::Resource { group, resource, subresource, namespace, name, node_selected, .. } = &asked.target else {
        return by_rules();
    };
    let verb = asked.verb.as_str();
    let related = |sort| {
        if name.is_empty() {
            no("No Object name found")
        } else if graph.reaches(node, sort, namespace, name) {
            allow()
        } else {
            no(format!("no relationship found between node '{node}' and this object"))
        }
    };
    match (sort_of(group, resource), resource.as_str()) {
        (Some(sort @ (Sort::Secret | Sort::ConfigMap)), _) => match verb {
            "get" | "list" | "watch" if !subresource.is_empty() => no("cannot read subresource"),
            "get" | "list" | "watch" if namespace.is_empty() => no("can only read namespaced object of this type"),
            "get" | "list" | "watch" => related(sort),
            _ => no("can only read resources of this type"),
        },
        (Some(Sort::Claim), _) if subresource == "status" => match verb {
            "update" | "patch" => related(Sort::Claim),
            _ => no("can only get/update/patch this type"),
        },
        (Some(Sort::ServiceAccount), _) => match (verb, subresource.as_str()) {
            ("create", _) if name.is_empty() => no("can only create tokens for individual service accounts"),
            ("create", "token") => related(Sort::ServiceAccount),
            ("create", _) => no("can only create token subresource of serviceaccount"),
            _ => no("can only create tokens for individual service accounts"),
        },
        (Some(Sort::Pod), _) if subresource.is_empty() => match verb {
            "get" => related(Sort::Pod),
            "list" | "watch" if !name.is_empty() => related(Sort::Pod),
            "list" | "watch" if node_selected.as_deref() == Some(node) => allow(),
            "list" | "watch" => no("can only list/watch pods with spec.nodeName field selector"),
            _ => by_rules(),
        },
        (Some(Sort::Pod), _) => by_rules(),
        (Some(sort), _) => match verb {
            "get" if !subresource.is_empty() => no("cannot get subresource"),
            "get" => related(sort),
            _ => no("can only get individual resources of this type"),
        },
        (None, "nodes") if group.is_empty() => itself(node, verb, name, subresource),
        (None, "leases") if group == "coordination.k8s.io" => lease(node, verb, namespace, name),
        (None, "csinodes") if group == "storage.k8s.io" => own("CSINode", node, verb, name, subresource),
        _ => by_rules(),
    }
}

/// What a node may do with nodes; of which it may write, and what, NodeRestriction says.
fn itself(node: &str, verb: &str, name: &str, subresource: &str) -> Decision {
    match (subresource, verb) {
        ("", "create" | "update" | "patch") | ("status", "update" | "patch") => allow(),
        ("", "get" | "list" | "watch") if name == node => allow(),
        ("", "get" | "list" | "watch") if name.is_empty() => {
            no(format!("node '{node}' cannot read all nodes, only its own Node object"))
        }
        ("", "get" | "list" | "watch") => no(format!("node '{node}' cannot read '{name}', only its own Node object")),
        _ => no(""),
    }
}

fn lease(node: &str, verb: &str, namespace: &str, name: &str) -> Decision {
    if !matches!(verb, "get" | "create" | "update" | "patch" | "delete") {
        return no("can only get, create, update, patch, or delete a node lease");
    }
    if namespace != LEASE_NAMESPACE {
        return no(format!("can only access leases in the {LEASE_NAMESPACE:?} system namespace"));
    }
    if verb != "create" && name != node {
        return no("can only access node lease with the same name as the requesting node");
    }
    allow()
}

fn own(kind: &str, node: &str, verb: &str, name: &str, subresource: &str) -> Decision {
    if !matches!(verb, "get" | "create" | "update" | "patch" | "delete") {
        return no(format!("can only get, create, update, patch, or delete a {kind}"));
    }
    if !subresource.is_empty() {
        return no(format!("cannot authorize {kind} subresources"));
    }
    if verb != "create" && name != node {
        return no(format!("can only access {kind} with the same name as the requesting node"));
    }
    allow()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn asked(verb: &str, group: &str, resource: &str, rest: [&str; 3]) -> Attributes {
        Attributes::resource(verb, group, resource, rest)
    }

    #[test]
    fn secrets_only_of_own_pods() {
        let mut graph = Graph::default();
        graph.put_pod(&json!({"metadata": {"name": "p", "namespace": "ns"}, "spec": {"nodeName": "n1",
            "serviceAccountName": "sa", "volumes": [{"name": "v", "secret": {"secretName": "s"}}]}}));
        let ok = |a: &Attributes| decide("n1", a, &[], &graph).allowed();
        assert!(ok(&asked("get", "", "secrets", ["ns", "s", ""])));
        assert!(!ok(&asked("get", "", "secrets", ["ns", "t", ""])));
        assert!(!ok(&asked("list", "", "secrets", ["ns", "", ""])));
        assert!(!ok(&asked("update", "", "secrets", ["ns", "s", ""])));
        assert!(ok(&asked("create", "", "serviceaccounts", ["ns", "sa", "token"])));
        assert!(ok(&asked("update", "coordination.k8s.io", "leases", ["kube-node-lease", "n1", ""])));
        assert!(!ok(&asked("update", "coordination.k8s.io", "leases", ["kube-node-lease", "n2", ""])));
        assert!(!ok(&asked("list", "", "pods", ["", "", ""])));
        for (verb, name, subresource, expected) in [
            ("get", "n1", "", true),
            ("watch", "n1", "", true),
            ("get", "n2", "", false),
            ("list", "", "", false),
            ("create", "", "", true),
            ("patch", "n1", "status", true),
            ("delete", "n1", "", false),
            ("get", "n1", "proxy", false),
        ] {
            assert_eq!(ok(&asked(verb, "", "nodes", ["", name, subresource])), expected, "{verb} {name} {subresource}");
        }
    }
}
