//! Names of API types: groups, versions, kinds and resources.
//!
//! Source: <https://kubernetes.io/docs/reference/using-api/api-concepts/>.

use std::fmt;

/// A group and a version, `apps/v1`; the core group is the empty string and prints as `v1`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupVersion {
    pub group: String,
    pub version: String,
}

impl GroupVersion {
    pub fn new(group: impl Into<String>, version: impl Into<String>) -> Self {
        Self { group: group.into(), version: version.into() }
    }

    /// Reads an `apiVersion` (`v1`, `apps/v1`); more than one slash gives `None`.
    pub fn parse(api_version: &str) -> Option<Self> {
        let mut parts = api_version.split('/');
        let (first, second, third) = (parts.next()?, parts.next(), parts.next());
        match (second, third) {
            (None, _) => Some(Self::new("", first)),
            (Some(version), None) => Some(Self::new(first, version)),
            _ => None,
        }
    }
}

impl fmt::Display for GroupVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.group.is_empty() { f.write_str(&self.version) } else { write!(f, "{}/{}", self.group, self.version) }
    }
}

/// Prints `name` or `name.group`, upstream's form for resources and kinds in messages (`deployments.apps`).
pub fn qualified(name: &str, group: &str) -> String {
    if group.is_empty() { name.to_owned() } else { format!("{name}.{group}") }
}
