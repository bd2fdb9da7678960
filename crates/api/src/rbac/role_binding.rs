//! RoleBinding: who has a role in one namespace.
//!
//! Source: <https://kubernetes.io/docs/reference/kubernetes-api/authorization-resources/role-binding-v1/>.

use super::{GROUP, subjects};
use crate::kind::{Kind, NameRule};

pub static KIND: Kind = Kind {
    group: GROUP,
    kind: "RoleBinding",
    plural: "rolebindings",
    singular: "rolebinding",
    name_rule: NameRule::PathSegment,
    definition: "io.k8s.api.rbac.v1.RoleBinding",
    create_on_update: true,
    set_defaults: subjects::set_defaults,
    validate: |object, problems| subjects::validate(object, &["Role", "ClusterRole"], true, problems),
    validate_update: subjects::validate_update,
    columns: subjects::COLUMNS,
    cells: subjects::cells,
    ..Kind::BASE
};
