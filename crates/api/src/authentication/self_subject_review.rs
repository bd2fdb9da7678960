//! SelfSubjectReview: who I am.
//!
//! Source: <https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/self-subject-review-v1/>.

use super::GROUP;
use crate::kind::{Held, Kind, Scope};

pub static KIND: Kind = Kind {
    group: GROUP,
    kind: "SelfSubjectReview",
    plural: "selfsubjectreviews",
    singular: "selfsubjectreview",
    scope: Scope::Cluster,
    held: Held::Virtual,
    definition: "io.k8s.api.authentication.v1.SelfSubjectReview",
    verbs: &["create"],
    ..Kind::BASE
};
