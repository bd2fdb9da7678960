//! A pod's host name and its `/etc/hosts`.
//!
//! Source: <https://kubernetes.io/docs/tasks/network/customize-hosts-file-for-pods/>.

use k8s_openapi::api::core::v1::Pod;

use super::facts::Node;
use crate::plan::spec;

const HEADER: &str = "# Kubernetes-managed hosts file.\n";
const HEADER_HOST_NETWORK: &str = "# Kubernetes-managed hosts file (host network).\n";
const HOSTNAME_LENGTH_MAX: usize = 63;

/// The host name and the domain (empty without a subdomain).
pub fn names(pod: &Pod, node: &Node) -> (String, String) {
    let spec = spec::spec(pod);
    let mut name = spec.hostname.clone().filter(|h| !h.is_empty()).unwrap_or_else(|| spec::name(pod).to_owned());
    if name.len() > HOSTNAME_LENGTH_MAX {
        name.truncate(HOSTNAME_LENGTH_MAX);
        name = name.trim_end_matches(['-', '.']).to_owned();
    }
    let subdomain = spec.subdomain.as_deref().filter(|s| !s.is_empty());
    let domain = subdomain.map(|s| format!("{s}.{}.svc.{}", spec::namespace(pod), node.cluster_domain));
    (name, domain.unwrap_or_default())
}

/// What `hostname` says in the pod.
///
/// # Errors
/// `setHostnameAsFQDN` asks for a name longer than the kernel takes.
pub fn kernel_name(pod: &Pod, node: &Node) -> Result<String, String> {
    if spec::host_network(pod) {
        return Ok(node.name.clone());
    }
    if let Some(name) = spec::spec(pod).hostname_override.clone().filter(|n| !n.is_empty()) {
        return Ok(name);
    }
    let (name, domain) = names(pod, node);
    if spec::spec(pod).set_hostname_as_fqdn != Some(true) || domain.is_empty() {
        return Ok(name);
    }
    let full = format!("{name}.{domain}");
    if full.len() > 64 {
        return Err(format!(
            "failed to construct FQDN from pod hostname and cluster domain, FQDN {full} is too long (64 characters is the max, {} characters requested)",
            full.len()
        ));
    }
    Ok(full)
}

/// The content of the pod's `/etc/hosts`.
pub fn file(pod: &Pod, node: &Node, ips: &[String]) -> String {
    let mut out = String::new();
    if spec::host_network(pod) {
        out.push_str(HEADER_HOST_NETWORK);
        out.push_str(&node.hosts);
    } else {
        out.push_str(HEADER);
        out.push_str("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n");
        out.push_str(
            "fe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n",
        );
        let (name, domain) = names(pod, node);
        for ip in ips {
            match domain.as_str() {
                "" => out.push_str(&format!("{ip}\t{name}\n")),
                _ => out.push_str(&format!("{ip}\t{name}.{domain}\t{name}\n")),
            }
        }
    }
    let aliases = spec::spec(pod).host_aliases.as_deref().unwrap_or_default();
    if !aliases.is_empty() {
        out.push_str("\n# Entries added by HostAliases.\n");
        for alias in aliases {
            let names = alias.hostnames.as_deref().unwrap_or_default().join("\t");
            out.push_str(&format!("{}\t{names}\n", alias.ip));
        }
    }
    out
}
