//! From Services, EndpointSlices and Namespaces to the zone, one change at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use machinery::key::Key;

use super::facts::{ServiceFacts, ServiceKind, SliceFacts};
use super::name::Name;
use super::zone::{Endpoint, Entry, Zone};

/// The objects' facts and the zone made from them.
pub struct Records {
    services: BTreeMap<Key, Arc<ServiceFacts>>,
    slices: BTreeMap<Key, Arc<SliceFacts>>,
    /// Names of slices by their Service.
    belonging: BTreeMap<Key, BTreeSet<Key>>,
    dirty: BTreeSet<Key>,
    zone: Zone,
}

impl Records {
    pub fn new(domain: Name) -> Self {
        Self {
            services: BTreeMap::new(),
            slices: BTreeMap::new(),
            belonging: BTreeMap::new(),
            dirty: BTreeSet::new(),
            zone: Zone::new(domain),
        }
    }

    /// `None` facts: it has no names (yet, or any more).
    pub fn apply_service(&mut self, key: &Key, facts: Option<Arc<ServiceFacts>>) {
        match facts {
            Some(facts) => drop(self.services.insert(key.clone(), facts)),
            None => drop(self.services.remove(key)),
        }
        self.dirty.insert(key.clone());
    }

    pub fn apply_slice(&mut self, key: &Key, facts: Arc<SliceFacts>) {
        self.delete_slice(key);
        if let Some(service) = facts.service.clone() {
            self.belonging.entry(service.clone()).or_default().insert(key.clone());
            self.slices.insert(key.clone(), facts);
            self.dirty.insert(service);
        }
    }

    pub fn delete_slice(&mut self, key: &Key) {
        let Some(service) = self.slices.remove(key).and_then(|slice| slice.service.clone()) else { return };
        if let Some(slices) = self.belonging.get_mut(&service) {
            slices.remove(key);
            if slices.is_empty() {
                self.belonging.remove(&service);
            }
        }
        self.dirty.insert(service);
    }

    pub fn apply_namespace(&mut self, name: &str, is_there: bool) {
        match is_there {
            true => drop(self.zone.namespaces.insert(name.into())),
            false => drop(self.zone.namespaces.remove(name)),
        }
    }

    /// Everything has been heard once.
    pub fn complete(&mut self) {
        self.zone.is_complete = true;
    }

    /// The zone now. Costs what changed since the last call.
    pub fn zone(&mut self) -> Zone {
        for key in std::mem::take(&mut self.dirty) {
            let entry = self.entry(&key).map(Arc::new);
            if self.zone.entry(&key.namespace, &key.name) != entry.as_ref() {
                self.replace(&key, entry);
                self.zone.serial = self.zone.serial.wrapping_add(1);
            }
        }
        self.zone.clone()
    }

    fn entry(&self, key: &Key) -> Option<Entry> {
        let service = self.services.get(key)?;
        let slices = self.belonging.get(key).into_iter().flatten().filter_map(|name| self.slices.get(name));
        let endpoint = |slice: &SliceFacts| {
            let ports = slice.ports.clone();
            let addresses = slice.addresses.clone().into_iter();
            addresses.map(move |address| Endpoint { address, ports: ports.clone() }).collect::<Vec<_>>()
        };
        let endpoints: BTreeSet<Endpoint> = slices.flat_map(|slice| endpoint(slice)).collect();
        Some(Entry {
            kind: service.kind.clone(),
            ports: service.ports.clone(),
            endpoints: endpoints.into_iter().collect(),
        })
    }

    fn replace(&mut self, key: &Key, entry: Option<Arc<Entry>>) {
        let old = self.zone.entry(&key.namespace, &key.name).cloned();
        for (address, name) in self.pointers(key, old.as_deref()) {
            if let Some(names) = self.zone.reverse.get_mut(&address) {
                names.remove(&name);
                if names.is_empty() {
                    self.zone.reverse.remove(&address);
                }
            }
        }
        for (address, name) in self.pointers(key, entry.as_deref()) {
            self.zone.reverse.entry(address).or_default().insert(name);
        }
        let services = self.zone.services.entry(key.namespace.clone()).or_default();
        match entry {
            Some(entry) => drop(services.insert(key.name.clone(), entry)),
            None => drop(services.remove(&key.name)),
        }
        if services.is_empty() {
            self.zone.services.remove(&key.namespace);
        }
    }

    /// The names that addresses of a Service lead back to.
    fn pointers(&self, key: &Key, entry: Option<&Entry>) -> Vec<(IpAddr, Name)> {
        let Some(entry) = entry else { return Vec::new() };
        let own = match &entry.kind {
            ServiceKind::Cluster(addresses) => addresses.as_slice(),
            _ => &[],
        };
        let service = own.iter().map(|address| (*address, self.zone.service_name(&key.namespace, &key.name)));
        let endpoint = |endpoint: &Endpoint| {
            (endpoint.address.address, self.zone.endpoint_name(&key.namespace, &key.name, endpoint))
        };
        service.chain(entry.endpoints.iter().map(endpoint)).collect()
    }
}
