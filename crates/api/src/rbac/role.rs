//! Role: what may be done in one namespace.
//!
//! Source: <https://kubernetes.io/docs/reference/kubernetes-api/authorization-resources/role-v1/>.

use super::{GROUP, rules};
use crate::column;
use crate::cursor::Field;
use crate::kind::{Kind, NameRule};

pub static KIND: Kind = Kind {
    group: GROUP,
    kind: "Role",
    plural: "roles",
    singular: "role",
    name_rule: NameRule::PathSegment,
    definition: "io.k8s.api.rbac.v1.Role",
    create_on_update: true,
    validate: |object, problems| rules::validate(&Field::root(object).get("rules"), true, problems),
    columns: column::PLAIN,
    cells: column::plain,
    ..Kind::BASE
};
