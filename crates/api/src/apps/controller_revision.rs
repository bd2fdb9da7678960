//! ControllerRevision: one version of a StatefulSet's or DaemonSet's template, kept to go back to.
//!
//! Source: <https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/controller-revision-v1/>.

use machinery::{meta, tree};
use serde_json::Value;

use crate::column;
use crate::cursor::Field;
use crate::kind::Kind;
use crate::rule;

pub static KIND: Kind = Kind {
    group: "apps",
    kind: "ControllerRevision",
    plural: "controllerrevisions",
    singular: "controllerrevision",
    definition: "io.k8s.api.apps.v1.ControllerRevision",
    validate: |object, problems| {
        let root = Field::root(object);
        let data = root.get("data");
        if !data.is_set() {
            data.required(problems, "data is mandatory");
        } else if !data.value.is_object() {
            data.invalid_as(problems, "<value omitted>", "should be a valid JSON object");
        }
        rule::not_negative(&root.get("revision"), problems);
    },
    validate_update: |new, old, problems| rule::immutable("data", new, old, problems),
    columns: &[
        column::NAME,
        column::text("Controller", "Controller of the object"),
        column::text("Revision", "Revision indicates the revision of the state represented by Data."),
        column::AGE,
    ],
    cells: |object, now| {
        vec![
            column::name(object),
            controller(object).into(),
            tree::get(object, "revision").as_i64().unwrap_or(0).into(),
            column::age(object, now),
        ]
    },
    ..Kind::BASE
};

/// `statefulset.apps/web`.
fn controller(object: &Value) -> String {
    let Some(owner) = meta::controller(object) else { return "<none>".to_owned() };
    let kind = machinery::names::qualified(&owner.kind.to_lowercase(), &owner.group());
    format!("{kind}/{}", owner.name)
}
