//! NodeAffinity: `nodeSelector`, required and preferred node affinity.
//! Source: <https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/>.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{NodeSelectorRequirement, NodeSelectorTerm, PodSpec, PreferredSchedulingTerm};

use super::{Question, Refusal, normalized};
use crate::node::Seen;
use crate::pod::Wanted;

const REFUSED: &str = "node(s) didn't match Pod's node affinity/selector";
/// The only field that terms may match.
const NAME_FIELD: &str = "metadata.name";

/// What a pod says of nodes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Affinity {
    selector: BTreeMap<String, String>,
    /// One of the terms must match; `None` when nothing is required.
    required: Option<Vec<NodeSelectorTerm>>,
    preferred: Vec<PreferredSchedulingTerm>,
}

impl Affinity {
    pub fn of(spec: &PodSpec) -> Self {
        let node = spec.affinity.as_ref().and_then(|a| a.node_affinity.as_ref());
        let required = node.and_then(|n| n.required_during_scheduling_ignored_during_execution.as_ref());
        let preferred = node.and_then(|n| n.preferred_during_scheduling_ignored_during_execution.clone());
        Self {
            selector: spec.node_selector.clone().unwrap_or_default(),
            required: required.map(|r| r.node_selector_terms.clone()),
            preferred: preferred.unwrap_or_default(),
        }
    }

    fn allows(&self, node: &Seen) -> bool {
        let selected = self.selector.iter().all(|(key, value)| node.labels.get(key) == Some(value));
        selected && self.required.as_ref().is_none_or(|terms| terms.iter().any(|term| matches(term, node)))
    }
}

pub fn filter(wanted: &Wanted) -> Option<Question<'_>> {
    let affinity = &wanted.affinity;
    if affinity.selector.is_empty() && affinity.required.is_none() {
        return None;
    }
    Some(Box::new(|node| (!affinity.allows(node)).then(|| Refusal::lasting(REFUSED))))
}

pub fn points(wanted: &Wanted, nodes: &[&Seen]) -> Vec<i64> {
    let one = |node: &&Seen| {
        let liked = wanted.affinity.preferred.iter().filter(|term| matches(&term.preference, node));
        liked.map(|term| i64::from(term.weight)).sum()
    };
    normalized(&nodes.iter().map(one).collect::<Vec<i64>>(), false)
}

/// All requirements hold; a term without any matches nothing.
fn matches(term: &NodeSelectorTerm, node: &Seen) -> bool {
    let (labels, fields) = (term.match_expressions.as_deref(), term.match_fields.as_deref());
    let (labels, fields) = (labels.unwrap_or_default(), fields.unwrap_or_default());
    let field = |key: &str| (key == NAME_FIELD).then_some(node.name.as_str());
    (!labels.is_empty() || !fields.is_empty())
        && labels.iter().all(|r| holds(r, node.labels.get(&r.key).map(String::as_str)))
        && fields.iter().all(|r| holds(r, field(&r.key)))
}

fn holds(requirement: &NodeSelectorRequirement, value: Option<&str>) -> bool {
    let values = requirement.values.as_deref().unwrap_or_default();
    let listed = |value: &str| values.iter().any(|v| v == value);
    let compared = |ordering| {
        let bound = values.first().and_then(|v| v.parse::<i64>().ok());
        let number = value.and_then(|v| v.parse::<i64>().ok());
        number.zip(bound).is_some_and(|(number, bound)| number.cmp(&bound) == ordering)
    };
    match requirement.operator.as_str() {
        "In" => value.is_some_and(listed),
        "NotIn" => !value.is_some_and(listed),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => compared(std::cmp::Ordering::Greater),
        "Lt" => compared(std::cmp::Ordering::Less),
        _ => false,
    }
}
