//! One policy rule and what it matches.

use machinery::identity::User;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::attributes::{Attributes, Target};

/// A `rbac.authorization.k8s.io/v1` PolicyRule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Rule {
    pub verbs: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub api_groups: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resource_names: Vec<String>,
    #[serde(rename = "nonResourceURLs", skip_serializing_if = "Vec::is_empty")]
    pub non_resource_urls: Vec<String>,
}

impl Rule {
    pub fn everything() -> Self {
        let all = || vec!["*".to_owned()];
        Self { verbs: all(), api_groups: all(), resources: all(), ..Self::default() }
    }

    pub fn every_path() -> Self {
        let all = || vec!["*".to_owned()];
        Self { verbs: all(), non_resource_urls: all(), ..Self::default() }
    }

    /// The rules in a role's `rules`.
    pub fn list(rules: &Value) -> Vec<Rule> {
        Vec::<Rule>::deserialize(rules).unwrap_or_default()
    }

    pub fn allows(&self, asked: &Attributes) -> bool {
        any(&self.verbs, &asked.verb)
            && match &asked.target {
                Target::Path(path) => self.non_resource_urls.iter().any(|url| path_matches(url, path)),
                Target::Resource { group, resource, subresource, name, .. } => {
                    any(&self.api_groups, group)
                        && self.resources.iter().any(|r| resource_matches(r, resource, subresource))
                        && (self.resource_names.is_empty() || self.resource_names.contains(name))
                }
            }
    }

    /// Whether one rule of `owner` allows everything of this rule, which names one of each only.
    fn covered_by(&self, owner: &[Rule]) -> bool {
        owner.iter().any(|o| {
            all_in(&o.verbs, &self.verbs)
                && all_in(&o.api_groups, &self.api_groups)
                && self.resources.iter().all(|r| {
                    let (resource, subresource) = r.split_once('/').unwrap_or((r, ""));
                    o.resources.iter().any(|x| resource_matches(x, resource, subresource))
                })
                && (o.resource_names.is_empty()
                    || (!self.resource_names.is_empty() && all_in(&o.resource_names, &self.resource_names)))
                && self.non_resource_urls.iter().all(|u| o.non_resource_urls.iter().any(|x| path_matches(x, u)))
        })
    }

    /// The rule taken apart into rules with one verb, group, resource and name each.
    fn breakdown(&self) -> Vec<Rule> {
        let mut out = Vec::new();
        for verb in &self.verbs {
            for url in &self.non_resource_urls {
                let urls = vec![url.clone()];
                out.push(Rule { verbs: vec![verb.clone()], non_resource_urls: urls, ..Rule::default() });
            }
            for (group, resource) in self.api_groups.iter().flat_map(|g| self.resources.iter().map(move |r| (g, r))) {
                let one = Rule {
                    verbs: vec![verb.clone()],
                    api_groups: vec![group.clone()],
                    resources: vec![resource.clone()],
                    ..Rule::default()
                };
                if self.resource_names.is_empty() {
                    out.push(one);
                    continue;
                }
                let names = self.resource_names.iter();
                out.extend(names.map(|name| Rule { resource_names: vec![name.clone()], ..one.clone() }));
            }
        }
        out
    }

    /// The rule as upstream's messages about escalation print it.
    pub fn compact(&self) -> String {
        let fields = [
            ("APIGroups", &self.api_groups),
            ("Resources", &self.resources),
            ("NonResourceURLs", &self.non_resource_urls),
            ("ResourceNames", &self.resource_names),
            ("Verbs", &self.verbs),
        ];
        let shown = fields.iter().filter(|(_, values)| !values.is_empty()).map(|(name, values)| {
            let quoted: Vec<_> = values.iter().map(|v| format!("{v:?}")).collect();
            format!("{name}:[{}]", quoted.join(" "))
        });
        format!("{{{}}}", shown.collect::<Vec<_>>().join(", "))
    }
}

