//! What a Service holds: its cluster address and its node ports. Fills both in and keeps them over updates.

use machinery::field::{Path, Problems};
use machinery::status::Status;
use machinery::{meta, tree};
use serde_json::{Value, json};

use super::{Pools, addresses, ports};
use crate::commit::{Side, SideChange};
use crate::keys;

pub fn plan(new: Option<&mut Value>, old: Option<&Value>, pools: &Pools<'_>) -> Result<Vec<Side>, Status> {
    let Some(new) = new else {
        return Ok(old.map_or_else(Vec::new, |old| release_all(old, pools)));
    };
    if let Some(old) = old {
        keep_allocated(new, old);
    }
    pair_addresses(new, old);
    families(new, old)?;
    let mut sides = address(new, old, pools)?;
    sides.extend(node_ports(new, old, pools)?);
    Ok(sides)
}

fn kind_of(service: &Value) -> &str {
    match tree::str(service, "spec.type") {
        "" => "ClusterIP",
        text => text,
    }
}

fn has_address(service: &Value) -> bool {
    kind_of(service) != "ExternalName"
}

fn has_ports(service: &Value) -> bool {
    matches!(kind_of(service), "NodePort" | "LoadBalancer")
}

fn has_health_port(service: &Value) -> bool {
    kind_of(service) == "LoadBalancer" && tree::str(service, "spec.externalTrafficPolicy") == "Local"
}

fn is_headless(service: &Value) -> bool {
    tree::str(service, "spec.clusterIP") == "None"
}

fn owner(service: &Value) -> String {
    keys::key(meta::namespace(service), meta::name(service))
}

fn invalid(service: &Value, problems: &Problems) -> Status {
    Status::invalid("", "Service", meta::name(service), problems)
}

fn all_ports(service: &Value) -> Vec<u16> {
    let ports = tree::items(service, "spec.ports").iter().map(|port| &port["nodePort"]);
    let health = has_health_port(service).then(|| &service["spec"]["healthCheckNodePort"]);
    let numbers = ports.chain(health).filter_map(|port| u16::try_from(port.as_u64()?).ok());
    numbers.filter(|port| *port > 0).collect()
}

/// What the client left out it means to keep.
fn keep_allocated(new: &mut Value, old: &Value) {
    if has_address(new) && has_address(old) {
        for (field, at) in [("clusterIP", "spec.clusterIP"), ("clusterIPs", "spec.clusterIPs")] {
            let empty = tree::str(new, at).is_empty() && tree::items(new, at).is_empty();
            if empty && !old["spec"][field].is_null() {
                tree::set(new, at, old["spec"][field].clone());
            }
        }
    }
    if has_ports(new) && has_ports(old) {
        keep_ports(new, old);
    }
    if has_health_port(new) && has_health_port(old) && new["spec"]["healthCheckNodePort"].as_i64().unwrap_or(0) == 0 {
        tree::set(new, "spec.healthCheckNodePort", old["spec"]["healthCheckNodePort"].clone());
    }
}

/// Ports are known again by their names, unless their number went to another.
fn keep_ports(new: &mut Value, old: &Value) {
    let used: Vec<Value> = tree::items(new, "spec.ports").iter().map(|p| p["nodePort"].clone()).collect();
    for port in tree::items_mut(new, "spec.ports") {
        if port["nodePort"].as_i64().unwrap_or(0) != 0 {
            continue;
        }
        let before = tree::items(old, "spec.ports").iter().rev().find(|p| p["name"] == port["name"]);
        if let Some(number) = before.map(|p| p["nodePort"].clone()).filter(|n| !n.is_null() && !used.contains(n)) {
            port["nodePort"] = number;
        }
    }
}

/// `clusterIP` and `clusterIPs[0]` say the same; old clients know the first only.
fn pair_addresses(new: &mut Value, old: Option<&Value>) {
    let single = tree::str(new, "spec.clusterIP").to_owned();
    let Some(old) = old else {
        if !single.is_empty() && tree::items(new, "spec.clusterIPs").is_empty() {
            tree::set(new, "spec.clusterIPs", json!([single]));
        }
        return;
    };
    let same_list = new["spec"]["clusterIPs"] == old["spec"]["clusterIPs"];
    if single == tree::str(old, "spec.clusterIP") || !same_list {
        return;
    }
    match single.as_str() {
        "" => drop(tree::remove(new, "spec.clusterIPs")),
        text => tree::set(new, "spec.clusterIPs", json!([text])),
    }
}

