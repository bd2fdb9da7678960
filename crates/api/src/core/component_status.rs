//! ComponentStatus: whether the control plane's parts say that they are well. Made up when asked for.
//!
//! Source: <https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/component-status-v1/>.

use machinery::tree;

use crate::column;
use crate::kind::{Held, Kind, Scope};

pub static KIND: Kind = Kind {
    kind: "ComponentStatus",
    plural: "componentstatuses",
    singular: "componentstatus",
    short_names: &["cs"],
    scope: Scope::Cluster,
    held: Held::Virtual,
    definition: "io.k8s.api.core.v1.ComponentStatus",
    verbs: &["get", "list"],
    deprecated: "v1 ComponentStatus is deprecated in v1.19+",
    columns: &[
        column::NAME,
        column::text("Status", "Status of the component conditions"),
        column::text("Message", "Message of the component conditions"),
        column::text("Error", "Error of the component conditions"),
    ],
    cells: |object, _| {
        let healthy = tree::items(object, "conditions").iter().find(|c| c["type"] == "Healthy");
        let status = match healthy.map(|c| c["status"] == "True") {
            Some(true) => "Healthy",
            Some(false) => "Unhealthy",
            None => "Unknown",
        };
        let text = |field: &str| healthy.map_or("", |c| tree::str(c, field));
        vec![column::name(object), status.into(), text("message").into(), text("error").into()]
    },
    ..Kind::BASE
};
