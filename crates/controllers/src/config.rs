//! What controllers are told about their cluster.

/// A cluster's settings. Addresses and ranges are in their usual notation.
#[derive(Clone, Debug)]
pub struct Config {
    /// PEM of the authority that signs the API server's certificate.
    pub ca_bundle: String,
    /// The range that node ranges are cut from: `10.244.0.0/16`.
    pub pod_range: String,
    /// Prefix length of a node's range: 24.
    pub node_mask: u8,
    /// The first Service range: `10.96.0.0/16`.
    pub service_range: String,
    /// The ClusterIP of Service `kubernetes`: the first of the Service range.
    pub api_service_ip: String,
    /// Addresses and port where API servers are reached from pods.
    pub api_addresses: Vec<String>,
    pub api_port: u16,
    /// The ClusterIP of Service `kube-dns`.
    pub dns_service_ip: String,
}
