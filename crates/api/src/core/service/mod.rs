//! Service: one name and address for a set of endpoints.
//!
//! Addresses and node ports are given out by the registry (`registry/src/allocate`), which also settles `ipFamilies`;
//! here are the rules over what is there. Source:
//! <https://kubernetes.io/docs/reference/kubernetes-api/service-resources/service-v1/>.

use machinery::tree;
use serde_json::{Value, json};

use crate::column::{self, text_or};
use crate::cursor::Field;
use crate::fill;
use crate::kind::{Kind, NameRule, Subresource};

mod addresses;
mod rules;
mod type_change;

pub use addresses::validate_addresses;

/// Three hours: how long a client stays with its endpoint.
const AFFINITY_SECONDS: i64 = 10_800;
/// Addresses of load balancers are cut to this width, unless `-o wide`.
const BALANCER_WIDTH: usize = 16;

pub static KIND: Kind = Kind {
    kind: "Service",
    plural: "services",
    singular: "service",
    short_names: &["svc"],
    categories: &["all"],
    name_rule: NameRule::Label1035,
    definition: "io.k8s.api.core.v1.Service",
    create_on_update: true,
    subresources: &[
        Subresource::named("proxy", "ServiceProxyOptions", &["create", "delete", "get", "patch", "update"]),
        Subresource::status("Service"),
    ],
    set_defaults,
    prepare_create: |object| tree::set(object, "status", json!({"loadBalancer": {}})),
    prepare_update: |new, old| {
        crate::status::keep(new, old);
        type_change::drop_what_it_has_not(new, old);
    },
    validate: rules::validate,
    validate_update: rules::validate_update,
    validate_status: |new, _, problems| {
        rules::balancer_status(&Field::root(new), problems);
    },
    warnings: rules::warnings,
    selectable: &[
        ("spec.clusterIP", |object| tree::str(object, "spec.clusterIP").to_owned()),
        ("spec.type", |object| tree::str(object, "spec.type").to_owned()),
    ],
    columns: &[
        column::NAME,
        column::text("Type", "type determines how the Service is exposed."),
        column::text("Cluster-IP", "clusterIP is the IP address of the service."),
        column::text(
            "External-IP",
            "externalIPs is a list of IP addresses for which nodes in the cluster will also accept traffic for this service.",
        ),
        column::text("Port(s)", "The list of ports that are exposed by this service."),
        column::AGE,
        column::wide("Selector", "Route service traffic to pods with label keys and values matching this selector."),
    ],
    cells: |object, now| {
        let address = tree::items(object, "spec.clusterIPs").first().and_then(Value::as_str);
        vec![
            column::name(object),
            tree::str(object, "spec.type").into(),
            address.unwrap_or("<none>").into(),
            external(object).into(),
            ports(object).into(),
            column::age(object, now),
            column::labels(&object["spec"]["selector"]).into(),
        ]
    },
    ..Kind::BASE
};

fn set_defaults(object: &mut Value) {
    let spec = tree::map_mut(object, "spec");
    fill::text(spec, "sessionAffinity", "None");
    fill::text(spec, "type", "ClusterIP");
    let kind = fill::get_text(spec, "type").to_owned();
    match fill::get_text(spec, "sessionAffinity") {
        "None" => {
            spec.remove("sessionAffinityConfig");
        }
        "ClientIP" => {
            let config = spec.get("sessionAffinityConfig").unwrap_or(&Value::Null);
            if tree::get(config, "clientIP.timeoutSeconds").is_null() {
                let config = json!({"clientIP": {"timeoutSeconds": AFFINITY_SECONDS}});
                spec.insert("sessionAffinityConfig".to_owned(), config);
            }
        }
        _ => {}
    }
    for port in fill::maps(spec, "ports") {
        fill::text(port, "protocol", "TCP");
        let target = port.get("targetPort").unwrap_or(&Value::Null);
        if target.is_null() || target == 0 || target == "" {
            let number = port.get("port").cloned().unwrap_or_else(|| 0.into());
            port.insert("targetPort".to_owned(), number);
        }
    }
    let external = spec.get("externalIPs").and_then(Value::as_array).is_some_and(|ips| !ips.is_empty());
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer") || (kind == "ClusterIP" && external) {
        fill::text(spec, "externalTrafficPolicy", "Cluster");
    }
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer" | "ClusterIP") {
        fill::absent(spec, "internalTrafficPolicy", "Cluster");
    }
    if kind == "LoadBalancer" {
        fill::absent(spec, "allocateLoadBalancerNodePorts", true);
        for ingress in tree::items_mut(object, "status.loadBalancer.ingress") {
            if !tree::str(ingress, "ip").is_empty() {
                tree::default(ingress, "ipMode", "VIP");
            }
        }
    }
}

