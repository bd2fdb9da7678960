//! DefaultTolerationSeconds: a pod tolerates a node that is not ready or not reachable for five minutes,
//! unless it says otherwise.

use serde_json::{Value, json};

use super::{Asked, Edit, Operation, Patch, Refusal, View};

const SECONDS: u32 = 300;
const TAINTS: &[&str] = &["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"];

pub fn admit(asked: &Asked<'_>, _: &View<'_>) -> Result<Patch, Refusal> {
    let write = matches!(asked.operation, Operation::Create | Operation::Update);
    if !write || !asked.is("", "pods") || !asked.subresource.is_empty() {
        return Ok(Patch::new());
    }
    let mut tolerations = asked.object["spec"]["tolerations"].as_array().cloned().unwrap_or_default();
    let before = tolerations.len();
    for taint in TAINTS {
        if !tolerations[..before].iter().any(|t| tolerates(t, taint)) {
            let operator = json!({"key": taint, "operator": "Exists", "effect": "NoExecute"});
            let mut toleration = operator;
            toleration["tolerationSeconds"] = SECONDS.into();
            tolerations.push(toleration);
        }
    }
    match tolerations.len() == before {
        true => Ok(Patch::new()),
        false => Ok(vec![Edit::new("spec.tolerations", tolerations)]),
    }
}

/// Whether the pod says something about this taint's `NoExecute` itself.
fn tolerates(toleration: &Value, taint: &str) -> bool {
    let text = |field: &str| toleration[field].as_str().unwrap_or_default();
    matches!(text("key"), key if key == taint || key.is_empty()) && matches!(text("effect"), "NoExecute" | "")
}
