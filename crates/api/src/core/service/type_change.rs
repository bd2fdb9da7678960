//! A Service that changes its type: what the new type does not have goes.
//!
//! What stays over updates is put back where it was given out: in `registry/src/allocate/service.rs`.

use machinery::tree;
use serde_json::{Value, json};

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

/// What a new type does not have goes, unless it was changed in the same update (then it is refused).
pub fn drop_what_it_has_not(new: &mut Value, old: &Value) {
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
    }
}
