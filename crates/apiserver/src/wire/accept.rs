//! Media types: what the client sends and what it wants back.
//!
//! Source: <https://kubernetes.io/docs/reference/using-api/api-concepts/#alternate-representations-of-resources>.
//! Protobuf is read but not written (`docs/gaps.md`).

use api::Kind;
use api::kind::Held;
use http::HeaderMap;
use http::header::{ACCEPT, CONTENT_TYPE};
use machinery::request::PatchKind;
use machinery::status::Status;

use super::protobuf;

pub const JSON: &str = "application/json";
pub const YAML: &str = "application/yaml";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Json,
    Yaml,
}

/// How a body is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    Json,
    Yaml,
    Protobuf,
}

/// What shape the answer's objects take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// As they are.
    Whole,
    Table,
    /// The same as `meta.k8s.io/v1beta1`.
    OldTable,
    PartialMetadata,
    PartialMetadataList,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub encoding: Encoding,
    pub shape: Shape,
}

/// One clause of an `Accept` header.
#[derive(Debug)]
pub struct Clause<'a> {
    pub kind: &'a str,
    pub subtype: &'a str,
    quality: f32,
    parameters: Vec<(&'a str, &'a str)>,
}

impl Clause<'_> {
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(k, _)| *k == name).map(|(_, v)| *v)
    }

    fn is(&self, media: &str) -> bool {
        let (kind, subtype) = media.split_once('/').unwrap_or((media, ""));
        (self.kind == "*" || self.kind == kind) && (self.subtype == "*" || self.subtype == subtype)
    }
}

/// The clauses of the header, best first; equal ones in the order given.
pub fn clauses(headers: &HeaderMap) -> Vec<Clause<'_>> {
    let texts = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut all: Vec<_> = texts.flat_map(|text| text.split(',')).filter_map(clause).collect();
    all.sort_by(|a, b| b.quality.total_cmp(&a.quality));
    all
}

fn clause(text: &str) -> Option<Clause<'_>> {
    let mut parts = text.split(';').map(str::trim);
    let (kind, subtype) = parts.next()?.split_once('/').unwrap_or(("*", "*"));
    let parameters: Vec<_> = parts.filter_map(|p| p.split_once('=')).map(|(k, v)| (k, v.trim_matches('"'))).collect();
    let quality = parameters.iter().find(|(k, _)| *k == "q").and_then(|(_, v)| v.parse().ok()).unwrap_or(1.0);
    Some(Clause { kind: kind.trim(), subtype: subtype.trim(), quality, parameters })
}

/// The first clause that can be served; without any clause plain JSON.
///
/// # Errors
/// 406 in upstream's words.
pub fn wanted(headers: &HeaderMap) -> Result<Wanted, Status> {
    wanted_of(headers, None)
}

/// The same for objects of a kind: reviews and bindings have no tables.
///
/// # Errors
/// 406 in upstream's words.
pub fn wanted_of(headers: &HeaderMap, kind: Option<&Kind>) -> Result<Wanted, Status> {
    let tabular = kind.is_none_or(|kind| kind.held == Held::Stored || !kind.columns.is_empty());
    let served = |shape: &Shape| tabular || !matches!(shape, Shape::Table | Shape::OldTable);
    let all = clauses(headers);
    if all.is_empty() {
        return Ok(Wanted { encoding: Encoding::Json, shape: Shape::Whole });
    }
    let found = all.iter().find_map(|clause| {
        let encoding = match () {
            () if clause.is(JSON) => Encoding::Json,
            () if clause.is(YAML) || clause.is("application/x-yaml") => Encoding::Yaml,
            () => return None,
        };
        Some(Wanted { encoding, shape: shape(clause).filter(served)? })
    });
    found.ok_or_else(not_acceptable)
}

