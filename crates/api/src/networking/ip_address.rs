//! IPAddress: one address of a ServiceCIDR that is taken, named by itself.
//!
//! Source: <https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/ip-address-v1/>.

use machinery::field::Problems;
use machinery::tree;
use serde_json::Value;

use super::GROUP;
use crate::column;
use crate::cursor::Field;
use crate::kind::{Kind, NameRule, Scope};
use crate::rule;

pub static KIND: Kind = Kind {
    group: GROUP,
    kind: "IPAddress",
    plural: "ipaddresses",
    singular: "ipaddress",
    short_names: &["ip"],
    scope: Scope::Cluster,
    name_rule: NameRule::Address,
    definition: "io.k8s.api.networking.v1.IPAddress",
    validate,
    validate_update: |new, old, problems| rule::immutable("spec.parentRef", new, old, problems),
    selectable: &[],
    columns: &[
        column::NAME,
        column::text("ParentRef", "ParentRef references the resource that an IPAddress is attached to."),
        column::AGE,
    ],
    cells: |object, now| vec![column::name(object), parent(object).into(), column::age(object, now)],
    ..Kind::BASE
};

fn validate(object: &Value, problems: &mut Problems) {
    let root = Field::root(object);
    let parent = root.get("spec.parentRef");
    if !parent.is_set() {
        return parent.required(problems, "");
    }
    if !parent.get("group").is_empty() {
        rule::dns_subdomain(&parent.get("group"), problems);
    }
    for field in ["resource", "name"] {
        if rule::required(&parent.get(field), problems) {
            rule::path_segment(&parent.get(field), problems);
        }
    }
    if !parent.get("namespace").is_empty() {
        rule::path_segment(&parent.get("namespace"), problems);
    }
}

/// `services/default/kubernetes`.
fn parent(object: &Value) -> String {
    let parent = tree::get(object, "spec.parentRef");
    if parent.is_null() {
        return "<none>".to_owned();
    }
    let resource =
        machinery::names::qualified(tree::str(parent, "resource"), tree::str(parent, "group")).to_lowercase();
    match tree::str(parent, "namespace") {
        "" => format!("{resource}/{}", tree::str(parent, "name")),
        namespace => format!("{resource}/{namespace}/{}", tree::str(parent, "name")),
    }
}
