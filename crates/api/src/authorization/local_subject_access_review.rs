//! LocalSubjectAccessReview: whether somebody may do something in this namespace.
//!
//! Source: <https://kubernetes.io/docs/reference/kubernetes-api/authorization-resources/local-subject-access-review-v1/>.

use super::{GROUP, review};
use crate::cursor::Field;
use crate::kind::{Held, Kind};

pub static KIND: Kind = Kind {
    group: GROUP,
    kind: "LocalSubjectAccessReview",
    plural: "localsubjectaccessreviews",
    singular: "localsubjectaccessreview",
    held: Held::Virtual,
    definition: "io.k8s.api.authorization.v1.LocalSubjectAccessReview",
    verbs: &["create"],
    validate: |object, problems| {
        let root = Field::root(object);
        let spec = root.get("spec");
        review::question(&spec, problems);
        review::subject(&spec, problems);
        review::no_metadata(&root, &["namespace"], "must be empty except for namespace", problems);
        let asked = spec.get("resourceAttributes.namespace");
        if spec.get("resourceAttributes").is_set() && asked.str() != root.get("metadata.namespace").str() {
            asked.invalid_as(problems, asked.str(), "must match metadata.namespace");
        }
        if spec.get("nonResourceAttributes").is_set() {
            spec.get("nonResourceAttributes").invalid(problems, "disallowed on this kind of request");
        }
    },
    ..Kind::BASE
};
