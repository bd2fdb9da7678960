//! Scale: the number of replicas of anything that has one, exchanged with `scale` subresources.
//!
//! Source: <https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/scale-v1/>. It is no resource of its own.

use crate::column;
use crate::cursor::Field;
use crate::kind::{Held, Kind};
use crate::rule;

pub static KIND: Kind = Kind {
    group: "autoscaling",
    kind: "Scale",
    held: Held::Virtual,
    definition: "io.k8s.api.autoscaling.v1.Scale",
    verbs: &["get", "patch", "update"],
    validate: |object, problems| rule::not_negative(&Field::root(object).get("spec.replicas"), problems),
    columns: &[
        column::NAME,
        column::number("Desired", "replicas is the desired number of instances for the scaled object."),
        column::number("Available", "replicas is the actual number of observed instances of the scaled object."),
        column::AGE,
    ],
    cells: |object, now| {
        vec![
            column::name(object),
            column::int(object, "spec.replicas").into(),
            column::int(object, "status.replicas").into(),
            column::age(object, now),
        ]
    },
    ..Kind::BASE
};
