//! A Service between updates: what was given out stays unless it was changed on purpose, and goes with the type.

use machinery::tree;
use serde_json::{Value, json};

use crate::status::put_back;

/// `clusterIP` is the first of `clusterIPs`: who writes one of them only means both.
pub fn one_address_is_the_first(new: &mut Value, old: &Value) {
    let (single, list) = (text(new, "spec.clusterIP"), tree::get(new, "spec.clusterIPs").clone());
    let (old_single, old_list) = (text(old, "spec.clusterIP"), tree::get(old, "spec.clusterIPs"));
    let same_list = list == *old_list;
    let same_first = list[0] == old_list[0] && !list[0].is_null();
    if single.is_empty() && !old_single.is_empty() {
        if same_first {
            tree::remove(new, "spec.clusterIPs");
        }
    } else if single != old_single && (same_list || list.as_array().is_none_or(Vec::is_empty)) {
        tree::set(new, "spec.clusterIPs", json!([single]));
    }
}

fn text(object: &Value, dotted: &str) -> String {
    tree::str(object, dotted).to_owned()
}

fn needs_address(object: &Value) -> bool {
    matches!(tree::str(object, "spec.type"), "ClusterIP" | "NodePort" | "LoadBalancer")
}

fn needs_node_port(object: &Value) -> bool {
    let kind = tree::str(object, "spec.type");
    kind == "NodePort" || (kind == "LoadBalancer" && object["spec"]["allocateLoadBalancerNodePorts"] != false)
}

fn needs_health_port(object: &Value) -> bool {
    tree::str(object, "spec.type") == "LoadBalancer" && tree::str(object, "spec.externalTrafficPolicy") == "Local"
}

/// Who leaves an address or a node port out keeps the one that was given.
pub fn what_was_given_out(new: &mut Value, old: &Value) {
    if needs_address(old) && needs_address(new) {
        if text(new, "spec.clusterIP").is_empty() {
            put_back(new, old, "spec.clusterIP");
        }
        let first = tree::get(old, "spec.clusterIPs")[0].as_str().unwrap_or("");
        if tree::items(new, "spec.clusterIPs").is_empty() && text(new, "spec.clusterIP") == first && !first.is_empty() {
            put_back(new, old, "spec.clusterIPs");
        }
    }
    if needs_node_port(old) && needs_node_port(new) {
        let same = |a: &Value, b: &Value| a["port"] == b["port"] && a["protocol"] == b["protocol"];
        let taken: Vec<_> = tree::items(new, "spec.ports").iter().filter_map(|p| p["nodePort"].as_i64()).collect();
        for port in tree::items_mut(new, "spec.ports").iter_mut().filter(|p| p["nodePort"].as_i64().unwrap_or(0) == 0) {
            let before = tree::items(old, "spec.ports").iter().find(|p| same(p, port));
            let given = before.and_then(|p| p["nodePort"].as_i64()).filter(|n| *n != 0 && !taken.contains(n));
            if let Some(given) = given {
                tree::set(port, "nodePort", given);
            }
        }
    }
    let health = "spec.healthCheckNodePort";
    if needs_health_port(old) && needs_health_port(new) && tree::get(new, health).as_i64().unwrap_or(0) == 0 {
        put_back(new, old, health);
    }
}

/// What a new type does not have goes, unless it was changed in the same update (then it is refused).
pub fn drop_what_the_type_has_not(new: &mut Value, old: &Value) {
    let unchanged = |new: &Value, field: &str| tree::get(new, field) == tree::get(old, field);
    if needs_address(old)
        && !needs_address(new)
        && unchanged(new, "spec.clusterIP")
        && unchanged(new, "spec.clusterIPs")
    {
        for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"] {
            tree::remove(new, &format!("spec.{field}"));
        }
    }
    if needs_node_port(old) && !needs_node_port(new) && same_node_ports(new, old) {
        for port in tree::items_mut(new, "spec.ports") {
            tree::remove(port, "nodePort");
        }
    }
    if needs_health_port(old) && !needs_health_port(new) && unchanged(new, "spec.healthCheckNodePort") {
        tree::remove(new, "spec.healthCheckNodePort");
    }
    let balancer = |object: &Value| tree::str(object, "spec.type") == "LoadBalancer";
    if balancer(old) && !balancer(new) {
        for field in ["spec.allocateLoadBalancerNodePorts", "spec.loadBalancerClass"] {
            if unchanged(new, field) {
                tree::remove(new, field);
            }
        }
        tree::set(new, "status", json!({"loadBalancer": {}}));
    }
    let external = |object: &Value| matches!(tree::str(object, "spec.type"), "NodePort" | "LoadBalancer");
    let by_address = !tree::items(new, "spec.externalIPs").is_empty();
    if external(old) && !external(new) && !by_address && unchanged(new, "spec.externalTrafficPolicy") {
        tree::remove(new, "spec.externalTrafficPolicy");
    }
}

fn same_node_ports(new: &Value, old: &Value) -> bool {
    let ports = |object| -> Vec<i64> {
        let mut ports: Vec<_> =
            tree::items(object, "spec.ports").iter().filter_map(|p| p["nodePort"].as_i64()).collect();
        ports.sort_unstable();
        ports
    };
    let (new, old) = (ports(new), ports(old));
    new.iter().all(|port| *port == 0 || old.contains(port))
}
