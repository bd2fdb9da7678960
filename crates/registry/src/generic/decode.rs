//! From a body to a canonical tree of the expected kind, with upstream's words for what is wrong with it.

use api::Kind;
use machinery::meta;
use machinery::request::{Body, FieldValidation, Options};
use machinery::schema::{self, Schema, Unknown};
use machinery::status::Status;
use serde_json::Value;

/// Where upstream's server says that its kinds are registered.
const SCHEME: &str = "pkg/api/legacyscheme/scheme.go:30";

/// A tree and what there is to say about it.
#[derive(Clone, Debug)]
pub struct Decoded {
    pub tree: Value,
    pub warnings: Vec<String>,
    /// managedFields are right already.
    pub tracked: bool,
}

/// The schema of a kind.
///
/// # Errors
/// 500: the definition is missing from the compiled schemas.
pub fn schema_of(definition: &str) -> Result<&'static Schema, Status> {
    api::schemas().get(definition).ok_or_else(|| Status::internal(format!("no schema {definition}")))
}

/// What a body is decoded as: a kind, or what one of its subresources exchanges.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    pub definition: &'a str,
    pub api_version: &'a str,
    pub kind: &'a str,
}

/// Decodes and defaults the body of a write of this kind.
///
/// # Errors
/// 400 in upstream's words: not JSON, wrong types, another kind, unknown fields under `Strict`.
pub fn object(kind: &Kind, body: &Body, options: &Options) -> Result<Decoded, Status> {
    let api_version = kind.api_version();
    let expected = Expected { definition: kind.definition, api_version: &api_version, kind: kind.kind };
    let mut decoded = exactly(expected, body, options)?;
    (kind.set_defaults)(&mut decoded.tree);
    Ok(decoded)
}

/// Decodes a body of any published type.
///
/// # Errors
/// As [`object`].
pub fn exactly(expected: Expected<'_>, body: &Body, options: &Options) -> Result<Decoded, Status> {
    let schema = schema_of(expected.definition)?;
    let (mut tree, unknown) = match body {
        Body::None => schema::decode(schema, b"")?,
        Body::Json(bytes) => schema::decode(schema, bytes)?,
        Body::Tree(tree) => schema::check(schema, tree.clone())?,
    };
    same_type(expected, &mut tree)?;
    if options.field_validation == FieldValidation::Strict && !unknown.is_empty() {
        return Err(schema::strict_error(schema, &unknown));
    }
    Ok(Decoded { tree, warnings: warnings(&unknown, options.field_validation), tracked: false })
}

/// Unknown and duplicate fields as warnings, for those who want them.
pub fn warnings(unknown: &[Unknown], how: FieldValidation) -> Vec<String> {
    let wanted = how == FieldValidation::Warn;
    unknown.iter().filter(|_| wanted).map(ToString::to_string).collect()
}

/// A missing kind and apiVersion are the expected ones; others are refused.
fn same_type(expected: Expected<'_>, tree: &mut Value) -> Result<(), Status> {
    let (api_version, kind) = (meta::api_version(tree), meta::kind(tree));
    if !kind.is_empty() && kind != expected.kind {
        let api_version = if api_version.is_empty() { expected.api_version } else { api_version };
        let (version, why) = (version_of(api_version), foreign(expected, api_version, kind));
        return Err(Status::bad_request(format!(
            "{kind} in version {version:?} cannot be handled as a {}: {why}",
            expected.kind
        )));
    }
    if !api_version.is_empty() && api_version != expected.api_version {
        return Err(Status::bad_request(format!(
            "the API version in the data ({api_version}) does not match the expected API version ({})",
            expected.api_version
        )));
    }
    tree["kind"] = expected.kind.into();
    tree["apiVersion"] = expected.api_version.into();
    Ok(())
}

/// What a patch made of kind and apiVersion: absent ones are the object's own again, others are an error in upstream's words.
pub fn keep_type(old: &Value, patched: &mut Value) -> Result<(), String> {
    let (api_version, kind) = (meta::api_version(old), meta::kind(old));
    for (field, own) in [("apiVersion", api_version), ("kind", kind)] {
        if patched[field].is_null() || patched[field] == "" {
            patched[field] = own.into();
        }
    }
    // What is no text is refused when the object is converted.
    let is_other = |field: &str, own: &str| patched[field].as_str().is_some_and(|sent| sent != own);
    if is_other("kind", kind) || is_other("apiVersion", api_version) {
        let expected = Expected { definition: "", api_version, kind };
        return Err(foreign(expected, meta::api_version(patched), meta::kind(patched)));
    }
    Ok(())
}

/// Upstream's reason: a kind that it knows cannot be converted, another is in no scheme.
fn foreign(expected: Expected<'_>, api_version: &str, kind: &str) -> String {
    match api::KINDS.iter().any(|known| known.kind == kind && known.api_version() == api_version) {
        true => {
            let version = version_of(api_version);
            format!("converting ({version}.{kind}) to ({}): unknown conversion", go_type(expected))
        }
        false => format!("no kind {kind:?} is registered for version {api_version:?} in scheme {SCHEME:?}"),
    }
}

/// The internal Go type of a kind: its package is the group's first word.
fn go_type(expected: Expected<'_>) -> String {
    let group = expected.api_version.split_once('/').map_or("core", |(group, _)| group);
    format!("{}.{}", group.split('.').next().unwrap_or(group), expected.kind)
}

fn version_of(api_version: &str) -> &str {
    api_version.rsplit_once('/').map_or(api_version, |(_, version)| version)
}
