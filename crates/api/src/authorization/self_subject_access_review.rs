//! SelfSubjectAccessReview: whether I may do something.
//!
//! Source: <https://kubernetes.io/docs/reference/kubernetes-api/authorization-resources/self-subject-access-review-v1/>.

use super::{GROUP, review};
use crate::cursor::Field;
use crate::kind::{Held, Kind, Scope};

pub static KIND: Kind = Kind {
    group: GROUP,
    kind: "SelfSubjectAccessReview",
    plural: "selfsubjectaccessreviews",
    singular: "selfsubjectaccessreview",
    scope: Scope::Cluster,
    held: Held::Virtual,
    definition: "io.k8s.api.authorization.v1.SelfSubjectAccessReview",
    verbs: &["create"],
    validate: |object, problems| {
        let root = Field::root(object);
        review::question(&root.get("spec"), problems);
        review::no_metadata(&root, &[], "must be empty", problems);
    },
    ..Kind::BASE
};
