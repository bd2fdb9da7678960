//! SubjectAccessReview: whether somebody may do something.
//!
//! Source: <https://kubernetes.io/docs/reference/kubernetes-api/authorization-resources/subject-access-review-v1/>.

use super::{GROUP, review};
use crate::cursor::Field;
use crate::kind::{Held, Kind, Scope};

pub static KIND: Kind = Kind {
    group: GROUP,
    kind: "SubjectAccessReview",
    plural: "subjectaccessreviews",
    singular: "subjectaccessreview",
    scope: Scope::Cluster,
    held: Held::Virtual,
    definition: "io.k8s.api.authorization.v1.SubjectAccessReview",
    verbs: &["create"],
    validate: |object, problems| {
        let root = Field::root(object);
        let spec = root.get("spec");
        review::question(&spec, problems);
        review::subject(&spec, problems);
        review::no_metadata(&root, &[], "must be empty", problems);
    },
    ..Kind::BASE
};
