//! `policy.txt` as objects.

use serde_json::{Map, Value, json};

use crate::authz::rules::Rule;

const TEXT: &str = include_str!("policy.txt");
const GROUP: &str = "rbac.authorization.k8s.io";
const PREFIX: &str = "system:controller:";

/// The bootstrap objects, complete with labels and annotations.
#[derive(Default)]
pub struct Policy {
    /// ClusterRoles and Roles.
    pub roles: Vec<Value>,
    /// ClusterRoleBindings and RoleBindings.
    pub bindings: Vec<Value>,
}

impl Policy {
    pub fn rules_of(&self, cluster_role: &str) -> Vec<Rule> {
        let found = self.roles.iter().find(|r| r["metadata"]["name"] == cluster_role);
        found.map(|role| Rule::list(&role["rules"])).unwrap_or_default()
    }
}

/// Reads the built-in text.
///
/// # Errors
/// The line that is not understood; a test reads the text, so that this never happens at run time.
pub fn policy() -> Result<Policy, String> {
    let mut policy = Policy::default();
    for line in TEXT.lines().filter(|l| !l.trim().is_empty() && !l.starts_with('#')) {
        let bad = || format!("bootstrap policy: {line:?} is not understood");
        match line.strip_prefix("  ") {
            Some(detail) => detail_line(&mut policy, detail).ok_or_else(bad)?,
            None => head_line(&mut policy, line).ok_or_else(bad)?,
        }
    }
    Ok(policy)
}

/// `role …`, `bind … to …`, `controller …`. Details belong to the object begun last; a controller's binding is
/// complete at once, so that its details are rules.
fn head_line(policy: &mut Policy, line: &str) -> Option<()> {
    let (word, rest) = line.split_once(' ')?;
    match word {
        "role" => policy.roles.push(object(rest, "Role", json!({"rules": []}))),
        "controller" => {
            let name = format!("{PREFIX}{rest}");
            policy.roles.push(object(&name, "Role", json!({"rules": []})));
            let subject = json!({"kind": "ServiceAccount", "name": rest, "namespace": "kube-system"});
            let role = json!({"apiGroup": GROUP, "kind": "ClusterRole", "name": name});
            policy.bindings.push(object(&name, "RoleBinding", json!({"roleRef": role, "subjects": [subject]})));
        }
        "bind" => {
            let (name, role) = rest.split_once(" to ")?;
            let kind = if name.contains('/') { "Role" } else { "ClusterRole" };
            let role = json!({"apiGroup": GROUP, "kind": kind, "name": role});
            policy.bindings.push(object(name, "RoleBinding", json!({"roleRef": role})));
        }
        _ => return None,
    }
    Some(())
}

fn object(full_name: &str, kind: &str, mut tree: Value) -> Value {
    let (namespace, name) = full_name.split_once('/').unwrap_or(("", full_name));
    tree["apiVersion"] = format!("{GROUP}/v1").into();
    tree["kind"] = if namespace.is_empty() { format!("Cluster{kind}").into() } else { kind.into() };
    tree["metadata"] = json!({
        "name": name,
        "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"},
        "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
    });
    if !namespace.is_empty() {
        tree["metadata"]["namespace"] = namespace.into();
    }
    tree
}

fn detail_line(policy: &mut Policy, detail: &str) -> Option<()> {
    let (word, rest) = detail.split_once(' ')?;
    match word {
        "label" => {
            let labels = &mut policy.roles.last_mut()?["metadata"]["labels"];
            labels[rest] = "true".into();
        }
        "aggregate" => {
            let role = policy.roles.last_mut()?.as_object_mut()?;
            role.insert("aggregationRule".into(), aggregation(rest));
        }
        "user" | "group" | "sa" => {
            let subjects = &mut policy.bindings.last_mut()?["subjects"];
            if subjects.is_null() {
                *subjects = json!([]);
            }
            subjects.as_array_mut()?.push(subject(word, rest)?);
        }
        _ => {
            let role = policy.roles.last_mut()?;
            let mut rule = rule(detail)?;
            let name = role["metadata"]["name"].as_str()?;
            if name.starts_with(PREFIX) || name == "system:kube-controller-manager" {
                allow_patch(&mut rule);
            }
            role["rules"].as_array_mut()?.push(rule);
        }
    }
    Some(())
}

fn aggregation(label: &str) -> Value {
    let labels = Map::from_iter([(label.to_owned(), Value::from("true"))]);
    json!({"clusterRoleSelectors": [{"matchLabels": labels}]})
}

fn subject(sort: &str, name: &str) -> Option<Value> {
    Some(match sort {
        "sa" => {
            let (namespace, name) = name.split_once('/')?;
            json!({"kind": "ServiceAccount", "name": name, "namespace": namespace})
        }
        "user" => json!({"apiGroup": GROUP, "kind": "User", "name": name}),
        _ => json!({"apiGroup": GROUP, "kind": "Group", "name": name}),
    })
}

fn rule(line: &str) -> Option<Value> {
    if let Some((verbs, urls)) = line.split_once(" url ") {
        return Some(json!({"verbs": words(verbs), "nonResourceURLs": words(urls)}));
    }
    let mut parts = line.split(" | ");
    let (verbs, groups, resources) = (parts.next()?, parts.next()?, parts.next()?);
    let groups: Vec<_> = words(groups).into_iter().map(|g| if g == "core" { "" } else { g }).collect();
    let mut rule = json!({"verbs": words(verbs), "apiGroups": groups, "resources": words(resources)});
    if let Some(names) = parts.next() {
        rule["resourceNames"] = words(names).into();
    }
    Some(rule)
}

/// Our controllers plan patches, where upstream's update whole objects (docs/decisions/controllers-patch.md).
fn allow_patch(rule: &mut Value) {
    let Some(verbs) = rule["verbs"].as_array_mut() else { return };
    if verbs.iter().any(|verb| verb == "update") && !verbs.iter().any(|verb| verb == "patch") {
        verbs.push("patch".into());
    }
}

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_understood() {
        let policy = policy().unwrap();
        assert!(policy.roles.len() > 70, "{}", policy.roles.len());
        let bound = |b: &Value| {
            policy.roles.iter().any(|r| {
                r["metadata"]["name"] == b["roleRef"]["name"]
                    && r["kind"] == b["roleRef"]["kind"]
                    && r["metadata"]["namespace"] == b["metadata"]["namespace"]
            })
        };
        assert!(policy.bindings.iter().all(bound));
        assert_eq!(policy.rules_of("cluster-admin"), [Rule::everything(), Rule::every_path()]);
    }
}
