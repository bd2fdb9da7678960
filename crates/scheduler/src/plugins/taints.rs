//! TaintToleration: NoSchedule and NoExecute taints keep pods away that do not tolerate them, PreferNoSchedule
//! ones cost points. Source: <https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/>.

use k8s_openapi::api::core::v1::{Taint, Toleration};

use super::{Question, Refusal, normalized};
use crate::node::Seen;
use crate::pod::Wanted;

pub fn filter(wanted: &Wanted) -> Option<Question<'_>> {
    Some(Box::new(|node| {
        let hard = node.taints.iter().filter(|taint| matches!(taint.effect.as_str(), "NoSchedule" | "NoExecute"));
        let mut bad = hard.filter(|taint| !tolerates(&wanted.tolerations, taint));
        bad.next().map(untolerated)
    }))
}

fn untolerated(taint: &Taint) -> Refusal {
    let value = taint.value.as_deref().unwrap_or_default();
    Refusal::lasting(format!("node(s) had untolerated taint {{{}: {value}}}", taint.key))
}

pub fn points(wanted: &Wanted, nodes: &[&Seen]) -> Vec<i64> {
    let soft = |node: &&Seen| {
        let bad = |taint: &&Taint| taint.effect == "PreferNoSchedule" && !tolerates(&wanted.tolerations, taint);
        node.taints.iter().filter(bad).count() as i64
    };
    normalized(&nodes.iter().map(soft).collect::<Vec<_>>(), true)
}

pub fn tolerates(tolerations: &[Toleration], taint: &Taint) -> bool {
    tolerations.iter().any(|toleration| {
        let effect = toleration.effect.as_deref().unwrap_or_default();
        let key = toleration.key.as_deref().unwrap_or_default();
        let value = match toleration.operator.as_deref().unwrap_or("Equal") {
            "Exists" => true,
            _ => toleration.value.as_deref().unwrap_or_default() == taint.value.as_deref().unwrap_or_default(),
        };
        (effect.is_empty() || effect == taint.effect) && (key.is_empty() || key == taint.key) && value
    })
}