/// This cluster has one family; two are only shown by headless Services without a selector.
fn families(new: &mut Value, old: Option<&Value>) -> Result<(), Status> {
    if !has_address(new) {
        return Ok(());
    }
    let selector = new["spec"]["selector"].as_object().is_some_and(|map| !map.is_empty());
    let by_hand = is_headless(new) && !selector;
    let before = old.and_then(|old| old["spec"]["ipFamilyPolicy"].as_str()).map(str::to_owned);
    let default = if by_hand { "RequireDualStack" } else { "SingleStack" };
    tree::default(new, "spec.ipFamilyPolicy", before.unwrap_or_else(|| default.into()));
    let mut problems = Problems::default();
    api::core::service::validate_addresses(new, &mut problems);
    if !problems.is_empty() {
        return Err(invalid(new, &problems));
    }
    let single = tree::str(new, "spec.ipFamilyPolicy") == "SingleStack";
    let mut families = tree::items(new, "spec.ipFamilies").to_vec();
    if families.is_empty() {
        families.push(json!("IPv4"));
    }
    if by_hand && !single && families.len() == 1 {
        families.push(if families[0] == "IPv4" { json!("IPv6") } else { json!("IPv4") });
    }
    if !by_hand {
        refuse_families(new, &families)?;
    }
    tree::set(new, "spec.ipFamilies", families);
    Ok(())
}

fn refuse_families(service: &Value, families: &[Value]) -> Result<(), Status> {
    let (mut problems, spec) = (Problems::default(), Path::new("spec"));
    if tree::str(service, "spec.ipFamilyPolicy") == "RequireDualStack" {
        let why = "this cluster is not configured for dual-stack services";
        problems.invalid(&spec.child("ipFamilyPolicy"), "RequireDualStack", why);
    }
    for (i, family) in families.iter().enumerate().filter(|(_, family)| **family != "IPv4") {
        problems.invalid(&spec.child("ipFamilies").index(i), family.clone(), "not configured on this cluster");
    }
    if problems.is_empty() { Ok(()) } else { Err(invalid(service, &problems)) }
}

fn address(new: &mut Value, old: Option<&Value>, pools: &Pools<'_>) -> Result<Vec<Side>, Status> {
    let held = old.filter(|old| has_address(old));
    if held.is_some_and(is_headless) {
        return Ok(Vec::new());
    }
    if let Some(held) = held {
        return Ok(if has_address(new) { Vec::new() } else { release_addresses(held, pools) });
    }
    if !has_address(new) || is_headless(new) {
        return Ok(Vec::new());
    }
    let (namespace, name) = (meta::namespace(new).to_owned(), meta::name(new).to_owned());
    let wanted = tree::items(new, "spec.clusterIPs").first().and_then(Value::as_str).unwrap_or_default().to_owned();
    let address = if wanted.is_empty() {
        addresses::next(pools, (namespace.as_str(), name.as_str()) == ("default", "kubernetes"))?.to_string()
    } else {
        addresses::check(pools, &wanted).map_err(|why| {
            let (mut problems, at) = (Problems::default(), Path::new("spec").child("clusterIPs"));
            let why = format!("failed to allocate IP {wanted}: {why}");
            problems.invalid(&at, new["spec"]["clusterIPs"].clone(), why);
            invalid(new, &problems)
        })?;
        wanted
    };
    tree::set(new, "spec.clusterIP", address.as_str());
    tree::set(new, "spec.clusterIPs", json!([address]));
    Ok(vec![addresses::take(pools, &address, &namespace, &name)])
}

fn node_ports(new: &mut Value, old: Option<&Value>, pools: &Pools<'_>) -> Result<Vec<Side>, Status> {
    let held = old.map(all_ports).unwrap_or_default();
    let owner = owner(new);
    let mut taken: Vec<u16> = Vec::new();
    if has_ports(new) {
        fill_ports(new, old.is_none(), &held, &mut taken, pools)?;
    }
    if has_health_port(new) {
        fill_health_port(new, &held, &mut taken, pools)?;
    }
    let kept = if has_ports(new) { all_ports(new) } else { Vec::new() };
    let freed = held.iter().filter(|port| !kept.contains(port)).filter_map(|port| ports::release(pools, *port, &owner));
    Ok(taken.iter().map(|port| ports::take(*port, &owner)).chain(freed).collect())
}

