//! Environment variables for Services: `NAME_SERVICE_HOST` and those of Docker's links.
//!
//! Source: <https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables>.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Service;

/// The Services that the pod gets variables for: of its namespace (with `links`), and `default/kubernetes`.
pub fn variables<'a>(
    namespace: &str,
    links: bool,
    services: impl IntoIterator<Item = &'a Service>,
) -> BTreeMap<String, String> {
    let mut chosen: BTreeMap<&str, &Service> = BTreeMap::new();
    for service in services {
        let name = service.metadata.name.as_deref().unwrap_or_default();
        let own = service.metadata.namespace.as_deref() == Some(namespace);
        let master = service.metadata.namespace.as_deref() == Some("default") && name == "kubernetes";
        // A Service of that name in the pod's own namespace goes before the master's.
        if own && links || master && !chosen.contains_key(name) {
            chosen.insert(name, service);
        }
    }
    let mut out = BTreeMap::new();
    chosen.into_iter().for_each(|(name, service)| add(name, service, &mut out));
    out
}

fn upper(name: &str) -> String {
    name.replace('-', "_").to_uppercase()
}

fn add(name: &str, service: &Service, out: &mut BTreeMap<String, String>) {
    let Some(spec) = &service.spec else { return };
    let ip = spec.cluster_ip.as_deref().unwrap_or_default();
    let ports = spec.ports.as_deref().unwrap_or_default();
    let (true, Some(first)) = (!ip.is_empty() && ip != "None", ports.first()) else { return };
    let prefix = upper(name);
    let host = if ip.contains(':') { format!("[{ip}]") } else { ip.to_owned() };
    out.insert(format!("{prefix}_SERVICE_HOST"), ip.to_owned());
    out.insert(format!("{prefix}_SERVICE_PORT"), first.port.to_string());
    for (i, port) in ports.iter().enumerate() {
        if let Some(port_name) = port.name.as_deref().filter(|n| !n.is_empty()) {
            out.insert(format!("{prefix}_SERVICE_PORT_{}", upper(port_name)), port.port.to_string());
        }
        let protocol = port.protocol.as_deref().unwrap_or("TCP").to_lowercase();
        let url = format!("{protocol}://{host}:{}", port.port);
        if i == 0 {
            out.insert(format!("{prefix}_PORT"), url.clone());
        }
        let stem = format!("{prefix}_PORT_{}_{}", port.port, protocol.to_uppercase());
        out.insert(format!("{stem}_PROTO"), protocol);
        out.insert(format!("{stem}_PORT"), port.port.to_string());
        out.insert(format!("{stem}_ADDR"), ip.to_owned());
        out.insert(stem, url);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn service(namespace: &str, name: &str, ip: &str) -> Service {
        let ports = json!([{"name": "http", "port": 80}, {"port": 53, "protocol": "UDP"}]);
        let meta = json!({"name": name, "namespace": namespace});
        serde_json::from_value(json!({"metadata": meta, "spec": {"clusterIP": ip, "ports": ports}})).unwrap()
    }

    #[test]
    fn both_sorts_of_names() {
        let services =
            [service("n", "my-db", "10.0.0.9"), service("n", "headless", "None"), service("m", "other", "10.0.0.8")];
        let env = variables("n", true, &services);
        assert_eq!(env["MY_DB_SERVICE_HOST"], "10.0.0.9");
        assert_eq!(env["MY_DB_SERVICE_PORT_HTTP"], "80");
        assert_eq!(env["MY_DB_PORT_53_UDP"], "udp://10.0.0.9:53");
        assert!(!env.keys().any(|k| k.starts_with("HEADLESS") || k.starts_with("OTHER")));
    }

    #[test]
    fn without_links_only_the_master() {
        let services = [service("n", "db", "10.0.0.9"), service("default", "kubernetes", "10.96.0.1")];
        let env = variables("n", false, &services);
        assert!(env.contains_key("KUBERNETES_SERVICE_HOST") && !env.contains_key("DB_SERVICE_HOST"));
    }
}
