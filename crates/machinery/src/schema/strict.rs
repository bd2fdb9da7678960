//! What strict decoding finds besides wrong types: unknown and duplicate fields.

use std::fmt;

use super::types::Schema;
use crate::status::Status;

/// A field that was dropped, by its path: `spec.containers[0].foo`. Prints as upstream's warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    pub path: String,
    /// The same field came twice; the last one counts.
    pub duplicate: bool,
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", if self.duplicate { "duplicate field" } else { "unknown field" }, self.path)
    }
}

/// The refusal under `fieldValidation=Strict`: `Pod in version "v1" cannot be handled as a Pod: strict decoding
/// error: unknown field "spec.foo"`.
pub fn strict_error(schema: &Schema, unknown: &[Unknown]) -> Status {
    let all: Vec<_> = unknown.iter().map(Unknown::to_string).collect();
    cannot_be_handled(schema, &format!("strict decoding error: {}", all.join(", ")))
}

/// 400 in upstream's words for an object that does not decode.
pub(super) fn cannot_be_handled(schema: &Schema, why: &str) -> Status {
    let (kind, version) = (schema.kind(), schema.version());
    Status::bad_request(format!("{kind} in version {version:?} cannot be handled as a {kind}: {why}"))
}
