//! RuntimeClass: which of a node's runtimes runs a pod, and what that costs.
//!
//! Source: <https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/runtime-class-v1/>.

use machinery::field::Problems;
use machinery::tree;
use serde_json::Value;

use crate::column;
use crate::core::pod_spec::{resources, scheduling};
use crate::cursor::Field;
use crate::fill;
use crate::kind::{Kind, Scope};
use crate::rule;

pub static KIND: Kind = Kind {
    group: "node.k8s.io",
    kind: "RuntimeClass",
    plural: "runtimeclasses",
    singular: "runtimeclass",
    scope: Scope::Cluster,
    definition: "io.k8s.api.node.v1.RuntimeClass",
    create_on_update: true,
    unconditional_update: false,
    set_defaults: |object| {
        if let Some(Value::Object(overhead)) = object.get_mut("overhead") {
            fill::milli(overhead, "podFixed");
        }
    },
    validate,
    validate_update: |new, old, problems| rule::immutable("handler", new, old, problems),
    columns: &[
        column::NAME,
        column::text("Handler", "handler specifies the underlying runtime and configuration."),
        column::AGE,
    ],
    cells: |object, now| vec![column::name(object), tree::str(object, "handler").into(), column::age(object, now)],
    ..Kind::BASE
};

fn validate(object: &Value, problems: &mut Problems) {
    let root = Field::root(object);
    rule::dns_label(&root.get("handler"), problems);
    let overhead = root.get("overhead");
    resources::limits_alone(&overhead.with(overhead.get("podFixed").value), problems);
    rule::labels(&root.get("scheduling.nodeSelector"), problems);
    let tolerations = root.get("scheduling.tolerations");
    // Upstream names the list twice in the paths of what is wrong in it, and once for doubles.
    let twice = tolerations.get("tolerations");
    scheduling::tolerations(&twice.with(tolerations.value), problems);
    let mut seen: Vec<[&str; 4]> = Vec::new();
    for toleration in tolerations.items() {
        let key = ["key", "operator", "value", "effect"].map(|field| toleration.get(field).str());
        if seen.contains(&key) {
            toleration.duplicate(problems);
        }
        seen.push(key);
    }
}
