//! The zone: what is there under which name. Immutable for its readers; a change shares all but what differs.

use std::net::IpAddr;
use std::sync::Arc;

use imbl::{OrdMap, OrdSet};

use super::facts::{Address, Port, ServiceKind};
use super::name::Name;

/// kubeadm's setting for CoreDNS.
pub const TTL_S: u32 = 30;

/// A Service with its endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub kind: ServiceKind,
    pub ports: Vec<Port>,
    /// Sorted, each once.
    pub endpoints: Vec<Endpoint>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    pub address: Address,
    pub ports: Vec<Port>,
}

#[derive(Clone, Debug)]
pub struct Zone {
    /// `cluster.local.`
    pub domain: Name,
    pub namespaces: OrdSet<Arc<str>>,
    /// Namespace, then name.
    pub services: OrdMap<Arc<str>, OrdMap<Arc<str>, Arc<Entry>>>,
    /// The names behind an address, whole.
    pub reverse: OrdMap<IpAddr, OrdSet<Name>>,
    /// Grows with every change.
    pub serial: u32,
    /// Whether everything has been heard once; before, nothing is said about what is there.
    pub is_complete: bool,
}

/// Whose record it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The name that was asked for.
    Asked,
    Name(Name),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    Address(IpAddr),
    Alias(Name),
    Pointer(Name),
    NameServer(Name),
    Server { priority: u16, weight: u16, port: u16, target: Name },
    Text(&'static str),
    Authority { primary: Name, mailbox: Name, serial: u32 },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub owner: Owner,
    pub ttl_s: u32,
    pub data: Data,
}

impl Zone {
    pub fn new(domain: Name) -> Self {
        Self {
            domain,
            namespaces: OrdSet::new(),
            services: OrdMap::new(),
            reverse: OrdMap::new(),
            serial: 1,
            is_complete: false,
        }
    }

    pub fn entry(&self, namespace: &str, name: &str) -> Option<&Arc<Entry>> {
        self.services.get(namespace)?.get(name)
    }

    /// The start of authority, which goes with every negative answer.
    pub fn authority(&self) -> Record {
        let (primary, mailbox) = (self.domain.under(&["ns", "dns"]), self.domain.under(&["hostmaster"]));
        let data = Data::Authority { primary, mailbox, serial: self.serial };
        Record { owner: Owner::Name(self.domain.clone()), ttl_s: TTL_S, data }
    }

    pub fn service_name(&self, namespace: &str, name: &str) -> Name {
        self.domain.under(&[name, namespace, "svc"])
    }

    pub fn endpoint_name(&self, namespace: &str, name: &str, endpoint: &Endpoint) -> Name {
        self.domain.under(&[&endpoint.address.label, name, namespace, "svc"])
    }
}

impl Record {
    pub fn asked(data: Data) -> Self {
        Self { owner: Owner::Asked, ttl_s: TTL_S, data }
    }

    pub fn named(name: Name, data: Data) -> Self {
        Self { owner: Owner::Name(name), ttl_s: TTL_S, data }
    }
}
