//! The quality of service class of a pod, from requests and limits of CPU and memory.
//!
//! Source: <https://kubernetes.io/docs/concepts/workloads/pods/pod-qos/>.

use machinery::quantity::Quantity;
use machinery::tree;
use serde_json::Value;

/// `Guaranteed`, `Burstable` or `BestEffort`.
pub fn class(pod: &Value) -> &'static str {
    let shared = &pod["spec"]["resources"];
    if !shared.is_null() {
        return of(std::iter::once(shared));
    }
    let containers = ["spec.containers", "spec.initContainers"].into_iter().flat_map(|list| tree::items(pod, list));
    of(containers.map(|c| &c["resources"]))
}

fn of<'a>(resources: impl Iterator<Item = &'a Value>) -> &'static str {
    let (mut any, mut guaranteed) = (false, true);
    for resources in resources {
        for name in ["cpu", "memory"] {
            let (limit, request) = (amount(resources, "limits", name), amount(resources, "requests", name));
            any |= limit.is_some() || request.is_some();
            guaranteed &= limit.is_some() && request.or(limit) == limit;
        }
    }
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

/// None of a resource is as if it were not named.
fn amount(resources: &Value, list: &str, name: &str) -> Option<Quantity> {
    let quantity = tree::get(resources, list).get(name).and_then(|q| Quantity::from_tree(q).ok());
    quantity.filter(|q| q.sign() > 0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn classes() {
        let pod = |resources: Value| json!({"spec": {"containers": [{"resources": resources}]}});
        let full = json!({"cpu": "1", "memory": "1Gi"});
        assert_eq!(class(&pod(json!({}))), "BestEffort");
        assert_eq!(class(&pod(json!({"requests": {"cpu": "1"}}))), "Burstable");
        assert_eq!(class(&pod(json!({"requests": full, "limits": full}))), "Guaranteed");
        assert_eq!(class(&pod(json!({"requests": {"cpu": "0"}}))), "BestEffort");
        assert_eq!(
            class(&json!({"spec": {"containers": [{}, {"resources": {"limits": full, "requests": full}}]}})),
            "Burstable"
        );
    }
}
