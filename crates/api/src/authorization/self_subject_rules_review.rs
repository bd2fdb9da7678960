//! SelfSubjectRulesReview: all that I may do in a namespace.
//!
//! Source: <https://kubernetes.io/docs/reference/kubernetes-api/authorization-resources/self-subject-rules-review-v1/>.

use super::GROUP;
use crate::kind::{Held, Kind, Scope};

pub static KIND: Kind = Kind {
    group: GROUP,
    kind: "SelfSubjectRulesReview",
    plural: "selfsubjectrulesreviews",
    singular: "selfsubjectrulesreview",
    scope: Scope::Cluster,
    held: Held::Virtual,
    definition: "io.k8s.api.authorization.v1.SelfSubjectRulesReview",
    verbs: &["create"],
    ..Kind::BASE
};
