//! TaintNodesByCondition: a new node takes no pods until the node lifecycle controller has seen it ready.

use serde_json::{Value, json};

use super::{Asked, Edit, Operation, Patch, Refusal, View};

const NOT_READY: &str = "node.kubernetes.io/not-ready";

pub fn admit(asked: &Asked<'_>, _: &View<'_>) -> Result<Patch, Refusal> {
    if !asked.is("", "nodes") || !asked.subresource.is_empty() || asked.operation != Operation::Create {
        return Ok(Patch::new());
    }
    let mut taints = asked.object["spec"]["taints"].as_array().cloned().unwrap_or_default();
    let same = |t: &Value| t["key"] == NOT_READY && t["effect"] == "NoSchedule";
    if taints.iter().any(same) {
        return Ok(Patch::new());
    }
    taints.push(json!({"key": NOT_READY, "effect": "NoSchedule"}));
    Ok(vec![Edit::new("spec.taints", taints)])
}
