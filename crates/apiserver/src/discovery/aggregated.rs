//! Aggregated discovery: all groups, versions and resources of `/api` or `/apis` in one document.
//!
//! Source: <https://kubernetes.io/docs/concepts/overview/kubernetes-api/#aggregated-discovery>.

use api::{Kind, Scope};
use serde_json::{Value, json};

use super::{Group, catalog};
use crate::wire::accept::Clause;

/// The version of the document that a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    V2,
    V2Beta1,
}

impl Form {
    /// What a clause of `Accept` asks for, when it is aggregated discovery.
    pub fn asked(clause: &Clause<'_>) -> Option<Self> {
        let is = |name, value| clause.parameter(name) == Some(value);
        if !is("g", "apidiscovery.k8s.io") || !is("as", "APIGroupDiscoveryList") {
            return None;
        }
        match clause.parameter("v") {
            Some("v2") => Some(Self::V2),
            Some("v2beta1") => Some(Self::V2Beta1),
            _ => None,
        }
    }

    pub fn media_type(self) -> &'static str {
        match self {
            Self::V2 => "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
            Self::V2Beta1 => "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList",
        }
    }

    fn api_version(self) -> &'static str {
        match self {
            Self::V2 => "apidiscovery.k8s.io/v2",
            Self::V2Beta1 => "apidiscovery.k8s.io/v2beta1",
        }
    }
}

/// The document of `/api` (the core group) or `/apis` (all others).
pub fn groups(core: bool, form: Form) -> Value {
    let items: Vec<_> = catalog().iter().filter(|g| g.name.is_empty() == core).map(group).collect();
    json!({"kind": "APIGroupDiscoveryList", "apiVersion": form.api_version(), "metadata": {}, "items": items})
}

fn group(group: &Group) -> Value {
    let versions: Vec<_> = group
        .versions
        .iter()
        .map(|version| {
            let resources: Vec<_> = version.kinds.iter().map(|kind| resource(kind)).collect();
            json!({"version": version.name, "freshness": "Current", "resources": resources})
        })
        .collect();
    let metadata = if group.name.is_empty() { json!({}) } else { json!({"name": group.name}) };
    json!({"metadata": metadata, "versions": versions})
}

fn resource(kind: &Kind) -> Value {
    let scope = if kind.scope == Scope::Namespaced { "Namespaced" } else { "Cluster" };
    let mut tree = json!({
        "resource": kind.plural,
        "responseKind": {"group": kind.group, "version": kind.version, "kind": kind.kind},
        "scope": scope,
        "singularResource": kind.singular,
        "verbs": kind.verbs,
    });
    for (field, values) in [("shortNames", kind.short_names), ("categories", kind.categories)] {
        if !values.is_empty() {
            tree[field] = json!(values);
        }
    }
    let mut parts: Vec<_> = kind.subresources.iter().collect();
    parts.sort_by_key(|s| s.name);
    let parts: Vec<_> = parts
        .iter()
        .map(|part| {
            let own = part.version.is_empty();
            let (group, version) = if own { (kind.group, kind.version) } else { (part.group, part.version) };
            json!({
                "subresource": part.name,
                "responseKind": {"group": group, "version": version, "kind": part.kind},
                "verbs": part.verbs,
            })
        })
        .collect();
    if !parts.is_empty() {
        tree["subresources"] = parts.into();
    }
    tree
}
