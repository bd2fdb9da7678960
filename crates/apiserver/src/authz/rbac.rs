//! Roles and bindings, indexed by subject, so that a decision looks only at what is bound to the user.
//!
//! Aggregated ClusterRoles are resolved here as well as in the stored object: the controller that fills in their
//! `rules` may not have run yet.

use std::collections::{BTreeMap, BTreeSet};

use machinery::identity::User;
use serde_json::Value;

use super::Decision;
use super::attributes::{Attributes, Target};
use super::rules::{Rule, Subject};

/// Namespace (empty for cluster-wide) and name.
type Key = (String, String);

#[derive(Default)]
struct Role {
    labels: BTreeMap<String, String>,
    rules: Vec<Rule>,
    /// `aggregationRule.clusterRoleSelectors`, labels only.
    aggregates: Vec<BTreeMap<String, String>>,
}

struct Binding {
    subjects: Vec<Subject>,
    /// Where the role is: empty namespace for a ClusterRole.
    role: Key,
    role_kind: String,
    /// `"RoleBinding" reader/ns`, as upstream's reason names it.
    shown: [String; 2],
}

#[derive(Default)]
pub struct Index {
    roles: BTreeMap<Key, Role>,
    bindings: BTreeMap<Key, Binding>,
    by_subject: BTreeMap<Subject, BTreeSet<Key>>,
}

impl Index {
    pub fn put_role(&mut self, tree: &Value) {
        let selectors = tree["aggregationRule"]["clusterRoleSelectors"].as_array();
        let aggregates = selectors.into_iter().flatten().map(|s| strings(&s["matchLabels"])).collect();
        let role = Role { labels: strings(&tree["metadata"]["labels"]), rules: Rule::list(&tree["rules"]), aggregates };
        self.roles.insert(key_of(tree), role);
    }

    pub fn delete_role(&mut self, tree: &Value) {
        self.roles.remove(&key_of(tree));
    }

    pub fn put_binding(&mut self, tree: &Value) {
        self.delete_binding(tree);
        let key = key_of(tree);
        let namespace = key.0.as_str();
        let subjects = tree["subjects"].as_array().into_iter().flatten();
        let subjects: Vec<_> = subjects.filter_map(|s| Subject::of(s, namespace)).collect();
        let role_kind = text(&tree["roleRef"]["kind"]);
        let role_name = text(&tree["roleRef"]["name"]);
        let home = if role_kind == "Role" { namespace.to_owned() } else { String::new() };
        for subject in &subjects {
            self.by_subject.entry(subject.clone()).or_default().insert(key.clone());
        }
        let kind = if namespace.is_empty() { "ClusterRoleBinding" } else { "RoleBinding" };
        let full = if namespace.is_empty() { key.1.clone() } else { format!("{}/{}", key.1, namespace) };
        let binding = Binding { subjects, role: (home, role_name), role_kind, shown: [kind.into(), full] };
        self.bindings.insert(key, binding);
    }

    pub fn delete_binding(&mut self, tree: &Value) {
        let key = key_of(tree);
        let Some(old) = self.bindings.remove(&key) else { return };
        for subject in old.subjects {
            if let Some(keys) = self.by_subject.get_mut(&subject) {
                keys.remove(&key);
                if keys.is_empty() {
                    self.by_subject.remove(&subject);
                }
            }
        }
    }

    pub fn decide(&self, user: &User, asked: &Attributes) -> Decision {
        let namespace = match &asked.target {
            Target::Resource { namespace, .. } => namespace.as_str(),
            Target::Path(_) => "",
        };
        let mut dangling = Vec::new();
        for subject in Subject::all_of(user) {
            for binding in self.bound(&subject, namespace) {
                let Some(role) = self.roles.get(&binding.role) else {
                    dangling.push(missing_role(binding));
                    continue;
                };
                if self.role_allows(role, asked) {
                    return Decision::Allow(reason(binding, &subject));
                }
            }
        }
        dangling.sort();
        dangling.dedup();
        match dangling.as_slice() {
            [] => Decision::NoOpinion(String::new()),
            [only] => Decision::NoOpinion(format!("RBAC: {only}")),
            many => Decision::NoOpinion(format!("RBAC: [{}]", many.join(", "))),
        }
    }

    pub fn rules_for(&self, user: &User, namespace: &str) -> Vec<Rule> {
        let mut seen = BTreeSet::new();
        let mut rules = Vec::new();
        for subject in Subject::all_of(user) {
            for binding in self.bound(&subject, namespace) {
                if seen.insert(&binding.shown)
                    && let Some(role) = self.roles.get(&binding.role)
                {
                    rules.extend(self.resolved(role));
                }
            }
        }
        rules
    }

