//! IngressClass: which controller serves an Ingress.
//!
//! Source: <https://kubernetes.io/docs/reference/kubernetes-api/service-resources/ingress-class-v1/>.

use machinery::field::Problems;
use machinery::tree;
use serde_json::Value;

use super::{GROUP, reference};
use crate::column;
use crate::cursor::Field;
use crate::kind::{Kind, Scope};
use crate::rule;

const CONTROLLER_BYTES_MAX: usize = 250;

pub static KIND: Kind = Kind {
    group: GROUP,
    kind: "IngressClass",
    plural: "ingressclasses",
    singular: "ingressclass",
    scope: Scope::Cluster,
    definition: "io.k8s.api.networking.v1.IngressClass",
    generation: true,
    set_defaults: |object| {
        if object["spec"]["parameters"].is_object() {
            tree::default(object, "spec.parameters.scope", "Cluster");
        }
    },
    validate,
    validate_update: |new, old, problems| rule::immutable("spec.controller", new, old, problems),
    columns: &[
        column::NAME,
        column::text("Controller", "Controller that is responsible for handling this class"),
        column::text("Parameters", "A reference to a resource with additional parameters"),
        column::AGE,
    ],
    cells: |object, now| {
        let parameters = &object["spec"]["parameters"];
        let text = match parameters.is_null() {
            true => "<none>".to_owned(),
            false => {
                let kind =
                    machinery::names::qualified(tree::str(parameters, "kind"), tree::str(parameters, "apiGroup"));
                format!("{kind}/{}", tree::str(parameters, "name"))
            }
        };
        vec![column::name(object), tree::str(object, "spec.controller").into(), text.into(), column::age(object, now)]
    },
    ..Kind::BASE
};

fn validate(object: &Value, problems: &mut Problems) {
    let root = Field::root(object);
    let (controller, parameters) = (root.get("spec.controller"), root.get("spec.parameters"));
    if controller.len() > CONTROLLER_BYTES_MAX {
        controller.too_long(problems, CONTROLLER_BYTES_MAX);
    }
    if rule::required(&controller, problems) {
        domain_path(&controller, problems);
    }
    if !parameters.is_set() {
        return;
    }
    reference(&parameters, problems);
    let (scope, namespace) = (parameters.get("scope"), parameters.get("namespace"));
    match scope.str() {
        _ if !scope.is_set() => scope.required(problems, ""),
        "Namespace" if !namespace.is_set() => namespace.required(problems, "`parameters.scope` is set to 'Namespace'"),
        "Namespace" => {
            rule::dns_label(&namespace, problems);
        }
        "Cluster" if namespace.is_set() => {
            namespace.forbidden(problems, "`parameters.scope` is set to 'Cluster'");
        }
        "Cluster" => {}
        _ => scope.not_supported(problems, &["Cluster", "Namespace"]),
    }
}

fn domain_path(path: &Field, problems: &mut Problems) {
    let (domain, rest) = path.str().split_once('/').unwrap_or(("", ""));
    if domain.is_empty() || rest.is_empty() {
        return path.invalid(problems, "must be a domain-prefixed path (such as \"acme.io/foo\")");
    }
    for message in rule::dns_subdomain_messages(domain) {
        path.invalid_as(problems, domain, message);
    }
    let inner = |b: u8| b.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:".contains(&b);
    if !rest.bytes().all(inner) {
        let detail = "Invalid path (regex used for validation is '[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+')";
        path.invalid_as(problems, rest, detail);
    }
}
