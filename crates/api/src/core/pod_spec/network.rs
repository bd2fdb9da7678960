//! What a pod spec says of the network: container ports, host ports, DNS, `/etc/hosts`.

use machinery::field::{Problems, Wrong};

use crate::cursor::Field;
use crate::rule;

pub const DNS_POLICIES: [&str; 4] = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
pub const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];

/// What resolvers take: <https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/>.
const NAMESERVERS_MAX: usize = 3;
const SEARCHES_MAX: usize = 32;
const SEARCH_CHARS_MAX: usize = 2048;

pub fn ports(ports: &Field, problems: &mut Problems) {
    let mut names: Vec<&str> = Vec::new();
    for port in ports.items() {
        let name = port.get("name");
        if !name.is_empty() && rule::port_name(&name, problems) {
            if names.contains(&name.str()) {
                name.duplicate(problems);
            } else {
                names.push(name.str());
            }
        }
        match port.get("containerPort") {
            number if number.num() == 0 => number.required(problems, ""),
            number => rule::port_number(&number, problems),
        }
        if port.get("hostPort").num() != 0 {
            rule::port_number(&port.get("hostPort"), problems);
        }
        rule::required_one_of(&port.get("protocol"), &PROTOCOLS, problems);
    }
}

/// One host port is taken once among these containers.
pub fn host_port_conflicts<'v: 'p, 'p>(containers: impl Iterator<Item = Field<'v, 'p>>, problems: &mut Problems) {
    let mut taken: Vec<(&str, &str, i64)> = Vec::new();
    for container in containers {
        for port in container.get("ports").items() {
            let number = port.get("hostPort").num();
            let key = (port.get("protocol").str(), port.get("hostIP").str(), number);
            if number == 0 {
                continue;
            }
            if taken.contains(&key) {
                let text = format!("{}/{}/{}", key.0, key.1, key.2);
                port.get("hostPort").wrong(problems, Wrong::Duplicate(text.into()), "");
            } else {
                taken.push(key);
            }
        }
    }
}

/// On the host's network the two numbers are one; in templates the host's may still be absent.
pub fn host_ports(spec: &Field, is_pod: bool, problems: &mut Problems) {
    if !spec.get("hostNetwork").bool() {
        return;
    }
    for container in spec.get("containers").items() {
        for port in container.get("ports").items() {
            let host = port.get("hostPort");
            if (is_pod || host.num() != 0) && host.num() != port.get("containerPort").num() {
                host.invalid_as(problems, host.num(), "must match `containerPort` when `hostNetwork` is true");
            }
        }
    }
}

pub fn dns_config(spec: &Field, problems: &mut Problems) {
    let config = spec.get("dnsConfig");
    let servers = config.get("nameservers");
    if spec.get("dnsPolicy").str() == "None" {
        if !config.is_set() {
            return config.required(problems, "must provide `dnsConfig` when `dnsPolicy` is None");
        }
        if servers.is_empty() {
            return servers.required(problems, "must provide at least one DNS nameserver when `dnsPolicy` is None");
        }
    }
    if servers.len() > NAMESERVERS_MAX {
        servers.invalid(problems, format!("must not have more than {NAMESERVERS_MAX} nameservers"));
    }
    for server in servers.items() {
        rule::ip_sloppy(&server, "must be valid IP address", problems);
    }
    searches(&config.get("searches"), problems);
    for option in config.get("options").items() {
        if option.get("name").is_empty() {
            option.required(problems, "must not be empty");
        }
    }
}

fn searches(searches: &Field, problems: &mut Problems) {
    if searches.len() > SEARCHES_MAX {
        searches.invalid(problems, format!("must not have more than {SEARCHES_MAX} search paths"));
    }
    let spaces = searches.len().saturating_sub(1);
    if searches.items().map(|s| s.len()).sum::<usize>() + spaces > SEARCH_CHARS_MAX {
        searches.invalid(
            problems,
            format!("must not have more than {SEARCH_CHARS_MAX} characters (including spaces) in the search list"),
        );
    }
    for search in searches.items() {
        // A lone dot is the root; one at the end is fine, and an underscore too.
        let name = search.str().strip_suffix('.').unwrap_or(search.str());
        if search.str() == "." {
            continue;
        }
        for message in rule::dns_subdomain_underscore_messages(name) {
            search.invalid_as(problems, name, message);
        }
    }
}

pub fn host_aliases(aliases: &Field, problems: &mut Problems) {
    let (ip_at, names_at) = (aliases.get("ip"), aliases.get("hostnames"));
    for alias in aliases.items() {
        // Upstream names neither index here.
        rule::ip_sloppy(&ip_at.with(alias.get("ip").value), "must be valid IP address", problems);
        for name in alias.get("hostnames").items() {
            rule::dns_subdomain(&names_at.with(name.value), problems);
        }
    }
}