/// The rules of `wanted` that `owned` does not cover, merged back per resource; empty when all are covered.
pub fn uncovered(owned: &[Rule], wanted: &[Rule]) -> Vec<Rule> {
    let mut missing: Vec<Rule> = Vec::new();
    for rule in wanted.iter().flat_map(Rule::breakdown).filter(|rule| !rule.covered_by(owned)) {
        let same = |m: &&mut Rule| {
            m.api_groups == rule.api_groups
                && m.resources == rule.resources
                && m.resource_names == rule.resource_names
                && m.non_resource_urls == rule.non_resource_urls
        };
        match missing.iter_mut().find(same) {
            Some(found) => found.verbs.extend(rule.verbs),
            None => missing.push(rule),
        }
    }
    missing
}

/// A subject of a binding, as it is looked up for a user.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    User(String),
    Group(String),
}

impl Subject {
    /// A `subjects[]` entry; a ServiceAccount is the user that it authenticates as.
    pub fn of(tree: &Value, namespace: &str) -> Option<Self> {
        let name = tree["name"].as_str()?;
        match tree["kind"].as_str()? {
            "User" => Some(Self::User(name.into())),
            "Group" => Some(Self::Group(name.into())),
            "ServiceAccount" => {
                let namespace = tree["namespace"].as_str().filter(|n| !n.is_empty()).unwrap_or(namespace);
                (!namespace.is_empty()).then(|| Self::User(format!("system:serviceaccount:{namespace}:{name}")))
            }
            _ => None,
        }
    }

    /// All subjects that a user is.
    pub fn all_of(user: &User) -> impl Iterator<Item = Subject> + '_ {
        let groups = user.groups.iter().map(|g| Subject::Group(g.clone()));
        std::iter::once(Subject::User(user.name.clone())).chain(groups)
    }
}

fn any(values: &[String], wanted: &str) -> bool {
    values.iter().any(|v| v == "*" || v == wanted)
}

fn all_in(owned: &[String], wanted: &[String]) -> bool {
    owned.iter().any(|v| v == "*") || wanted.iter().all(|w| owned.contains(w))
}

fn resource_matches(rule: &str, resource: &str, subresource: &str) -> bool {
    if rule == "*" {
        return true;
    }
    match rule.split_once('/') {
        None => subresource.is_empty() && rule == resource,
        Some((head, tail)) => tail == subresource && !subresource.is_empty() && (head == "*" || head == resource),
    }
}

fn path_matches(rule: &str, path: &str) -> bool {
    rule == "*" || rule == path || (rule.ends_with('*') && path.starts_with(rule.trim_end_matches('*')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(verbs: &[&str], groups: &[&str], resources: &[&str]) -> Rule {
        let own = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect();
        Rule { verbs: own(verbs), api_groups: own(groups), resources: own(resources), ..Rule::default() }
    }

    #[test]
    fn subresources_are_resources_of_their_own() {
        let asked = Attributes::resource("get", "", "pods", ["default", "x", "log"]);
        assert!(!rule(&["get"], &[""], &["pods"]).allows(&asked));
        assert!(rule(&["get"], &[""], &["pods/log"]).allows(&asked));
        assert!(rule(&["get"], &[""], &["*/log"]).allows(&asked));
        assert!(rule(&["*"], &["*"], &["*"]).allows(&asked));
    }

    #[test]
    fn nobody_grants_what_he_does_not_have() {
        let owned = [rule(&["get", "list"], &[""], &["pods"])];
        assert!(uncovered(&owned, &[rule(&["get"], &[""], &["pods"])]).is_empty());
        let missing = uncovered(&owned, &[rule(&["get", "delete"], &[""], &["pods", "secrets"])]);
        let texts: Vec<_> = missing.iter().map(Rule::compact).collect();
        assert_eq!(
            texts,
            [
                r#"{APIGroups:[""], Resources:["secrets"], Verbs:["get" "delete"]}"#,
                r#"{APIGroups:[""], Resources:["pods"], Verbs:["delete"]}"#
            ]
        );
    }
}
