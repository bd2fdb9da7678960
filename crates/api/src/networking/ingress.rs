//! Ingress: which HTTP requests from outside go to which Service.
//!
//! Source: <https://kubernetes.io/docs/reference/kubernetes-api/service-resources/ingress-v1/>.

use machinery::field::Problems;
use machinery::{tree, validation};
use serde_json::{Value, json};

use super::{GROUP, reference};
use crate::column::{self, text_or};
use crate::cursor::Field;
use crate::kind::{Kind, Subresource};
use crate::rule;
use crate::status;

/// Hosts that the column shows, and the width of addresses in theirs.
const SHOWN: usize = 3;
const ADDRESS_WIDTH: usize = 16;

pub static KIND: Kind = Kind {
    group: GROUP,
    kind: "Ingress",
    plural: "ingresses",
    singular: "ingress",
    short_names: &["ing"],
    definition: "io.k8s.api.networking.v1.Ingress",
    subresources: &[Subresource::status("Ingress")],
    generation: true,
    prepare_create: |object| tree::set(object, "status", json!({"loadBalancer": {}})),
    prepare_update: status::keep,
    validate,
    validate_create: |object, problems| {
        let root = Field::root(object);
        let annotations = root.get("metadata.annotations");
        let (old, class) = (annotations.key("kubernetes.io/ingress.class"), root.get("spec.ingressClassName"));
        if old.is_set() && class.is_set() && old.str() != class.str() {
            let at = Field::standing(old.value, "annotations.kubernetes.io/ingress.class");
            at.invalid(problems, "must match `ingressClassName` when both are specified");
        }
    },
    validate_status: |new, _, problems| {
        for ingress in Field::root(new).get("status.loadBalancer.ingress").items() {
            let (ip, host) = (ingress.get("ip"), ingress.get("hostname"));
            if !ip.is_empty() {
                rule::ip_sloppy(&ip, "must be a valid IP address", problems);
            }
            if !host.is_empty() {
                rule::dns_subdomain(&host, problems);
                not_an_address(&host, problems);
            }
        }
    },
    warnings: |new, old| {
        let old_way = !new["metadata"]["annotations"]["kubernetes.io/ingress.class"].is_null();
        if old.is_null() && old_way {
            let text =
                "annotation \"kubernetes.io/ingress.class\" is deprecated, please use 'spec.ingressClassName' instead";
            return vec![text.to_owned()];
        }
        Vec::new()
    },
    columns: &[
        column::NAME,
        column::text("Class", "The name of the IngressClass resource that should be used for additional configuration"),
        column::text("Hosts", "Hosts that incoming requests are matched against before the ingress rule"),
        column::text("Address", "Address is a list containing ingress points for the load-balancer"),
        column::text("Ports", "Ports of TLS configurations that open"),
        column::AGE,
    ],
    cells: |object, now| {
        let tls = !tree::items(object, "spec.tls").is_empty();
        vec![
            column::name(object),
            text_or(object, "spec.ingressClassName", "<none>").into(),
            hosts(object).into(),
            addresses(object).into(),
            if tls { "80, 443" } else { "80" }.into(),
            column::age(object, now),
        ]
    },
    ..Kind::BASE
};

fn hosts(object: &Value) -> String {
    let rules = tree::items(object, "spec.rules");
    let mut shown: Vec<&str> = Vec::new();
    let mut more = false;
    for rule in rules {
        more |= shown.len() == SHOWN;
        let host = tree::str(rule, "host");
        if !more && !host.is_empty() {
            shown.push(host);
        }
    }
    match shown.join(",") {
        _ if shown.is_empty() => "*".to_owned(),
        text if more => format!("{text} + {} more...", rules.len() - SHOWN),
        text => text,
    }
}

fn addresses(object: &Value) -> String {
    let points = tree::items(object, "status.loadBalancer.ingress").iter();
    let mut texts: Vec<_> =
        points.map(|p| text_or(p, "ip", tree::str(p, "hostname"))).filter(|t| !t.is_empty()).collect();
    texts.sort_unstable();
    texts.dedup();
    let text = texts.join(",");
    match text.get(..ADDRESS_WIDTH - 3) {
        Some(head) if text.len() > ADDRESS_WIDTH => format!("{head}..."),
        _ => text,
    }
}

