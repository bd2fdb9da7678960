//! Where a stream goes: the pod, the container in it, the node's kubelet.

use std::sync::Arc;

use machinery::status::Status;
use serde_json::Value;

use crate::door::Door;
use crate::wire::path::ResourcePath;

const KUBELET_PORT: u16 = 10250;
const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";
const ADDRESS_TYPES: &[&str] = &["InternalIP", "ExternalIP", "Hostname"];
const CONTAINER_FIELDS: &[&str] = &["initContainers", "containers", "ephemeralContainers"];

/// A node's kubelet.
pub struct Kubelet {
    pub node: String,
    pub host: String,
    pub port: u16,
}

impl Kubelet {
    /// `host:port`, an IPv6 address in brackets.
    pub fn authority(&self) -> String {
        authority(&self.host, self.port)
    }
}

pub fn authority(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

pub async fn pod(door: &Door, path: &ResourcePath) -> Result<Arc<Value>, Status> {
    door.front.authenticator.live().get("pods", &path.namespace, &path.name).await
}

pub fn node_name(pod: &Value) -> Option<String> {
    pod["spec"]["nodeName"].as_str().filter(|n| !n.is_empty()).map(str::to_owned)
}

/// The container asked for, or the only one.
///
/// # Errors
/// 400 naming the choices.
pub fn container(pod: &Value, asked: &str) -> Result<String, Status> {
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    let names = |field: &str| -> Vec<&str> {
        pod["spec"][field].as_array().into_iter().flatten().filter_map(|c| c["name"].as_str()).collect()
    };
    if !asked.is_empty() {
        if CONTAINER_FIELDS.iter().any(|field| names(field).contains(&asked)) {
            return Ok(asked.to_owned());
        }
        return Err(Status::bad_request(format!("container {asked} is not valid for pod {name}")));
    }
    let (init, own) = (names("initContainers"), names("containers"));
    match own.as_slice() {
        [only] => Ok((*only).to_owned()),
        [] => Err(Status::bad_request(format!("a container name must be specified for pod {name}"))),
        many => {
            let default = pod["metadata"]["annotations"][DEFAULT_CONTAINER].as_str();
            if let Some(default) = default.filter(|d| many.contains(d)) {
                return Ok(default.to_owned());
            }
            let mut why =
                format!("a container name must be specified for pod {name}, choose one of: [{}]", many.join(" "));
            if !init.is_empty() {
                why.push_str(&format!(" or one of the init containers: [{}]", init.join(" ")));
            }
            Err(Status::bad_request(why))
        }
    }
}

/// Where the node's kubelet listens.
///
/// # Errors
/// 404 for a node that is not there, 500 when it has reported no address yet.
pub async fn kubelet(door: &Door, node: &str) -> Result<Kubelet, Status> {
    let object = door.front.authenticator.live().get("nodes", "", node).await?;
    let addresses = object["status"]["addresses"].as_array().cloned().unwrap_or_default();
    let found = ADDRESS_TYPES.iter().find_map(|sort| addresses.iter().find(|a| a["type"] == *sort));
    let host = found
        .and_then(|a| a["address"].as_str())
        .ok_or_else(|| Status::internal(format!("no preferred addresses found; known addresses: {addresses:?}")))?;
    let port = object["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"].as_u64();
    let port = port.and_then(|p| u16::try_from(p).ok()).filter(|p| *p != 0).unwrap_or(KUBELET_PORT);
    Ok(Kubelet { node: node.to_owned(), host: host.to_owned(), port })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_container_must_be_clear() {
        let pod = json!({"metadata": {"name": "x"}, "spec": {"containers": [{"name": "a"}, {"name": "b"}],
            "initContainers": [{"name": "i"}]}});
        assert_eq!(
            container(&pod, "").unwrap_err().message,
            "a container name must be specified for pod x, choose one of: [a b] or one of the init containers: [i]"
        );
        assert_eq!(container(&pod, "i").unwrap(), "i");
        assert_eq!(container(&pod, "z").unwrap_err().message, "container z is not valid for pod x");
        assert_eq!(container(&json!({"spec": {"containers": [{"name": "a"}]}}), "").unwrap(), "a");
    }
}
