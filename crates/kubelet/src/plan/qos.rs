//! QoS class, the OOM score that follows from it, and requests and limits as numbers.
//!
//! Source: <https://kubernetes.io/docs/concepts/workloads/pods/pod-qos/>.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Pod};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;
use machinery::quantity::Quantity;

use super::spec;

const OOM_SCORE_GUARANTEED: i64 = -997;
const OOM_SCORE_BEST_EFFORT: i64 = 1000;
/// Pods of at least this priority are critical to their node.
const PRIORITY_NODE_CRITICAL: i32 = 2_000_001_000;

pub type Amounts = BTreeMap<String, Text>;

fn parsed(amounts: Option<&Amounts>, resource: &str) -> Option<Quantity> {
    Quantity::parse(&amounts?.get(resource)?.0).ok()
}

/// An amount in thousandths, 0 when absent.
pub fn milli(amounts: Option<&Amounts>, resource: &str) -> i64 {
    parsed(amounts, resource).map_or(0, |q| q.milli_value())
}

/// An amount in whole units, 0 when absent.
pub fn whole(amounts: Option<&Amounts>, resource: &str) -> i64 {
    parsed(amounts, resource).map_or(0, |q| q.value())
}

pub fn requests(container: &Container) -> Option<&Amounts> {
    container.resources.as_ref()?.requests.as_ref()
}

pub fn limits(container: &Container) -> Option<&Amounts> {
    container.resources.as_ref()?.limits.as_ref()
}

/// `Guaranteed`, `Burstable` or `BestEffort`.
pub fn class(pod: &Pod) -> &'static str {
    let counted = ["cpu", "memory"];
    let all = || spec::containers(pod).iter().chain(spec::init_containers(pod));
    let asks = |amounts: Option<&Amounts>| counted.iter().any(|r| milli(amounts, r) > 0);
    if !all().any(|c| asks(requests(c)) || asks(limits(c))) {
        return "BestEffort";
    }
    let guaranteed = |c: &Container| {
        counted.iter().all(|r| {
            let limit = milli(limits(c), r);
            let request = parsed(requests(c), r).map_or(limit, |q| q.milli_value());
            limit > 0 && request == limit
        })
    };
    if all().all(guaranteed) { "Guaranteed" } else { "Burstable" }
}

/// `oom_score_adj` of the container's processes.
pub fn oom_score_adj(pod: &Pod, container: &Container, memory_capacity: i64) -> i64 {
    if spec::spec(pod).priority.unwrap_or(0) >= PRIORITY_NODE_CRITICAL {
        return OOM_SCORE_GUARANTEED;
    }
    match class(pod) {
        "Guaranteed" => OOM_SCORE_GUARANTEED,
        "BestEffort" => OOM_SCORE_BEST_EFFORT,
        _ => {
            let request = whole(requests(container), "memory");
            let score = 1000 - (1000 * request) / memory_capacity.max(1);
            score.clamp(1000 + OOM_SCORE_GUARANTEED, OOM_SCORE_BEST_EFFORT - 1)
        }
    }
}

/// What the whole pod asks for of a resource, in thousandths: the larger of the running sum and the init peaks.
///
/// Source: <https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/#resource-sharing-within-containers>.
pub fn pod_milli(pod: &Pod, resource: &str, of: fn(&Container) -> Option<&Amounts>) -> i64 {
    let sum: i64 = spec::containers(pod).iter().map(|c| milli(of(c), resource)).sum();
    let (mut sidecars, mut peak) = (0, 0);
    for init in spec::init_containers(pod) {
        let own = milli(of(init), resource);
        if spec::restartable(init) {
            sidecars += own;
            peak = peak.max(sidecars);
        } else {
            peak = peak.max(sidecars + own);
        }
    }
    let overhead = milli(spec::spec(pod).overhead.as_ref(), resource);
    (sum + sidecars).max(peak) + overhead
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(resources: serde_json::Value) -> Pod {
        let container = json!({"name": "a", "resources": resources});
        serde_json::from_value(json!({"metadata": {}, "spec": {"containers": [container]}})).unwrap()
    }

    #[test]
    fn classes() {
        assert_eq!(class(&pod(json!({}))), "BestEffort");
        assert_eq!(class(&pod(json!({"requests": {"cpu": "10m"}}))), "Burstable");
        assert_eq!(class(&pod(json!({"limits": {"cpu": "1", "memory": "1Gi"}}))), "Guaranteed");
        let partly = json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m", "memory": "1Gi"}});
        assert_eq!(class(&pod(partly)), "Burstable");
    }

    #[test]
    fn scores() {
        let p = pod(json!({"requests": {"memory": "1Gi"}}));
        assert_eq!(oom_score_adj(&p, &spec::containers(&p)[0], 10 << 30), 900);
        let p = pod(json!({}));
        assert_eq!(oom_score_adj(&p, &spec::containers(&p)[0], 10 << 30), 1000);
    }
}