/// `None` for a conversion that we do not have: the next clause is tried.
fn shape(clause: &Clause<'_>) -> Option<Shape> {
    let Some(kind) = clause.parameter("as") else { return Some(Shape::Whole) };
    if clause.parameter("g") != Some("meta.k8s.io") {
        return None;
    }
    match (kind, clause.parameter("v")) {
        ("Table", Some("v1")) => Some(Shape::Table),
        ("Table", Some("v1beta1")) => Some(Shape::OldTable),
        ("PartialObjectMetadata", Some("v1")) => Some(Shape::PartialMetadata),
        ("PartialObjectMetadataList", Some("v1")) => Some(Shape::PartialMetadataList),
        _ => None,
    }
}

fn not_acceptable() -> Status {
    Status::not_acceptable(format!("only the following media types are accepted: {JSON}, {YAML}"))
}

/// How the request's body is encoded; none said is JSON.
///
/// # Errors
/// 415 in upstream's words.
pub fn sent(headers: &HeaderMap) -> Result<Sent, Status> {
    match content_type(headers).as_str() {
        "" | JSON => Ok(Sent::Json),
        YAML | "application/x-yaml" | "text/yaml" => Ok(Sent::Yaml),
        protobuf::MEDIA_TYPE => Ok(Sent::Protobuf),
        _ => Err(unknown_format(&[JSON, YAML, protobuf::MEDIA_TYPE])),
    }
}

/// The sort of a PATCH, and whether its body is YAML.
///
/// # Errors
/// 415 in upstream's words.
pub fn patch(headers: &HeaderMap) -> Result<PatchKind, Status> {
    const TYPES: &[(&str, PatchKind)] = &[
        ("application/json-patch+json", PatchKind::Json),
        ("application/merge-patch+json", PatchKind::Merge),
        ("application/strategic-merge-patch+json", PatchKind::Strategic),
        ("application/apply-patch+yaml", PatchKind::Apply),
    ];
    let sent = content_type(headers);
    let found = TYPES.iter().find(|(name, _)| *name == sent).map(|(_, kind)| *kind);
    found.ok_or_else(|| unknown_format(&TYPES.iter().map(|(name, _)| *name).collect::<Vec<_>>()))
}

fn unknown_format(accepted: &[&str]) -> Status {
    let accepted = accepted.join(", ");
    Status::unsupported_media_type(format!(
        "the body of the request was in an unknown format - accepted media types include: {accepted}"
    ))
}

fn content_type(headers: &HeaderMap) -> String {
    let value = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(accept: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(ACCEPT, http::HeaderValue::from_static(accept))])
    }

    #[test]
    fn the_best_clause_that_we_have_wins() {
        let kubectl = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
        assert_eq!(wanted(&headers(kubectl)).unwrap().shape, Shape::Table);
        let old = "application/json;as=Table;v=v1beta1;g=meta.k8s.io, application/json";
        assert_eq!(wanted(&headers(old)).unwrap().shape, Shape::OldTable);
        let table = headers("application/json;as=Table;v=v1;g=meta.k8s.io");
        let kind = |group, plural| api::by_plural(group, "v1", plural);
        assert!(
            wanted_of(&table, kind("", "pods")).is_ok() && wanted_of(&table, kind("", "componentstatuses")).is_ok()
        );
        let review = kind("authorization.k8s.io", "selfsubjectaccessreviews");
        assert_eq!(wanted_of(&table, review).unwrap_err().code, 406);
        assert_eq!(wanted_of(&headers(kubectl), review).unwrap().shape, Shape::Whole);
        let none = "application/json;as=Table;v=v2;g=meta.k8s.io, application/json";
        assert_eq!(wanted(&headers(none)).unwrap().shape, Shape::Whole);
        let client = "application/vnd.kubernetes.protobuf,application/json";
        assert_eq!(wanted(&headers(client)).unwrap().encoding, Encoding::Json);
        assert_eq!(wanted(&headers("application/json;q=0.1,application/yaml")).unwrap().encoding, Encoding::Yaml);
        assert_eq!(wanted(&headers("*/*")).unwrap().encoding, Encoding::Json);
        assert_eq!(wanted(&headers("text/html")).unwrap_err().code, 406);
    }
}
