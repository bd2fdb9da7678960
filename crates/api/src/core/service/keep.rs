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

#[cfg(test)]
mod tests {
    use machinery::tree;
    use serde_json::{Value, json};

    use crate::testing::with_defaults;

    use super::super::KIND;

    fn service(spec: Value) -> Value {
        with_defaults(&KIND, json!({"metadata": {"name": "a"}, "spec": spec}))
    }

    /// A Service as it is when its addresses and ports have been given out.
    fn given(kind: &str, more: Value) -> Value {
        let mut spec = json!({
            "type": kind, "clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9"],
            "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack",
            "ports": [{"name": "a", "port": 80, "nodePort": 30080}, {"name": "b", "port": 81, "nodePort": 30081}],
        });
        for (field, value) in more.as_object().into_iter().flatten() {
            spec[field] = value.clone();
        }
        service(spec)
    }

    fn updated(spec: Value, old: &Value) -> Value {
        let mut new = service(spec);
        (KIND.prepare_update)(&mut new, old);
        new
    }

    fn node_ports(object: &Value) -> Vec<Option<i64>> {
        tree::items(object, "spec.ports").iter().map(|port| port["nodePort"].as_i64()).collect()
    }

    #[test]
    fn a_manifest_without_them_keeps_address_and_ports() {
        let ports = json!([{"name": "b", "port": 81}, {"name": "a", "port": 80}, {"name": "c", "port": 82}]);
        let new = updated(json!({"type": "NodePort", "ports": ports}), &given("NodePort", json!({})));
        assert_eq!(new["spec"]["clusterIPs"], json!(["10.96.0.9"]));
        assert_eq!(node_ports(&new), [Some(30081), Some(30080), None]);
    }

    #[test]
    fn a_port_that_was_claimed_by_another_is_not_kept_twice() {
        let ports = json!([{"name": "a", "port": 80}, {"name": "c", "port": 82, "nodePort": 30080}]);
        let new = updated(json!({"type": "NodePort", "ports": ports}), &given("NodePort", json!({})));
        assert_eq!(node_ports(&new), [None, Some(30080)]);
    }

    #[test]
    fn a_type_without_node_ports_lets_them_go_unless_they_were_changed() {
        let old = given("NodePort", json!({}));
        let mut spec = old["spec"].clone();
        spec["type"] = "ClusterIP".into();
        let new = updated(spec.clone(), &old);
        assert_eq!(node_ports(&new), [None, None]);
        assert_eq!(new["spec"]["externalTrafficPolicy"], Value::Null);
        assert_eq!(new["spec"]["clusterIP"], "10.96.0.9");
        spec["ports"][0]["nodePort"] = 30090.into();
        assert_eq!(node_ports(&updated(spec, &old)), [Some(30090), Some(30081)]);
    }

    #[test]
    fn an_external_name_has_no_address() {
        let old = given("ClusterIP", json!({}));
        let mut spec = old["spec"].clone();
        spec["type"] = "ExternalName".into();
        spec["externalName"] = "a.b".into();
        let new = updated(spec, &old);
        for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"] {
            assert_eq!(new["spec"][field], Value::Null, "{field}");
        }
    }

    #[test]
    fn what_only_balancers_have_goes_with_the_type() {
        let more = json!({"externalTrafficPolicy": "Local", "healthCheckNodePort": 30099, "loadBalancerClass": "a/b"});
        let mut old = given("LoadBalancer", more);
        old["status"] = json!({"loadBalancer": {"ingress": [{"ip": "1.2.3.4"}]}});
        let mut spec = old["spec"].clone();
        spec["type"] = "NodePort".into();
        let new = updated(spec, &old);
        for field in ["healthCheckNodePort", "loadBalancerClass", "allocateLoadBalancerNodePorts"] {
            assert_eq!(new["spec"][field], Value::Null, "{field}");
        }
        assert_eq!(new["status"], json!({"loadBalancer": {}}));
        let mut again = old["spec"].clone();
        tree::remove(&mut again, "healthCheckNodePort");
        assert_eq!(updated(again, &old)["spec"]["healthCheckNodePort"], 30099);
    }
}
