//! A pod's resolver configuration by `dnsPolicy` and `dnsConfig`.
//!
//! Source: <https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/#pod-s-dns-policy>.

use k8s_openapi::api::core::v1::Pod;
use rpc::cri::DnsConfig;

use super::facts::Node;
use crate::plan::spec;

const SERVERS_MAX: usize = 3;
const SEARCHES_MAX: usize = 32;
const SEARCH_CHARS_MAX: usize = 2048;

/// The parts of a `resolv.conf`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolv {
    pub servers: Vec<String>,
    pub searches: Vec<String>,
    pub options: Vec<String>,
}

impl Resolv {
    /// Reads a `resolv.conf`; what is not understood is passed over, of several search lines the last counts.
    pub fn parse(text: &str) -> Self {
        let mut out = Self::default();
        for line in text.lines() {
            let line = line.split(['#', ';']).next().unwrap_or_default();
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => out.servers.extend(words.next().map(str::to_owned)),
                // A trailing dot says nothing here, but a lone one does.
                Some("search") => {
                    out.searches =
                        words.map(|w| if w == "." { w } else { w.trim_end_matches('.') }.to_owned()).collect();
                }
                Some("options") => out.options = words.map(str::to_owned).collect(),
                _ => {}
            }
        }
        out
    }
}

/// The configuration for the sandbox.
pub fn config(pod: &Pod, node: &Node) -> DnsConfig {
    let spec = spec::spec(pod);
    let policy = spec.dns_policy.as_deref().unwrap_or("ClusterFirst");
    let cluster = match policy {
        "ClusterFirst" => !spec::host_network(pod),
        "ClusterFirstWithHostNet" => true,
        _ => false,
    } && !node.cluster_dns.is_empty();
    let host = &node.resolv;
    let mut out = match policy {
        "None" => Resolv::default(),
        _ if cluster => Resolv {
            servers: node.cluster_dns.clone(),
            searches: [&cluster_searches(pod, node)[..], &host.searches].concat(),
            options: vec!["ndots:5".into()],
        },
        _ => host.clone(),
    };
    if let Some(own) = &spec.dns_config {
        out.servers.extend(own.nameservers.iter().flatten().cloned());
        out.searches.extend(own.searches.iter().flatten().cloned());
        for option in own.options.iter().flatten() {
            let name = option.name.clone().unwrap_or_default();
            out.options.retain(|o| o.split(':').next() != Some(&name));
            out.options.push(match option.value.as_deref() {
                Some(value) if !value.is_empty() => format!("{name}:{value}"),
                _ => name,
            });
        }
    }
    fit(out)
}

fn cluster_searches(pod: &Pod, node: &Node) -> Vec<String> {
    let domain = &node.cluster_domain;
    if domain.is_empty() {
        return Vec::new();
    }
    vec![format!("{}.svc.{domain}", spec::namespace(pod)), format!("svc.{domain}"), domain.clone()]
}

fn without_repeats(list: Vec<String>) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for item in list {
        if !out.contains(&item) {
            out.push(item);
        }
    }
    out
}

/// Cuts to what resolvers accept.
fn fit(resolv: Resolv) -> DnsConfig {
    let mut servers = without_repeats(resolv.servers);
    servers.truncate(SERVERS_MAX);
    let mut searches = without_repeats(resolv.searches);
    searches.truncate(SEARCHES_MAX);
    while searches.join(" ").len() > SEARCH_CHARS_MAX {
        searches.pop();
    }
    DnsConfig { servers, searches, options: resolv.options }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn cluster_first_and_own_options() {
        let spec =
            json!({"containers": [], "dnsConfig": {"options": [{"name": "ndots", "value": "2"}, {"name": "debug"}]}});
        let pod: Pod = serde_json::from_value(json!({"metadata": {"namespace": "n"}, "spec": spec})).unwrap();
        let node = Node {
            cluster_domain: "cluster.local".into(),
            cluster_dns: vec!["10.96.0.10".into()],
            resolv: Resolv::parse("nameserver 1.1.1.1\nsearch lan. # home\noptions edns0\n"),
            ..Node::default()
        };
        let made = config(&pod, &node);
        assert_eq!(made.servers, ["10.96.0.10"]);
        assert_eq!(made.searches, ["n.svc.cluster.local", "svc.cluster.local", "cluster.local", "lan"]);
        assert_eq!(made.options, ["ndots:2", "debug"]);
    }
}
