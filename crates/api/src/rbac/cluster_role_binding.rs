//! ClusterRoleBinding: who has a role everywhere.
//!
//! Source: <https://kubernetes.io/docs/reference/kubernetes-api/authorization-resources/cluster-role-binding-v1/>.

use super::{GROUP, subjects};
use crate::kind::{Kind, NameRule, Scope};

pub static KIND: Kind = Kind {
    group: GROUP,
    kind: "ClusterRoleBinding",
    plural: "clusterrolebindings",
    singular: "clusterrolebinding",
    scope: Scope::Cluster,
    name_rule: NameRule::PathSegment,
    definition: "io.k8s.api.rbac.v1.ClusterRoleBinding",
    create_on_update: true,
    set_defaults: subjects::set_defaults,
    validate: |object, problems| subjects::validate(object, &["ClusterRole"], false, problems),
    validate_update: subjects::validate_update,
    columns: subjects::COLUMNS,
    cells: subjects::cells,
    ..Kind::BASE
};
