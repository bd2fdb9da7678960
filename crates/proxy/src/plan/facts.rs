//! The few facts of Services and EndpointSlices that rules depend on, so that no whole objects are kept.

use std::net::Ipv4Addr;

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::api::discovery::v1::{Endpoint as ApiEndpoint, EndpointPort, EndpointSlice};
use machinery::key::Key;
use network::pool::Cidr;

const SERVICE_NAME_LABEL: &str = "kubernetes.io/service-name";
/// Somebody else's proxy serves what carries this label.
const PROXY_NAME_LABEL: &str = "service.kubernetes.io/service-proxy-name";
const AFFINITY_TIMEOUT_S_DEFAULT: u32 = 10_800;
const TCP: u8 = 6;
const UDP: u8 = 17;
const SCTP: u8 = 132;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceFacts {
    pub cluster_ips: Vec<Ipv4Addr>,
    /// `externalIPs`.
    pub external_ips: Vec<Ipv4Addr>,
    /// Addresses of its load balancer that the node itself must serve (`ipMode: VIP`).
    pub load_balancer_ips: Vec<Ipv4Addr>,
    /// Who may use the load balancer; empty: everybody.
    pub source_ranges: Vec<Cidr>,
    pub ports: Vec<PortFacts>,
    pub internal_local: bool,
    pub external_local: bool,
    /// How long a client stays with its endpoint, for `sessionAffinity: ClientIP`.
    pub affinity_s: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortFacts {
    pub name: String,
    pub protocol: u8,
    pub port: u16,
    pub node_port: Option<u16>,
}

/// An EndpointSlice of IPv4 endpoints; `service` is `None` if it belongs to none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SliceFacts {
    pub service: Option<Key>,
    pub ports: Vec<SlicePort>,
    pub endpoints: Vec<Endpoint>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlicePort {
    pub name: String,
    pub protocol: u8,
    pub port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub address: Ipv4Addr,
    pub node: Option<String>,
    pub ready: bool,
    pub serving: bool,
    pub terminating: bool,
    /// The nodes whose traffic is meant for it (`hints.forNodes`); empty: no such hint.
    pub for_nodes: Vec<String>,
}

impl ServiceFacts {
    /// `None` for what needs no rules: headless, ExternalName, without address, or another proxy's.
    pub fn of(service: &Service) -> Option<Self> {
        let spec = service.spec.as_ref()?;
        let foreign = service.metadata.labels.as_ref().is_some_and(|labels| labels.contains_key(PROXY_NAME_LABEL));
        if foreign || spec.type_.as_deref() == Some("ExternalName") {
            return None;
        }
        let listed = spec.cluster_ips.iter().flatten().chain(spec.cluster_ip.iter());
        let mut cluster_ips = addresses(listed);
        cluster_ips.dedup();
        if cluster_ips.is_empty() {
            return None;
        }
        Some(Self {
            cluster_ips,
            external_ips: addresses(spec.external_ips.iter().flatten()),
            load_balancer_ips: load_balancer_ips(service, spec),
            source_ranges: ranges(spec),
            ports: spec.ports.iter().flatten().filter_map(PortFacts::of).collect(),
            internal_local: spec.internal_traffic_policy.as_deref() == Some("Local"),
            external_local: is_local_outside(spec),
            affinity_s: affinity(spec),
        })
    }
}

impl PortFacts {
    fn of(port: &ServicePort) -> Option<Self> {
        Some(Self {
            name: port.name.clone().unwrap_or_default(),
            protocol: protocol(port.protocol.as_deref())?,
            port: u16::try_from(port.port).ok()?,
            node_port: port.node_port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port != 0),
        })
    }
}

impl SliceFacts {
    pub fn of(slice: &EndpointSlice) -> Self {
        if slice.address_type != "IPv4" {
            return Self::default();
        }
        let label = slice.metadata.labels.as_ref().and_then(|labels| labels.get(SERVICE_NAME_LABEL));
        let namespace = slice.metadata.namespace.as_deref().unwrap_or_default();
        Self {
            service: label.map(|name| Key::new(namespace, name)),
            ports: slice.ports.iter().flatten().filter_map(SlicePort::of).collect(),
            endpoints: slice.endpoints.iter().flatten().filter_map(Endpoint::of).collect(),
        }
    }
}

impl SlicePort {
    fn of(port: &EndpointPort) -> Option<Self> {
        Some(Self {
            name: port.name.clone().unwrap_or_default(),
            protocol: protocol(port.protocol.as_deref())?,
            port: u16::try_from(port.port?).ok()?,
        })
    }
}

impl Endpoint {
    /// Of several addresses only the first counts, as the API says.
    fn of(endpoint: &ApiEndpoint) -> Option<Self> {
        let conditions = endpoint.conditions.as_ref();
        let ready = conditions.and_then(|c| c.ready).unwrap_or(true);
        Some(Self {
            address: endpoint.addresses.first()?.parse().ok()?,
            node: endpoint.node_name.clone(),
            ready,
            serving: conditions.and_then(|c| c.serving).unwrap_or(ready),
            terminating: conditions.and_then(|c| c.terminating).unwrap_or(false),
            for_nodes: for_nodes(endpoint),
        })
    }
}

fn for_nodes(endpoint: &ApiEndpoint) -> Vec<String> {
    let hints = endpoint.hints.iter().flat_map(|hints| hints.for_nodes.iter().flatten());
    hints.map(|node| node.name.clone()).collect()
}

fn addresses<'a>(texts: impl Iterator<Item = &'a String>) -> Vec<Ipv4Addr> {
    texts.filter_map(|text| text.parse().ok()).collect()
}

fn load_balancer_ips(service: &Service, spec: &ServiceSpec) -> Vec<Ipv4Addr> {
    if spec.type_.as_deref() != Some("LoadBalancer") {
        return Vec::new();
    }
    let ingress =
        service.status.iter().filter_map(|s| s.load_balancer.as_ref()).flat_map(|l| l.ingress.iter().flatten());
    addresses(ingress.filter(|i| i.ip_mode.as_deref() != Some("Proxy")).filter_map(|i| i.ip.as_ref()))
}

/// The API checks them and allows spaces around.
fn ranges(spec: &ServiceSpec) -> Vec<Cidr> {
    let texts = spec.load_balancer_source_ranges.iter().flatten();
    texts.filter_map(|text| text.trim().parse().ok()).collect()
}

fn is_local_outside(spec: &ServiceSpec) -> bool {
    let outside = matches!(spec.type_.as_deref(), Some("NodePort" | "LoadBalancer"))
        || spec.external_ips.as_ref().is_some_and(|ips| !ips.is_empty());
    outside && spec.external_traffic_policy.as_deref() == Some("Local")
}

fn affinity(spec: &ServiceSpec) -> Option<u32> {
    let wanted = spec.session_affinity.as_deref() == Some("ClientIP");
    let seconds = spec.session_affinity_config.as_ref().and_then(|config| config.client_ip.as_ref()?.timeout_seconds);
    wanted.then(|| seconds.and_then(|s| u32::try_from(s).ok()).unwrap_or(AFFINITY_TIMEOUT_S_DEFAULT))
}

fn protocol(name: Option<&str>) -> Option<u8> {
    match name {
        None | Some("TCP") => Some(TCP),
        Some("UDP") => Some(UDP),
        Some("SCTP") => Some(SCTP),
        Some(_) => None,
    }
}
