//! The downward API: fields of the pod and resources of its containers as text.
//!
//! Source: <https://kubernetes.io/docs/concepts/workloads/pods/downward-api/>.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Pod, ResourceFieldSelector};
use machinery::quantity::Quantity;

use super::facts::Node;
use crate::plan::qos;
use crate::plan::spec;

/// `metadata.labels['app']` as (`metadata.labels`, `app`).
fn subscript(path: &str) -> Option<(&str, &str)> {
    let (field, rest) = path.split_once("['")?;
    Some((field, rest.strip_suffix("']")?))
}

/// All entries as `key="value"` lines.
fn lines(map: Option<&BTreeMap<String, String>>) -> String {
    let lines: Vec<_> = map.into_iter().flatten().map(|(k, v)| format!("{k}={v:?}")).collect();
    lines.join("\n")
}

/// The value of a field path; `ips` are the pod's addresses.
///
/// # Errors
/// The field is not one that the downward API knows.
pub fn field(pod: &Pod, path: &str, node: &Node, ips: &[String]) -> Result<String, String> {
    let meta = &pod.metadata;
    if let Some((map, key)) = subscript(path) {
        let map = match map {
            "metadata.labels" => meta.labels.as_ref(),
            "metadata.annotations" => meta.annotations.as_ref(),
            _ => return Err(format!("fieldPath {path:?} does not support subscript")),
        };
        return Ok(map.and_then(|m| m.get(key)).cloned().unwrap_or_default());
    }
    Ok(match path {
        "metadata.name" => spec::name(pod).to_owned(),
        "metadata.namespace" => spec::namespace(pod).to_owned(),
        "metadata.uid" => spec::uid(pod).to_owned(),
        "metadata.labels" => lines(meta.labels.as_ref()),
        "metadata.annotations" => lines(meta.annotations.as_ref()),
        "spec.nodeName" => spec::spec(pod).node_name.clone().unwrap_or_default(),
        "spec.serviceAccountName" => spec::spec(pod).service_account_name.clone().unwrap_or_default(),
        "status.hostIP" => node.ips.first().cloned().unwrap_or_default(),
        "status.hostIPs" => node.ips.join(","),
        "status.podIP" => ips.first().cloned().unwrap_or_default(),
        "status.podIPs" => ips.join(","),
        _ => return Err(format!("field label not supported: {path}")),
    })
}

/// The value of a resource field of `container` (or the one that the selector names), divided and rounded up.
///
/// # Errors
/// The container or the resource does not exist.
pub fn resource(pod: &Pod, container: &str, selector: &ResourceFieldSelector, node: &Node) -> Result<String, String> {
    let name = selector.container_name.as_deref().filter(|n| !n.is_empty()).unwrap_or(container);
    let container = spec::find(pod, name).ok_or_else(|| format!("container {name} not found"))?;
    let (side, what) = selector
        .resource
        .split_once('.')
        .ok_or_else(|| format!("unsupported container resource : {}", selector.resource))?;
    let amounts = match side {
        "limits" => qos::limits(&container),
        "requests" => qos::requests(&container),
        _ => return Err(format!("Unsupported container resource : {}", selector.resource)),
    };
    let cpu = what == "cpu";
    let mut milli = qos::milli(amounts, what);
    if milli == 0 && side == "limits" {
        milli = match what {
            "cpu" => node.cpu_milli,
            "memory" => node.memory_bytes.saturating_mul(1000),
            _ => 0,
        };
    }
    let divisor = selector.divisor.as_ref().and_then(|d| Quantity::parse(&d.0).ok()).filter(|d| !d.is_zero());
    let divisor_milli = divisor.map_or(1000, |d| d.milli_value().max(1));
    if !cpu && divisor_milli < 1000 {
        return Ok((milli / 1000).to_string());
    }
    Ok(ceil(milli, divisor_milli).to_string())
}

fn ceil(value: i64, by: i64) -> i64 {
    (i128::from(value) + i128::from(by) - 1).div_euclid(i128::from(by)).try_into().unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod() -> Pod {
        let spec = json!({"containers": [{"name": "c", "resources": {"limits": {"cpu": "1500m"}}}]});
        let labels = json!({"app": "x", "b": "y\"z"});
        serde_json::from_value(json!({"metadata": {"name": "p", "labels": labels}, "spec": spec})).unwrap()
    }

    #[test]
    fn fields_and_subscripts() {
        let node = Node { ips: vec!["1.1.1.1".into()], ..Node::default() };
        let get = |path: &str| field(&pod(), path, &node, &["10.0.0.1".into()]);
        assert_eq!(get("metadata.labels['app']").unwrap(), "x");
        assert_eq!(get("metadata.labels").unwrap(), "app=\"x\"\nb=\"y\\\"z\"");
        assert_eq!(get("status.podIP").unwrap(), "10.0.0.1");
        assert!(get("spec.containers").is_err());
    }

    #[test]
    fn resources_are_divided_and_rounded_up() {
        let node = Node { memory_bytes: 5 << 20, ..Node::default() };
        let get = |resource: &str, divisor: &str| {
            let selector = serde_json::from_value(json!({"resource": resource, "divisor": divisor})).unwrap();
            super::resource(&pod(), "c", &selector, &node).unwrap()
        };
        assert_eq!(get("limits.cpu", "1"), "2");
        assert_eq!(get("limits.cpu", "1m"), "1500");
        assert_eq!(get("limits.memory", "1Mi"), "5");
        assert_eq!(get("requests.memory", "1"), "0");
    }
}
