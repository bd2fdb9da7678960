//! TokenReview: whose token this is.
//!
//! Source: <https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-review-v1/>.

use super::GROUP;
use crate::kind::{Held, Kind, Scope};

pub static KIND: Kind = Kind {
    group: GROUP,
    kind: "TokenReview",
    plural: "tokenreviews",
    singular: "tokenreview",
    scope: Scope::Cluster,
    held: Held::Virtual,
    definition: "io.k8s.api.authentication.v1.TokenReview",
    verbs: &["create"],
    ..Kind::BASE
};
