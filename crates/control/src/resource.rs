//! The address of a resource as controllers name it: constants of a typed kind or of `api`'s table.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A kind of k8s-openapi with object metadata.
pub trait Typed:
    k8s_openapi::Resource + k8s_openapi::Metadata<Ty = ObjectMeta> + Serialize + DeserializeOwned + Send + Sync + 'static
{
}

impl<T> Typed for T where
    T: k8s_openapi::Resource
        + k8s_openapi::Metadata<Ty = ObjectMeta>
        + Serialize
        + DeserializeOwned
        + Send
        + Sync
        + 'static
{
}

/// Group, version, plural and kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Resource {
    pub group: &'static str,
    pub version: &'static str,
    pub plural: &'static str,
    pub kind: &'static str,
}

impl Resource {
    pub const fn of<T: k8s_openapi::Resource>() -> Self {
        Self { group: T::GROUP, version: T::VERSION, plural: T::URL_PATH_SEGMENT, kind: T::KIND }
    }

    pub const fn of_kind(kind: &api::Kind) -> Self {
        Self { group: kind.group, version: kind.version, plural: kind.plural, kind: kind.kind }
    }

    /// `v1`, `apps/v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_owned() } else { format!("{}/{}", self.group, self.version) }
    }
}
