//! Lease: who leads, and that a node is alive.
//!
//! Source: <https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/lease-v1/>.

use machinery::tree;

use crate::column;
use crate::cursor::Field;
use crate::kind::Kind;
use crate::rule;

pub static KIND: Kind = Kind {
    group: "coordination.k8s.io",
    kind: "Lease",
    plural: "leases",
    singular: "lease",
    definition: "io.k8s.api.coordination.v1.Lease",
    create_on_update: true,
    unconditional_update: false,
    validate: |object, problems| {
        let root = Field::root(object);
        let seconds = root.get("spec.leaseDurationSeconds");
        if seconds.int().is_some_and(|n| n <= 0) {
            seconds.invalid(problems, "must be greater than 0");
        }
        rule::not_negative(&root.get("spec.leaseTransitions"), problems);
        let (holder, strategy) = (root.get("spec.preferredHolder"), root.get("spec.strategy"));
        if !holder.is_empty() && strategy.is_empty() {
            holder.forbidden(problems, "may only be specified when `strategy` is defined");
        }
    },
    columns: &[
        column::NAME,
        column::text("Holder", "holderIdentity contains the identity of the holder of a current lease."),
        column::AGE,
    ],
    cells: |object, now| {
        vec![column::name(object), tree::str(object, "spec.holderIdentity").into(), column::age(object, now)]
    },
    ..Kind::BASE
};
