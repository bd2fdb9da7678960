//! The rules of a Service.

use machinery::field::{Problems, Wrong};
use machinery::validation;
use serde_json::Value;

use super::addresses;
use crate::core::pod_spec::network::PROTOCOLS;
use crate::cursor::Field;
use crate::rule;

const KUBELET_PORT: i64 = 10250;
const AFFINITY_SECONDS_MAX: i64 = 86_400;
const TYPES: [&str; 4] = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
pub const ONCE_SET: &str = "may not change once set";
const BALANCER_ONLY: &str = "may only be used when `type` is 'LoadBalancer'";

pub fn is_headless(spec: &Field) -> bool {
    let addresses = spec.get("clusterIPs");
    addresses.len() == 1 && addresses.index(0).str() == "None"
}

pub fn validate(object: &Value, problems: &mut Problems) {
    let root = Field::root(object);
    let spec = root.get("spec");
    let (kind, ports) = (spec.get("type"), spec.get("ports"));
    topology_annotations(&root.get("metadata.annotations"), problems);
    if ports.is_empty() && !is_headless(&spec) && kind.str() != "ExternalName" {
        ports.required(problems, "");
    }
    by_type(&spec, problems);
    let mut names: Vec<&str> = Vec::new();
    for port in ports.items() {
        self::port(&port, ports.len() > 1, &mut names, problems);
    }
    rule::labels(&spec.get("selector"), problems);
    affinity(&spec, problems);
    addresses::validate(&spec, problems);
    for ip in spec.get("externalIPs").items() {
        if rule::ip(&ip, problems) {
            rule::endpoint_ip(&ip, problems);
        }
    }
    rule::required_one_of(&kind, &TYPES, problems);
    unique_ports(&ports, kind.str(), problems);
    load_balancer(&root, &spec, problems);
    traffic(&spec, problems);
}

fn topology_annotations(annotations: &Field, problems: &mut Problems) {
    const OLD: &str = "service.kubernetes.io/topology-aware-hints";
    let (mode, hints) = (annotations.key("service.kubernetes.io/topology-mode"), annotations.key(OLD));
    if mode.is_set() && hints.is_set() && mode.value != hints.value {
        mode.invalid(problems, format!("must match annotations[{OLD}] when both are specified"));
    }
}

fn by_type(spec: &Field, problems: &mut Problems) {
    let addresses = spec.get("clusterIPs");
    match spec.get("type").str() {
        kind @ ("LoadBalancer" | "NodePort") => {
            if kind == "LoadBalancer" {
                for port in spec.get("ports").items().filter(|p| p.get("port").num() == KUBELET_PORT) {
                    let detail = format!("may not expose port {KUBELET_PORT} externally since it is used by kubelet");
                    port.invalid_as(problems, KUBELET_PORT, detail);
                }
            }
            if is_headless(spec) {
                let detail = format!("may not be set to 'None' for {kind} services");
                addresses.index(0).invalid(problems, detail);
            }
        }
        "ExternalName" => {
            for field in ["clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
                if !spec.get(field).is_empty() {
                    spec.get(field).forbidden(problems, "may not be set for ExternalName services");
                }
            }
            let name = spec.get("externalName");
            let canonical = name.str().strip_suffix('.').unwrap_or(name.str());
            if canonical.is_empty() {
                name.required(problems, "");
            }
            for message in rule::dns_subdomain_messages(canonical).into_iter().filter(|_| !canonical.is_empty()) {
                name.invalid_as(problems, canonical, message);
            }
        }
        _ => {}
    }
}

fn port<'v>(port: &Field<'v, '_>, named: bool, names: &mut Vec<&'v str>, problems: &mut Problems) {
    let name = port.get("name");
    if name.is_empty() {
        if named {
            name.required(problems, "");
        }
    } else {
        rule::dns_label(&name, problems);
        if names.contains(&name.str()) {
            name.duplicate(problems);
        }
        names.push(name.str());
    }
    rule::port_number(&port.get("port"), problems);
    rule::required_one_of(&port.get("protocol"), &PROTOCOLS, problems);
    rule::port(&port.get("targetPort"), problems);
    if port.get("appProtocol").is_set() {
        rule::qualified_name(&port.get("appProtocol"), problems);
    }
}

