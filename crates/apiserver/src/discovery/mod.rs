//! What is served: API groups, versions and resources, in the old and the aggregated form.
//!
//! ```text
//!   api::KINDS ─▶ Catalog (groups in upstream's order) ─▶ legacy: /api /apis /apis/G /apis/G/V
//!                                                      └─▶ aggregated: /api, /apis with as=APIGroupDiscoveryList
//! ```

mod aggregated;
mod legacy;

use api::Kind;

pub use aggregated::{Form, groups as aggregated};
pub use legacy::{group, groups, resources, versions};

/// Upstream's order of groups; others follow by name.
const ORDER: &[&str] = &[
    "",
    "apiregistration.k8s.io",
    "apps",
    "events.k8s.io",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "networking.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "storage.k8s.io",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "scheduling.k8s.io",
    "coordination.k8s.io",
    "node.k8s.io",
    "discovery.k8s.io",
    "flowcontrol.apiserver.k8s.io",
    "resource.k8s.io",
];

/// One group with its versions, the preferred one first.
pub struct Group {
    pub name: &'static str,
    pub versions: Vec<Version>,
}

pub struct Version {
    pub name: &'static str,
    pub kinds: Vec<&'static Kind>,
}

/// Everything served, in upstream's order.
pub fn catalog() -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for kind in api::KINDS.iter().copied() {
        let at = groups.iter().position(|g| g.name == kind.group).unwrap_or_else(|| {
            groups.push(Group { name: kind.group, versions: Vec::new() });
            groups.len() - 1
        });
        let versions = &mut groups[at].versions;
        match versions.iter_mut().find(|v| v.name == kind.version) {
            Some(version) => version.kinds.push(kind),
            None => versions.push(Version { name: kind.version, kinds: vec![kind] }),
        }
    }
    for group in &mut groups {
        // Only stable versions are served, and the newest is preferred.
        group.versions.sort_by_key(|v| std::cmp::Reverse(number(v.name)));
        group.versions.iter_mut().for_each(|v| v.kinds.sort_by_key(|k| k.plural));
    }
    groups.sort_by_key(|g| (ORDER.iter().position(|o| *o == g.name).unwrap_or(ORDER.len()), g.name));
    groups
}

fn number(version: &str) -> u32 {
    version.trim_start_matches('v').parse().unwrap_or(0)
}
