//! Packing endpoints into slices: what is in a slice already stays in it, so that few slices change.

use std::collections::BTreeMap;
use std::sync::Arc;

use control::{Target, Write};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointPort, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use machinery::patch::merge_diff;
use serde_json::{Value, json};

/// Endpoints in one slice.
const ENDPOINTS_MAX: usize = 100;

/// Endpoints with the same ports and address family.
pub struct Group {
    pub family: String,
    pub ports: Vec<EndpointPort>,
    pub endpoints: Vec<Endpoint>,
}

/// What is the same in all slices of a Service.
pub struct Common {
    pub namespace: String,
    /// The prefix of names: `web-`.
    pub prefix: String,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    /// The one owner.
    pub owner: Value,
}

/// The writes that bring the slices to the groups. Slices of no group are deleted; every family keeps one slice,
/// empty if need be.
pub fn pack(groups: Vec<Group>, families: &[String], held: Vec<Arc<EndpointSlice>>, common: &Common) -> Vec<Write> {
    let owner = common.owner["uid"].as_str().unwrap_or_default();
    let (held, foreign): (Vec<_>, Vec<_>) = held.into_iter().partition(|slice| is_owned(&slice.metadata, owner));
    let mut by_group: BTreeMap<(String, String), Vec<Arc<EndpointSlice>>> = BTreeMap::new();
    for slice in held {
        by_group.entry(id(&slice.address_type, slice.ports.as_deref().unwrap_or_default())).or_default().push(slice);
    }
    let mut groups: Vec<Group> = groups.into_iter().filter(|group| !group.endpoints.is_empty()).collect();
    for family in families {
        if !groups.iter().any(|group| group.family == *family) {
            groups.push(Group { family: family.clone(), ports: Vec::new(), endpoints: Vec::new() });
        }
    }
    let mut writes = Vec::new();
    for group in groups {
        let slices = by_group.remove(&id(&group.family, &group.ports)).unwrap_or_default();
        writes.extend(fill(group, slices, common));
    }
    // New slices first: an endpoint that moves must not be missing in between.
    let surplus = by_group.into_values().flatten().chain(foreign);
    writes.extend(surplus.map(|slice| Write::delete(Target::of(&*slice))));
    writes
}

fn is_owned(meta: &ObjectMeta, owner: &str) -> bool {
    meta.owner_references.iter().flatten().any(|reference| reference.uid == owner)
}

fn id(family: &str, ports: &[EndpointPort]) -> (String, String) {
    let mut ports: Vec<String> = ports.iter().map(|port| json!(port).to_string()).collect();
    ports.sort();
    (family.to_owned(), ports.join(","))
}

/// One endpoint is another version of the same: the same pod, or without one the same addresses.
fn same(endpoint: &Endpoint) -> String {
    let pod = endpoint.target_ref.as_ref().and_then(|target| target.uid.clone());
    pod.unwrap_or_default() + &endpoint.addresses.join(",")
}

struct Slot {
    held: Option<Arc<EndpointSlice>>,
    endpoints: Vec<Endpoint>,
}

fn fill(group: Group, slices: Vec<Arc<EndpointSlice>>, common: &Common) -> Vec<Write> {
    let Group { family, ports, endpoints } = group;
    let mut wanted: BTreeMap<String, Endpoint> = endpoints.into_iter().map(|e| (same(&e), e)).collect();
    let mut slots = Vec::new();
    for slice in slices {
        let kept = slice.endpoints.iter().flatten().filter_map(|held| wanted.remove(&same(held))).collect();
        slots.push(Slot { held: Some(slice), endpoints: kept });
    }
    // Slices that change anyway are filled first; then the one where the rest fits best; then new ones.
    let mut rest: Vec<Endpoint> = wanted.into_values().collect();
    for slot in slots.iter_mut().filter(|slot| changes(slot)) {
        let room = ENDPOINTS_MAX.saturating_sub(slot.endpoints.len()).min(rest.len());
        slot.endpoints.extend(rest.drain(..room));
    }
    while rest.len() >= ENDPOINTS_MAX {
        let full = rest.drain(..ENDPOINTS_MAX).collect();
        slots.push(Slot { held: None, endpoints: full });
    }
    if !rest.is_empty() {
        let fits = |slot: &&mut Slot| slot.endpoints.len() + rest.len() <= ENDPOINTS_MAX;
        match slots.iter_mut().filter(fits).max_by_key(|slot| slot.endpoints.len()) {
            Some(slot) => slot.endpoints.append(&mut rest),
            None => slots.push(Slot { held: None, endpoints: rest }),
        }
    }
    let keeps_one = slots.iter().all(|slot| slot.endpoints.is_empty());
    if slots.is_empty() {
        slots.push(Slot { held: None, endpoints: Vec::new() });
    }
    let mut writes: Vec<Write> = Vec::new();
    for (at, slot) in slots.into_iter().enumerate() {
        let empty = slot.endpoints.is_empty() && !(keeps_one && at == 0);
        writes.extend(write(slot, empty, &family, &ports, common));
    }
    writes
}

fn changes(slot: &Slot) -> bool {
    let held = slot.held.as_ref().and_then(|slice| slice.endpoints.as_ref()).map_or(0, Vec::len);
    slot.held.is_some() && held != slot.endpoints.len()
}

fn write(slot: Slot, empty: bool, family: &str, ports: &[EndpointPort], common: &Common) -> Option<Write> {
    let mut tree = json!({
        "addressType": family, "endpoints": slot.endpoints, "ports": ports,
        "metadata": { "labels": common.labels },
    });
    let Some(held) = slot.held else {
        tree["metadata"]["generateName"] = common.prefix.as_str().into();
        tree["metadata"]["namespace"] = common.namespace.as_str().into();
        tree["metadata"]["ownerReferences"] = json!([common.owner]);
        if !common.annotations.is_empty() {
            tree["metadata"]["annotations"] = json!(common.annotations);
        }
        return Some(Write::create::<EndpointSlice>(tree));
    };
    if empty {
        return Some(Write::delete(Target::of(&*held)));
    }
    let now = json!({
        "endpoints": held.endpoints.as_deref().unwrap_or_default(),
        "ports": held.ports.as_deref().unwrap_or_default(),
        "addressType": held.address_type,
        "metadata": { "labels": held.metadata.labels.clone().unwrap_or_default() },
    });
    (now != tree).then(|| Write::patch(Target::exactly(&*held), merge_diff(&now, &tree)))
}