fn unique_ports(ports: &Field, kind: &str, problems: &mut Problems) {
    let mut nodes: Vec<(&str, i64)> = Vec::new();
    let mut seen: Vec<(&str, i64)> = Vec::new();
    for port in ports.items() {
        let node = port.get("nodePort");
        let key = (port.get("protocol").str(), node.num());
        if key.1 == 0 {
            continue;
        }
        if kind == "ClusterIP" {
            node.forbidden(problems, "may not be used when `type` is 'ClusterIP'");
        }
        if nodes.contains(&key) {
            node.duplicate(problems);
        }
        nodes.push(key);
    }
    for port in ports.items() {
        let key = (port.get("protocol").str(), port.get("port").num());
        if seen.contains(&key) {
            let shown = serde_json::json!({"protocol": key.0, "port": key.1});
            port.wrong(problems, Wrong::Duplicate(shown), "");
        }
        seen.push(key);
    }
}

fn affinity(spec: &Field, problems: &mut Problems) {
    let (affinity, config) = (spec.get("sessionAffinity"), spec.get("sessionAffinityConfig"));
    rule::required_one_of(&affinity, &["ClientIP", "None"], problems);
    match affinity.str() {
        "None" if config.is_set() => {
            config.forbidden(problems, "must not be set when session affinity is None");
        }
        "ClientIP" => {
            let seconds = config.get("clientIP.timeoutSeconds");
            match seconds.int() {
                None => seconds.required(problems, "when session affinity type is ClientIP"),
                Some(n) if (1..=AFFINITY_SECONDS_MAX).contains(&n) => {}
                Some(_) => {
                    let detail = format!("must be greater than 0 and less than {AFFINITY_SECONDS_MAX}");
                    seconds.invalid(problems, detail);
                }
            }
        }
        _ => {}
    }
}

// === load balancers and traffic ===

fn load_balancer(root: &Field, spec: &Field, problems: &mut Problems) {
    const RANGES: &str = "service.beta.kubernetes.io/load-balancer-source-ranges";
    const NOT_RANGES: &str = "must be a list of IP ranges. For example, 10.240.0.0/24,10.250.0.0/24 ";
    let balancer = spec.get("type").str() == "LoadBalancer";
    let (ranges, annotations) = (spec.get("loadBalancerSourceRanges"), root.get("metadata.annotations"));
    let is_range = |text: &str| validation::parse_cidr(text.trim()).is_some();
    if !ranges.is_empty() {
        let at = spec.get("LoadBalancerSourceRanges");
        let texts: Vec<_> = ranges.items().map(|r| r.str()).collect();
        if !balancer {
            at.forbidden(problems, BALANCER_ONLY);
        }
        if !texts.iter().all(|range| is_range(range)) {
            at.invalid_as(problems, format!("[{}]", texts.join(" ")), NOT_RANGES);
        }
    } else if annotations.key(RANGES).is_set() {
        let at = annotations.key(RANGES);
        if !balancer {
            at.forbidden(problems, BALANCER_ONLY);
        }
        if !at.str().trim().is_empty() && !at.str().split(',').all(is_range) {
            at.invalid(problems, NOT_RANGES);
        }
    }
    let (allocate, class) = (spec.get("allocateLoadBalancerNodePorts"), spec.get("loadBalancerClass"));
    if allocate.is_set() && !balancer {
        allocate.forbidden(problems, BALANCER_ONLY);
    }
    if class.is_set() && balancer {
        rule::qualified_name(&class, problems);
    } else if class.is_set() {
        class.forbidden(problems, BALANCER_ONLY);
    }
}

