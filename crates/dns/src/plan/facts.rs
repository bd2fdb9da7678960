//! The few facts of Services and EndpointSlices that names depend on, so that no whole objects are kept.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use machinery::key::Key;

const SERVICE_NAME_LABEL: &str = "kubernetes.io/service-name";

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceKind {
    /// With cluster addresses.
    Cluster(Vec<IpAddr>),
    /// Its names lead to its endpoints.
    Headless,
    /// An alias of this name.
    External(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceFacts {
    pub kind: ServiceKind,
    pub ports: Vec<Port>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Port {
    pub name: String,
    /// `tcp`, `udp`, `sctp`.
    pub protocol: String,
    pub number: u16,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SliceFacts {
    pub service: Option<Key>,
    pub ports: Vec<Port>,
    pub addresses: Vec<Address>,
}

/// An endpoint's address and the label that it has below its Service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    pub address: IpAddr,
    pub label: String,
}

impl ServiceFacts {
    /// `None` for a Service that has no address yet.
    pub fn of(service: &Service) -> Option<Self> {
        let spec = service.spec.as_ref()?;
        let listed = spec.cluster_ips.iter().flatten().chain(spec.cluster_ip.iter());
        let mut addresses: Vec<IpAddr> = listed.filter_map(|text| text.parse().ok()).collect();
        addresses.sort();
        addresses.dedup();
        let kind = match spec.type_.as_deref() {
            Some("ExternalName") => ServiceKind::External(spec.external_name.clone()?),
            _ if spec.cluster_ip.as_deref() == Some("None") => ServiceKind::Headless,
            _ if addresses.is_empty() => return None,
            _ => ServiceKind::Cluster(addresses),
        };
        let port = |port: &k8s_openapi::api::core::v1::ServicePort| {
            Port::of(port.name.as_deref(), port.protocol.as_deref(), Some(port.port))
        };
        Some(Self { kind, ports: spec.ports.iter().flatten().filter_map(port).collect() })
    }
}

impl Port {
    fn of(name: Option<&str>, protocol: Option<&str>, number: Option<i32>) -> Option<Self> {
        Some(Self {
            name: name.unwrap_or_default().to_ascii_lowercase(),
            protocol: protocol.unwrap_or("TCP").to_ascii_lowercase(),
            number: u16::try_from(number?).ok()?,
        })
    }
}

impl SliceFacts {
    /// Only ready endpoints: `publishNotReadyAddresses` has made the others ready in the slice already.
    pub fn of(slice: &EndpointSlice) -> Self {
        let label = slice.metadata.labels.as_ref().and_then(|labels| labels.get(SERVICE_NAME_LABEL));
        let namespace = slice.metadata.namespace.as_deref().unwrap_or_default();
        if slice.address_type == "FQDN" {
            return Self::default();
        }
        Self {
            service: label.map(|name| Key::new(namespace, name)),
            ports: (slice.ports.iter().flatten())
                .filter_map(|port| Port::of(port.name.as_deref(), port.protocol.as_deref(), port.port))
                .collect(),
            addresses: slice.endpoints.iter().flatten().filter(|e| is_ready(e)).flat_map(addresses).collect(),
        }
    }
}

fn is_ready(endpoint: &Endpoint) -> bool {
    endpoint.conditions.as_ref().and_then(|conditions| conditions.ready).unwrap_or(true)
}

fn addresses(endpoint: &Endpoint) -> impl Iterator<Item = Address> {
    endpoint.addresses.iter().filter_map(|text| text.parse().ok()).map(|address| Address {
        address,
        label: endpoint.hostname.clone().filter(|name| !name.is_empty()).unwrap_or_else(|| dashed(address)),
    })
}

/// `10-244-0-5`, the label of an endpoint without a hostname.
fn dashed(address: IpAddr) -> String {
    address.to_string().replace(['.', ':'], "-")
}