fn external(object: &Value) -> String {
    let addresses: Vec<_> = tree::items(object, "spec.externalIPs").iter().filter_map(Value::as_str).collect();
    match tree::str(object, "spec.type") {
        "ClusterIP" | "NodePort" if addresses.is_empty() => "<none>".to_owned(),
        "ClusterIP" | "NodePort" => addresses.join(","),
        "LoadBalancer" => {
            let balancers = balancers(object);
            let all: Vec<_> = Some(balancers.as_str()).filter(|b| !b.is_empty()).into_iter().chain(addresses).collect();
            if all.is_empty() { "<pending>".to_owned() } else { all.join(",") }
        }
        "ExternalName" => text_or(object, "spec.externalName", "").to_owned(),
        _ => "<unknown>".to_owned(),
    }
}

fn balancers(object: &Value) -> String {
    let ingress = tree::items(object, "status.loadBalancer.ingress").iter();
    let mut names: Vec<_> = ingress.map(|i| text_or(i, "ip", tree::str(i, "hostname"))).collect();
    names.retain(|name| !name.is_empty());
    names.sort_unstable();
    names.dedup();
    let text = names.join(",");
    match text.get(..BALANCER_WIDTH - 3) {
        Some(head) if text.len() > BALANCER_WIDTH => format!("{head}..."),
        _ => text,
    }
}

fn ports(object: &Value) -> String {
    let one = |port: &Value| {
        let (number, node) = (column::int(port, "port"), column::int(port, "nodePort"));
        let protocol = tree::str(port, "protocol");
        if node > 0 { format!("{number}:{node}/{protocol}") } else { format!("{number}/{protocol}") }
    };
    let ports: Vec<_> = tree::items(object, "spec.ports").iter().map(one).collect();
    if ports.is_empty() { "<none>".to_owned() } else { ports.join(",") }
}

#[cfg(test)]
mod tests {
    use crate::testing::{problems, update_problems, with_defaults};

    use super::*;

    fn service(spec: Value) -> Value {
        with_defaults(&KIND, json!({"metadata": {"name": "a"}, "spec": spec}))
    }

    #[test]
    fn a_plain_service_is_filled_in() {
        let object = service(json!({"ports": [{"port": 80}], "selector": {"app": "a"}}));
        assert_eq!(problems(&KIND, &object), "");
        assert_eq!(
            object["spec"],
            json!({
                "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}], "selector": {"app": "a"},
                "sessionAffinity": "None", "type": "ClusterIP", "internalTrafficPolicy": "Cluster",
            })
        );
    }

    #[test]
    fn mistakes_have_upstreams_messages() {
        let cases = [
            (json!({}), "spec.ports: Required value"),
            (
                json!({"ports": [{"port": 80}, {"port": 81}]}),
                "[spec.ports[0].name: Required value, spec.ports[1].name: Required value]",
            ),
            (
                json!({"type": "X", "ports": [{"port": 80}]}),
                "spec.type: Unsupported value: \"X\": supported values: \"ClusterIP\", \"ExternalName\", \"LoadBalancer\", \"NodePort\"",
            ),
            (
                json!({"ports": [{"port": 80, "nodePort": 30000}]}),
                "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'",
            ),
        ];
        for (spec, message) in cases {
            assert_eq!(problems(&KIND, &service(spec)), message);
        }
    }

    #[test]
    fn the_address_stays() {
        let of = |ip: &str| service(json!({"clusterIP": ip, "clusterIPs": [ip], "ports": [{"port": 80}]}));
        assert_eq!(
            update_problems(&KIND, &of("10.96.0.2"), &of("10.96.0.1")),
            "spec.clusterIPs[0]: Invalid value: [\"10.96.0.2\"]: may not change once set"
        );
    }
}