fn traffic(spec: &Field, problems: &mut Problems) {
    let kind = spec.get("type").str();
    let (external, internal) = (spec.get("externalTrafficPolicy"), spec.get("internalTrafficPolicy"));
    let by_address = kind == "ClusterIP" && !spec.get("externalIPs").is_empty();
    if matches!(kind, "NodePort" | "LoadBalancer") || by_address {
        rule::required_one_of(&external, &["Cluster", "Local"], problems);
    } else if !external.is_empty() {
        external.invalid(problems, "may only be set for externally-accessible services");
    }
    let health = spec.get("healthCheckNodePort");
    if kind == "LoadBalancer" && external.str() == "Local" {
        match health.num() {
            0 => health.required(problems, ""),
            _ => rule::port_number(&health, problems),
        }
    } else if health.num() != 0 {
        let detail = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
        health.invalid(problems, detail);
    }
    if internal.is_set() {
        rule::one_of(&internal, &["Cluster", "Local"], problems);
    } else if matches!(kind, "NodePort" | "LoadBalancer" | "ClusterIP") {
        internal.required(problems, "");
    }
    let distribution = spec.get("trafficDistribution");
    if distribution.is_set() {
        rule::one_of(&distribution, &["PreferClose", "PreferSameNode", "PreferSameZone"], problems);
    }
}

pub fn balancer_status(service: &Field, problems: &mut Problems) {
    let all = service.get("status.loadBalancer.ingress");
    if !all.is_empty() && service.get("spec.type").str() != "LoadBalancer" {
        all.forbidden(problems, "may only be used when `spec.type` is \"LoadBalancer\"");
        return;
    }
    for ingress in all.items() {
        let (ip, mode, host) = (ingress.get("ip"), ingress.get("ipMode"), ingress.get("hostname"));
        if !ip.is_empty() {
            rule::ip_sloppy(&ip, "must be a valid IP address", problems);
        }
        if !mode.is_set() && !ip.is_empty() {
            mode.required(problems, "must be specified when `ip` is set");
        } else if mode.is_set() && ip.is_empty() {
            mode.forbidden(problems, "may not be specified when `ip` is not set");
        } else if mode.is_set() {
            rule::one_of(&mode, &["Proxy", "VIP"], problems);
        }
        if !host.is_empty() {
            rule::dns_subdomain(&host, problems);
            if validation::parse_ip(host.str()).is_some() {
                host.invalid(problems, "must be a DNS name, not an IP address");
            }
        }
    }
}

// === updates ===

pub fn validate_update(new: &Value, old: &Value, problems: &mut Problems) {
    let (root, before) = (Field::root(new), Field::root(old));
    let (spec, old_spec) = (root.get("spec"), before.get("spec"));
    let named = |s: &Field| s.get("type").str() == "ExternalName";
    let (headless, was_headless) = (is_headless(&spec), is_headless(&old_spec));
    if !named(&spec) && !named(&old_spec) {
        if !(headless && was_headless) {
            addresses::stay(&spec, &old_spec, problems);
        }
        if !headless && !was_headless {
            addresses::families_stay(&spec, &old_spec, problems);
        }
    }
    let balancer = |s: &Field| s.get("type").str() == "LoadBalancer";
    let (class, old_class) = (spec.get("loadBalancerClass"), old_spec.get("loadBalancerClass"));
    if balancer(&spec) && balancer(&old_spec) && class.value != old_class.value {
        class.invalid(problems, ONCE_SET);
    }
    let local = |s: &Field| balancer(s) && s.get("externalTrafficPolicy").str() == "Local";
    let (health, old_health) = (spec.get("healthCheckNodePort"), old_spec.get("healthCheckNodePort"));
    if local(&spec) && local(&old_spec) && health.num() != old_health.num() {
        health.forbidden(problems, rule::IMMUTABLE);
    }
}

pub fn warnings(new: &Value, _old: &Value) -> Vec<String> {
    let root = Field::root(new);
    let mut out = Vec::new();
    if root.get("metadata.annotations").key("service.kubernetes.io/topology-aware-hints").is_set() {
        out.push(
            "metadata.annotations[service.kubernetes.io/topology-aware-hints]: deprecated since v1.27; \
             use \"service.kubernetes.io/topology-mode\" instead"
                .to_owned(),
        );
    }
    let spec = root.get("spec");
    if is_headless(&spec) {
        if !spec.get("loadBalancerIP").is_empty() {
            out.push("spec.loadBalancerIP is ignored for headless services".to_owned());
        }
        if !spec.get("externalIPs").is_empty() {
            out.push("spec.externalIPs is ignored for headless services".to_owned());
        }
        if spec.get("sessionAffinity").str() != "None" {
            out.push("spec.SessionAffinity is ignored for headless services".to_owned());
        }
    }
    out
}
