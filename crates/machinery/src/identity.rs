//! Who makes a request: the outcome of authentication.
//!
//! Source: <https://kubernetes.io/docs/reference/access-authn-authz/authentication/>.

use std::collections::BTreeMap;

/// A user as authenticated: name, groups and extra attributes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    pub name: String,
    pub uid: String,
    pub groups: Vec<String>,
    pub extra: BTreeMap<String, Vec<String>>,
}

impl User {
    pub fn new(name: impl Into<String>, groups: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { name: name.into(), groups: groups.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    pub fn in_group(&self, group: &str) -> bool {
        self.groups.iter().any(|g| g == group)
    }

    /// The namespace and name behind `system:serviceaccount:NAMESPACE:NAME`.
    pub fn service_account(&self) -> Option<(&str, &str)> {
        self.name.strip_prefix("system:serviceaccount:")?.split_once(':')
    }

    /// The node name behind `system:node:NAME`, when the user is in `system:nodes`.
    pub fn node(&self) -> Option<&str> {
        self.in_group("system:nodes").then(|| self.name.strip_prefix("system:node:"))?
    }
}
