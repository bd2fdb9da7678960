//! Eviction: asks a pod to go, if its disruption budget allows. Exchanged with `pods/eviction`; no resource of its own.
//!
//! Source: <https://kubernetes.io/docs/reference/kubernetes-api/policy-resources/eviction-v1/>.

use crate::kind::{Held, Kind};

pub static KIND: Kind = Kind {
    group: "policy",
    kind: "Eviction",
    held: Held::Virtual,
    definition: "io.k8s.api.policy.v1.Eviction",
    verbs: &["create"],
    ..Kind::BASE
};