fn validate(object: &Value, problems: &mut Problems) {
    let root = Field::root(object);
    let spec = root.get("spec");
    let (rules, default) = (spec.get("rules"), spec.get("defaultBackend"));
    if rules.is_empty() && !default.is_set() {
        spec.invalid_as(problems, json!([]), "either `defaultBackend` or `rules` must be specified");
    }
    if default.is_set() {
        backend(&default, problems);
    }
    for rule in rules.items() {
        let at = rule.get("host");
        if !at.is_empty() {
            not_an_address(&at, problems);
            host(&at, problems);
        }
        let http = rule.get("http");
        if http.is_set() {
            rule::required(&http.get("paths"), problems);
        }
        for path in http.get("paths").items() {
            self::path(&path, problems);
        }
    }
    for tls in spec.get("tls").items() {
        for name in tls.get("hosts").items() {
            host(&name, problems);
        }
        if !tls.get("secretName").is_empty() {
            rule::dns_subdomain(&tls.get("secretName"), problems);
        }
    }
    if spec.get("ingressClassName").is_set() {
        rule::dns_subdomain(&spec.get("ingressClassName"), problems);
    }
}

fn not_an_address(host: &Field, problems: &mut Problems) {
    if validation::parse_ip(host.str()).is_some() {
        host.invalid(problems, "must be a DNS name, not an IP address");
    }
}

fn host(host: &Field, problems: &mut Problems) {
    if host.str().contains('*') {
        host.messages(problems, validation::wildcard_subdomain(host.str()));
    } else {
        rule::dns_subdomain(host, problems);
    }
}

fn path(path: &Field, problems: &mut Problems) {
    const SEQUENCES: [&str; 5] = ["//", "/./", "/../", "%2f", "%2F"];
    const ENDS: [&str; 2] = ["/..", "/."];
    let (kind, text) = (path.get("pathType"), path.get("path"));
    if !kind.is_set() {
        return kind.required(problems, "pathType must be specified");
    }
    let absolute = text.str().starts_with('/');
    match kind.str() {
        "Exact" | "Prefix" => {
            if !absolute {
                text.invalid_as(problems, text.str(), "must be an absolute path");
            }
            for sequence in SEQUENCES.iter().filter(|s| text.str().contains(**s)) {
                text.invalid(problems, format!("must not contain '{sequence}'"));
            }
            for end in ENDS.iter().filter(|e| text.str().ends_with(**e)) {
                text.invalid(problems, format!("cannot end with '{end}'"));
            }
        }
        "ImplementationSpecific" if !text.is_empty() && !absolute => {
            text.invalid(problems, "must be an absolute path");
        }
        "ImplementationSpecific" => {}
        _ => kind.not_supported(problems, &["Exact", "ImplementationSpecific", "Prefix"]),
    }
    backend(&path.get("backend"), problems);
}

fn backend(backend: &Field, problems: &mut Problems) {
    let (resource, service) = (backend.get("resource"), backend.get("service"));
    match (resource.is_set(), service.is_set()) {
        (true, true) => backend.invalid_as(problems, "", "cannot set both resource and service backends"),
        (true, false) => reference(&resource, problems),
        (false, true) => self::service(backend, &service, problems),
        (false, false) => backend.invalid_as(problems, "", "resource or service backend is required"),
    }
}

fn service(backend: &Field, service: &Field, problems: &mut Problems) {
    let name = service.get("name");
    if rule::required(&name, problems) {
        name.messages(problems, validation::dns1035_label(name.str()));
    }
    let (named, number) = (service.get("port.name"), service.get("port.number"));
    match (named.is_empty(), number.num() == 0) {
        (false, false) => backend.invalid_as(problems, "", "cannot set both port name & port number"),
        (false, true) => {
            rule::port_name(&named, problems);
        }
        (true, false) => rule::port_number(&number, problems),
        (true, true) => backend.required(problems, "port name or number is required"),
    }
}
