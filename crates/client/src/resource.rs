//! The address of a resource: group, version and plural, with what else a client has to know about it.

use machinery::names::GroupVersion;
use machinery::request::{Request, Verb};

use crate::typed::Typed;

/// A resource as found by discovery or fixed by a type.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Resource {
    pub group: String,
    pub version: String,
    /// `deployments`.
    pub plural: String,
    /// `Deployment`.
    pub kind: String,
}

impl Resource {
    pub fn new(group: &str, version: &str, plural: &str, kind: &str) -> Self {
        Self { group: group.into(), version: version.into(), plural: plural.into(), kind: kind.into() }
    }

    /// The address of a typed kind.
    pub fn of<T: Typed>() -> Self {
        Self::new(T::GROUP, T::VERSION, T::URL_PATH_SEGMENT, T::KIND)
    }

    /// `v1`, `apps/v1`.
    pub fn api_version(&self) -> String {
        GroupVersion::new(&*self.group, &*self.version).to_string()
    }

    /// A request for this resource in a namespace (empty: cluster-scoped, or all namespaces).
    pub fn request(&self, verb: Verb, namespace: &str) -> Request {
        Request::new(verb, &self.group, &self.version, &self.plural).namespace(namespace)
    }
}

impl From<&'static api::Kind> for Resource {
    fn from(kind: &'static api::Kind) -> Self {
        Self::new(kind.group, kind.version, kind.plural, kind.kind)
    }
}
