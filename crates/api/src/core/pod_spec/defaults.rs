//! Defaults of a pod spec and its containers. `pod` has more than a template: what is filled in there would
//! otherwise change the templates of objects that exist.
//!
//! Source: the defaults in <https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/>.

use machinery::tree;
use serde_json::{Value, json};

use super::{pod_level, volume_defaults};
use crate::fill::{self, Tree};

const GRACE_SECONDS: i64 = 30;
const CONTAINER_LISTS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

/// A whole pod.
pub fn pod(object: &mut Value) {
    let spec = tree::map_mut(object, "spec");
    self::spec(spec);
    for list in ["containers", "initContainers"] {
        for container in fill::maps(spec, list) {
            requests_from_limits(container);
        }
    }
    pod_level::fill_in(spec);
    fill::absent(spec, "enableServiceLinks", true);
    // In a template a negative one stays, and is warned of.
    if spec.get("terminationGracePeriodSeconds").and_then(Value::as_i64).is_some_and(|seconds| seconds < 0) {
        spec.insert("terminationGracePeriodSeconds".into(), json!(1));
    }
    if spec.get("hostNetwork").and_then(Value::as_bool).unwrap_or(false) {
        for list in ["containers", "initContainers"] {
            for container in fill::maps(spec, list) {
                host_ports(container);
            }
        }
    }
}

/// The pod template at a dotted path.
pub fn template(object: &mut Value, dotted: &str) {
    let template = tree::map_mut(object, dotted);
    if let Value::Object(spec) = template.entry("spec").or_insert_with(|| json!({})) {
        self::spec(spec);
    }
}

/// A pod spec wherever it stands.
pub fn spec(spec: &mut Tree) {
    fill::text(spec, "dnsPolicy", "ClusterFirst");
    fill::text(spec, "restartPolicy", "Always");
    fill::absent(spec, "securityContext", json!({}));
    fill::absent(spec, "terminationGracePeriodSeconds", GRACE_SECONDS);
    fill::text(spec, "schedulerName", "default-scheduler");
    service_account(spec);
    fill::milli(spec, "overhead");
    for volume in fill::maps(spec, "volumes") {
        volume_defaults::volume(volume);
    }
    for list in CONTAINER_LISTS {
        for container in fill::maps(spec, list) {
            self::container(container);
        }
    }
}

/// The old name of `serviceAccountName` reads as it, and is always written with it.
fn service_account(spec: &mut Tree) {
    let name = match fill::get_text(spec, "serviceAccountName") {
        "" => fill::get_text(spec, "serviceAccount"),
        name => name,
    };
    if !name.is_empty() {
        let name = Value::from(name);
        spec.insert("serviceAccountName".to_owned(), name.clone());
        spec.insert("serviceAccount".to_owned(), name);
    }
}

fn container(container: &mut Tree) {
    if fill::get_text(container, "imagePullPolicy").is_empty() {
        let policy = pull_policy(fill::get_text(container, "image"));
        container.insert("imagePullPolicy".to_owned(), policy.into());
    }
    fill::text(container, "terminationMessagePath", "/dev/termination-log");
    fill::text(container, "terminationMessagePolicy", "File");
    for port in fill::maps(container, "ports") {
        fill::text(port, "protocol", "TCP");
    }
    for variable in fill::maps(container, "env") {
        if let Some(source) = fill::map(variable, "valueFrom") {
            field_ref(source);
            if let Some(file) = fill::map(source, "fileKeyRef") {
                fill::absent(file, "optional", false);
            }
        }
    }
    if let Some(resources) = fill::map(container, "resources") {
        fill::milli(resources, "limits");
        fill::milli(resources, "requests");
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = fill::map(container, probe) {
            self::probe(probe);
        }
    }
    if let Some(lifecycle) = fill::map(container, "lifecycle") {
        for event in ["postStart", "preStop"] {
            if let Some(handler) = fill::map(lifecycle, event) {
                http_get(handler);
            }
        }
    }
}

/// `Always` for the tag `latest`, which is also meant where neither tag nor digest is.
pub(super) fn pull_policy(image: &str) -> &'static str {
    let name = image.rsplit('/').next().unwrap_or(image);
    let latest = match (name.split_once('@'), name.split_once(':')) {
        (Some((before, _)), _) => before.ends_with(":latest"),
        (None, Some((_, tag))) => tag == "latest",
        (None, None) => true,
    };
    if latest { "Always" } else { "IfNotPresent" }
}

fn probe(probe: &mut Tree) {
    fill::number(probe, "timeoutSeconds", 1);
    fill::number(probe, "periodSeconds", 10);
    fill::number(probe, "successThreshold", 1);
    fill::number(probe, "failureThreshold", 3);
    http_get(probe);
    if let Some(grpc) = fill::map(probe, "grpc") {
        fill::absent(grpc, "service", "");
    }
}

fn http_get(handler: &mut Tree) {
    if let Some(get) = fill::map(handler, "httpGet") {
        fill::text(get, "path", "/");
        fill::text(get, "scheme", "HTTP");
    }
}

pub(super) fn field_ref(holder: &mut Tree) {
    if let Some(field) = fill::map(holder, "fieldRef") {
        fill::text(field, "apiVersion", "v1");
    }
}

/// A limit without a request is requested.
fn requests_from_limits(container: &mut Tree) {
    let Some(resources) = fill::map(container, "resources") else { return };
    let Some(Value::Object(limits)) = resources.get("limits") else { return };
    let limits = limits.clone();
    let requests = resources.entry("requests").or_insert_with(|| json!({}));
    if requests.is_null() {
        *requests = json!({});
    }
    if let Value::Object(requests) = requests {
        for (name, quantity) in limits {
            requests.entry(name).or_insert(quantity);
        }
    }
}

/// On the host's network a container's port is the host's.
fn host_ports(container: &mut Tree) {
    for port in fill::maps(container, "ports") {
        let number = port.get("containerPort").and_then(Value::as_i64).unwrap_or(0);
        fill::number(port, "hostPort", number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latest_is_always_pulled() {
        let cases = [
            ("nginx", "Always"),
            ("nginx:latest", "Always"),
            ("nginx:1.14.2", "IfNotPresent"),
            ("registry:5000/nginx", "Always"),
            ("registry:5000/a/nginx:1", "IfNotPresent"),
            ("nginx@sha256:00", "IfNotPresent"),
            ("nginx:1@sha256:00", "IfNotPresent"),
            ("nginx:latest@sha256:00", "Always"),
        ];
        for (image, policy) in cases {
            assert_eq!(pull_policy(image), policy, "{image}");
        }
    }

    #[test]
    fn limits_are_requested_in_pods() {
        let mut object = json!({"spec": {"containers": [
            {"name": "a", "image": "a", "resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}}]}});
        pod(&mut object);
        assert_eq!(object["spec"]["containers"][0]["resources"]["requests"], json!({"cpu": "500m", "memory": "1Gi"}));
    }
}