fn fill_ports(
    service: &mut Value,
    creates: bool,
    held: &[u16],
    taken: &mut Vec<u16>,
    pools: &Pools<'_>,
) -> Result<(), Status> {
    let allocates = kind_of(service) == "NodePort" || service["spec"]["allocateLoadBalancerNodePorts"] != false;
    let mut list = tree::items(service, "spec.ports").to_vec();
    let asked: Vec<(Value, i64)> = list.iter().map(|p| (p["port"].clone(), number(p))).collect();
    for i in 0..list.len() {
        // On create, TCP and UDP of one port number share a node port.
        let partner = list[..i].iter().map(|p| (&p["port"], number(p))).chain(asked.iter().map(|(p, n)| (p, *n)));
        let partner = partner.into_iter().find(|(port, n)| creates && **port == list[i]["port"] && *n != 0);
        match (number(&list[i]), partner) {
            (0, _) if !allocates => {}
            (0, Some((_, shared))) => {
                list[i]["nodePort"] = shared.into();
                claim(service, i, shared, held, taken, pools, true)?;
            }
            (0, None) => {
                let port = ports::next(pools, taken)?;
                taken.push(port);
                list[i]["nodePort"] = port.into();
            }
            (wanted, _) => {
                let shared = !creates || list[..i].iter().any(|p| number(p) == wanted && p["port"] == list[i]["port"]);
                claim(service, i, wanted, held, taken, pools, shared)?;
            }
        }
    }
    tree::set(service, "spec.ports", list);
    Ok(())
}

fn number(port: &Value) -> i64 {
    port["nodePort"].as_i64().unwrap_or(0)
}

/// Takes a port that is asked for by number; `shared` says that this write may name it twice.
fn claim(
    service: &Value,
    index: usize,
    wanted: i64,
    held: &[u16],
    taken: &mut Vec<u16>,
    pools: &Pools<'_>,
    shared: bool,
) -> Result<(), Status> {
    let has = |list: &[u16]| list.iter().any(|port| i64::from(*port) == wanted);
    if has(held) || (shared && has(taken)) {
        return Ok(());
    }
    match ports::check(pools, wanted, taken) {
        Ok(port) => taken.push(port),
        Err(why) => {
            let (mut problems, at) = (Problems::default(), Path::new("spec").child("ports").index(index));
            problems.invalid(&at.child("nodePort"), wanted, why);
            return Err(invalid(service, &problems));
        }
    }
    Ok(())
}

fn fill_health_port(service: &mut Value, held: &[u16], taken: &mut Vec<u16>, pools: &Pools<'_>) -> Result<(), Status> {
    let wanted = service["spec"]["healthCheckNodePort"].as_i64().unwrap_or(0);
    if held.iter().any(|port| i64::from(*port) == wanted) {
        return Ok(());
    }
    let port = match wanted {
        0 => ports::next(pools, taken)?,
        wanted => ports::check(pools, wanted, taken).map_err(|why| {
            Status::internal(format!("failed to allocate requested HealthCheck NodePort {wanted}: {why}"))
        })?,
    };
    taken.push(port);
    tree::set(service, "spec.healthCheckNodePort", port);
    Ok(())
}

fn release_addresses(service: &Value, pools: &Pools<'_>) -> Vec<Side> {
    let (namespace, name) = (meta::namespace(service), meta::name(service));
    let held = tree::items(service, "spec.clusterIPs").iter().filter_map(Value::as_str);
    held.filter_map(|address| addresses::release(pools, address, namespace, name)).collect()
}

/// The Service goes: its addresses, its ports, and the Endpoints that bear its name.
fn release_all(service: &Value, pools: &Pools<'_>) -> Vec<Side> {
    let owner = owner(service);
    let mut sides = release_addresses(service, pools);
    let mut ports = all_ports(service);
    ports.sort_unstable();
    ports.dedup();
    sides.extend(ports.into_iter().filter_map(|port| ports::release(pools, port, &owner)));
    if pools.cache.get("core/endpoints", &owner).is_some() {
        sides.push(Side { collection: "core/endpoints", key: owner, change: SideChange::Release });
    }
    sides
}
