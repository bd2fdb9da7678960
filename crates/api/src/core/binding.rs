//! Binding: puts a pod on a node. It is never stored; `pods/binding` takes it too.
//!
//! Source: <https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/binding-v1/>.

use crate::cursor::Field;
use crate::kind::{Held, Kind};
use crate::rule;

pub static KIND: Kind = Kind {
    kind: "Binding",
    plural: "bindings",
    singular: "binding",
    held: Held::Virtual,
    definition: "io.k8s.api.core.v1.Binding",
    verbs: &["create"],
    validate: |object, problems| {
        let root = Field::root(object);
        let kind = root.get("target.kind");
        if !matches!(kind.str(), "" | "Node") {
            kind.not_supported(problems, &["Node", "<empty>"]);
        }
        rule::required(&root.get("target.name"), problems);
    },
    ..Kind::BASE
};
