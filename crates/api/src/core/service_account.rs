//! ServiceAccount: who a pod is.
//!
//! Source: <https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/service-account-v1/>.

use machinery::tree;
use serde_json::{Value, json};

use crate::column;
use crate::cursor::Field;
use crate::kind::{Kind, Subresource};

pub static KIND: Kind = Kind {
    kind: "ServiceAccount",
    plural: "serviceaccounts",
    singular: "serviceaccount",
    short_names: &["sa"],
    definition: "io.k8s.api.core.v1.ServiceAccount",
    subresources: &[Subresource {
        group: "authentication.k8s.io",
        version: "v1",
        ..Subresource::named("token", "TokenRequest", &["create"])
    }],
    prepare_create: names_only,
    prepare_update: |new, _| names_only(new),
    columns: &[
        column::NAME,
        column::text(
            "Secrets",
            "The secrets in the same namespace that pods running using this ServiceAccount are allowed to use.",
        ),
        column::AGE,
    ],
    cells: |object, now| {
        let secrets = Field::root(object).get("secrets").len();
        vec![column::name(object), secrets.into(), column::age(object, now)]
    },
    ..Kind::BASE
};

/// References to secrets are names in the same namespace, whatever else was sent.
fn names_only(object: &mut Value) {
    for secret in tree::items_mut(object, "secrets") {
        let name = secret["name"].as_str().unwrap_or("").to_owned();
        *secret = json!({"name": name});
    }
}
