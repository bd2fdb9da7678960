//! ClusterRole: what may be done in every namespace, or outside of them. It may be made of others by labels.
//!
//! Source: <https://kubernetes.io/docs/reference/kubernetes-api/authorization-resources/cluster-role-v1/>.

use machinery::field::Problems;
use serde_json::Value;

use super::{GROUP, rules};
use crate::column;
use crate::cursor::Field;
use crate::kind::{Kind, NameRule, Scope};
use crate::rule;

pub static KIND: Kind = Kind {
    group: GROUP,
    kind: "ClusterRole",
    plural: "clusterroles",
    singular: "clusterrole",
    scope: Scope::Cluster,
    name_rule: NameRule::PathSegment,
    definition: "io.k8s.api.rbac.v1.ClusterRole",
    create_on_update: true,
    validate,
    columns: column::PLAIN,
    cells: column::plain,
    ..Kind::BASE
};

fn validate(object: &Value, problems: &mut Problems) {
    let root = Field::root(object);
    rules::validate(&root.get("rules"), false, problems);
    let aggregation = root.get("aggregationRule");
    let selectors = aggregation.get("clusterRoleSelectors");
    if aggregation.is_set() && selectors.is_empty() {
        selectors.required(problems, "at least one clusterRoleSelector required if aggregationRule is non-nil");
    }
    for selector in selectors.items() {
        rule::label_selector(&selector, problems);
        if !rule::is_label_selector(&selector) {
            selector.invalid(problems, "invalid label selector.");
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::problems;

    use super::*;

    #[test]
    fn rules_are_on_resources_or_on_paths() {
        let role = |rule: Value| json!({"rules": [rule]});
        assert_eq!(problems(&KIND, &role(json!({"verbs": ["get"], "nonResourceURLs": ["/healthz"]}))), "");
        assert_eq!(
            problems(&KIND, &role(json!({"verbs": ["get"], "apiGroups": [""]}))),
            "rules[0].resources: Required value: resource rules must supply at least one resource"
        );
    }
}