    pub fn role_rules(&self, kind: &str, namespace: &str, name: &str) -> Option<Vec<Rule>> {
        let home = if kind == "Role" { namespace } else { "" };
        self.roles.get(&(home.to_owned(), name.to_owned())).map(|role| self.resolved(role))
    }

    /// Cluster-wide bindings of a subject, and those of the namespace.
    fn bound<'a>(&'a self, subject: &Subject, namespace: &'a str) -> impl Iterator<Item = &'a Binding> {
        let keys = self.by_subject.get(subject).into_iter().flatten();
        keys.filter(move |(home, _)| home.is_empty() || home == namespace).filter_map(|key| self.bindings.get(key))
    }

    fn role_allows(&self, role: &Role, asked: &Attributes) -> bool {
        role.rules.iter().any(|rule| rule.allows(asked))
            || (!role.aggregates.is_empty() && self.resolved(role).iter().any(|rule| rule.allows(asked)))
    }

    /// A role's rules with those it aggregates, through roles that aggregate themselves (admin ← edit ← view).
    fn resolved(&self, role: &Role) -> Vec<Rule> {
        let mut rules = role.rules.clone();
        let mut seen = BTreeSet::new();
        let mut waiting: Vec<&BTreeMap<String, String>> = role.aggregates.iter().collect();
        while let Some(selector) = waiting.pop() {
            for (key, other) in self.roles.range((String::new(), String::new())..) {
                if !key.0.is_empty() {
                    break;
                }
                let chosen = !selector.is_empty() && selector.iter().all(|(k, v)| other.labels.get(k) == Some(v));
                if chosen && seen.insert(key) {
                    rules.extend(other.rules.iter().cloned());
                    waiting.extend(&other.aggregates);
                }
            }
        }
        rules
    }
}

fn reason(binding: &Binding, subject: &Subject) -> String {
    let [kind, full] = &binding.shown;
    let who = match subject {
        Subject::Group(name) => format!("Group {name:?}"),
        Subject::User(name) => match name.strip_prefix("system:serviceaccount:").and_then(|s| s.split_once(':')) {
            Some((namespace, name)) => format!("ServiceAccount {:?}", format!("{name}/{namespace}")),
            None => format!("User {name:?}"),
        },
    };
    format!("RBAC: allowed by {kind} {full:?} of {} {:?} to {who}", binding.role_kind, binding.role.1)
}

fn missing_role(binding: &Binding) -> String {
    let plural = if binding.role_kind == "Role" { "role" } else { "clusterrole" };
    format!("{plural}.rbac.authorization.k8s.io {:?} not found", binding.role.1)
}

fn key_of(tree: &Value) -> Key {
    (text(&tree["metadata"]["namespace"]), text(&tree["metadata"]["name"]))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn strings(map: &Value) -> BTreeMap<String, String> {
    let pairs = map.as_object().into_iter().flatten();
    pairs.filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn index() -> Index {
        let mut index = Index::default();
        index.put_role(&json!({"metadata": {"name": "view"},
            "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"to-view": "true"}}]}}));
        index.put_role(&json!({"metadata": {"name": "part", "labels": {"to-view": "true"}},
            "rules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]}));
        index.put_binding(&json!({"metadata": {"name": "b", "namespace": "ns"},
            "roleRef": {"kind": "ClusterRole", "name": "view"},
            "subjects": [{"kind": "ServiceAccount", "name": "sa"}, {"kind": "Group", "name": "devs"}]}));
        index
    }

    #[test]
    fn a_role_binding_holds_in_its_namespace_only() {
        let index = index();
        let sa = User::new("system:serviceaccount:ns:sa", ["system:serviceaccounts"]);
        let decision = index.decide(&sa, &Attributes::resource("get", "", "pods", ["ns", "x", ""]));
        assert_eq!(
            decision.reason(),
            "RBAC: allowed by RoleBinding \"b/ns\" of ClusterRole \"view\" to ServiceAccount \"sa/ns\""
        );
        assert!(!index.decide(&sa, &Attributes::resource("get", "", "pods", ["other", "x", ""])).allowed());
        assert!(!index.decide(&sa, &Attributes::resource("list", "", "pods", ["ns", "", ""])).allowed());
    }

    #[test]
    fn a_deleted_binding_is_gone_for_all_its_subjects() {
        let mut index = index();
        index.delete_binding(&json!({"metadata": {"name": "b", "namespace": "ns"}}));
        let dev = User::new("eve", ["devs"]);
        assert!(!index.decide(&dev, &Attributes::resource("get", "", "pods", ["ns", "x", ""])).allowed());
        assert!(index.by_subject.is_empty());
    }
}
