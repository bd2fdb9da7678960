//! PodTemplate: a template kept by itself.
//!
//! Source: <https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-template-v1/>.

use machinery::field::Problems;
use serde_json::Value;

use crate::column;
use crate::core::pod_spec;
use crate::cursor::Field;
use crate::kind::Kind;

pub static KIND: Kind = Kind {
    kind: "PodTemplate",
    plural: "podtemplates",
    singular: "podtemplate",
    definition: "io.k8s.api.core.v1.PodTemplate",
    generation: true,
    set_defaults: |object| pod_spec::template_defaults(object, "template"),
    validate: |object, problems: &mut Problems| pod_spec::template(&Field::root(object).get("template"), problems),
    warnings: |new, old: &Value| {
        if !old.is_null() && new["template"] == old["template"] {
            return Vec::new();
        }
        pod_spec::warnings(&Field::root(new).get("template"), &old["template"])
    },
    columns: &[
        column::NAME,
        column::text("Containers", "Names of each container in the template."),
        column::text("Images", "Images referenced by each container in the template."),
        column::text("Pod Labels", "The labels for the pod template."),
    ],
    cells: |object, _| {
        let [names, images] = column::containers(object, "template.spec.containers");
        vec![column::name(object), names, images, column::labels(&object["template"]["metadata"]["labels"]).into()]
    },
    ..Kind::BASE
};
