//! What any object looks like to those who care for life and death only: identity, owners, finalizers.

use api::Kind;
use api::kind::Held;
use control::{Index, Resource, Target};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use machinery::names::GroupVersion;
use serde::Deserialize;

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Partial {
    pub api_version: String,
    pub kind: String,
    pub metadata: Meta,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct Meta {
    pub name: String,
    pub namespace: String,
    pub uid: String,
    pub resource_version: String,
    pub owner_references: Vec<OwnerReference>,
    pub finalizers: Vec<String>,
    pub deletion_timestamp: Option<String>,
}

/// Objects of a kind by the uids of all their owners.
pub static PARTIALS_BY_OWNER: Index<Partial> = Index {
    name: "partials-by-owner",
    values: |partial| partial.metadata.owner_references.iter().map(|owner| owner.uid.clone()).collect(),
};

impl Partial {
    pub fn resource(&self) -> Option<Resource> {
        resource_of(&self.api_version, &self.kind)
    }

    pub fn is_deleting(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }

    pub fn has_finalizer(&self, name: &str) -> bool {
        self.metadata.finalizers.iter().any(|finalizer| finalizer == name)
    }

    /// Whether another version differs in more than its number.
    pub fn differs(&self, other: &Partial) -> bool {
        let (a, b) = (&self.metadata, &other.metadata);
        (&a.uid, &a.owner_references, &a.finalizers, &a.deletion_timestamp)
            != (&b.uid, &b.owner_references, &b.finalizers, &b.deletion_timestamp)
    }

    pub fn target(&self, resource: Resource) -> Target {
        Target {
            resource,
            namespace: self.metadata.namespace.clone(),
            name: self.metadata.name.clone(),
            subresource: "",
            uid: self.metadata.uid.clone(),
            revision: None,
        }
    }

    pub fn target_exactly(&self, resource: Resource) -> Target {
        Target { revision: Some(self.metadata.resource_version.clone()), ..self.target(resource) }
    }
}

/// The built-in resource behind an `apiVersion` and kind.
pub fn resource_of(api_version: &str, kind: &str) -> Option<Resource> {
    let version = GroupVersion::parse(api_version)?;
    api::KINDS
        .iter()
        .find(|k| k.group == version.group && k.version == version.version && k.kind == kind)
        .map(|k| Resource::of_kind(k))
}

/// The kinds that are stored and can be watched, but events: nobody owns or waits for those.
pub fn kinds() -> impl Iterator<Item = &'static Kind> {
    let lives = |kind: &&Kind| kind.held == Held::Stored && kind.verbs.contains(&"watch") && kind.kind != "Event";
    api::KINDS.iter().copied().filter(lives)
}
