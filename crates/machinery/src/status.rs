//! `Status`: the only error that crosses the API, with upstream's reasons, codes and messages.
//!
//! Source: <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/> and upstream's
//! `apimachinery/pkg/api/errors`.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::field::Problems;
use crate::names::qualified;

/// A `v1.Status`, success or failure, in its JSON form.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Status {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub status: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<Box<Details>>,
    #[serde(skip_serializing_if = "is_zero")]
    pub code: u16,
    /// Where an expired list may go on all the same; stands in the metadata.
    #[serde(skip)]
    pub continue_token: String,
}

fn is_zero(code: &u16) -> bool {
    *code == 0
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Details {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Cause>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_seconds: Option<u32>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Cause {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field: String,
}

impl Status {
    /// A failure with the given HTTP code, CamelCase reason and message, without details.
    pub fn failure(code: u16, reason: &str, message: impl Into<String>) -> Self {
        let (message, reason) = (message.into(), reason.into());
        Self { status: "Failure".into(), message, reason, code, ..Self::default() }
    }

    pub fn with_details(mut self, group: &str, kind: &str, name: &str) -> Self {
        self.details =
            Some(Box::new(Details { name: name.into(), group: group.into(), kind: kind.into(), ..Details::default() }));
        self
    }

    /// 404: `pods "x" not found`. `resource` is the plural.
    pub fn not_found(group: &str, resource: &str, name: &str) -> Self {
        let message = format!("{} {name:?} not found", qualified(resource, group));
        Self::failure(404, "NotFound", message).with_details(group, resource, name)
    }

    /// 404 for a path that no resource serves.
    pub fn no_such_resource() -> Self {
        let mut status = Self::failure(404, "NotFound", "the server could not find the requested resource");
        status.details = Some(Box::default());
        status
    }

    /// 409: `pods "x" already exists`.
    pub fn already_exists(group: &str, resource: &str, name: &str) -> Self {
        let message = format!("{} {name:?} already exists", qualified(resource, group));
        Self::failure(409, "AlreadyExists", message).with_details(group, resource, name)
    }

    /// 409: `Operation cannot be fulfilled on pods "x": why`.
    pub fn conflict(group: &str, resource: &str, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {} {name:?}: {why}", qualified(resource, group));
        Self::failure(409, "Conflict", message).with_details(group, resource, name)
    }

    /// 422: `Pod "x" is invalid: …`; `kind` is the CamelCase kind.
    pub fn invalid(group: &str, kind: &str, name: &str, problems: &Problems) -> Self {
        let message = format!("{} {name:?} is invalid: {}", qualified(kind, group), problems.message());
        let mut status = Self::failure(422, "Invalid", message).with_details(group, kind, name);
        if let Some(details) = &mut status.details {
            details.causes = problems
                .0
                .iter()
                .map(|p| Cause { reason: p.reason().into(), message: p.body(), field: p.path.to_string() })
                .collect();
        }
        status
    }

    /// 403: `pods "x" is forbidden: why`; without a name `pods is forbidden: why`.
    pub fn forbidden(group: &str, resource: &str, name: &str, why: &str) -> Self {
        let what = qualified(resource, group);
        let message = match name {
            "" => format!("{what} is forbidden: {why}"),
            _ => format!("{what} {name:?} is forbidden: {why}"),
        };
        Self::failure(403, "Forbidden", message).with_details(group, resource, name)
    }

    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::failure(400, "BadRequest", message)
    }

    pub fn unauthorized() -> Self {
        Self::failure(401, "Unauthorized", "Unauthorized")
    }

    /// 405 for a verb that the resource does not have.
    pub fn method_not_allowed() -> Self {
        Self::failure(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
    }

    /// 410 for a revision older than the history.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::failure(410, "Expired", message)
    }

    /// 413 for a body over the limit (3 MiB).
    pub fn too_large(message: impl Into<String>) -> Self {
        Self::failure(413, "RequestEntityTooLarge", message)
    }

    pub fn unsupported_media_type(message: impl Into<String>) -> Self {
        Self::failure(415, "UnsupportedMediaType", message)
    }

    pub fn not_acceptable(message: impl Into<String>) -> Self {
        Self::failure(406, "NotAcceptable", message)
    }

    pub fn internal(message: impl fmt::Display) -> Self {
        Self::failure(500, "InternalError", format!("Internal error occurred: {message}"))
    }

    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::failure(503, "ServiceUnavailable", message)
    }

    /// 504: the outcome is not known.
    pub fn timeout(message: impl Into<String>) -> Self {
        Self::failure(504, "Timeout", format!("Timeout: {}", message.into()))
    }

    pub fn is_not_found(&self) -> bool {
        self.reason == "NotFound"
    }

    pub fn is_conflict(&self) -> bool {
        self.reason == "Conflict"
    }

    pub fn is_already_exists(&self) -> bool {
        self.reason == "AlreadyExists"
    }

    pub fn is_expired(&self) -> bool {
        self.code == 410
    }

    /// The whole object with `kind`, `apiVersion` and `metadata`, as answered over HTTP.
    pub fn to_tree(&self) -> serde_json::Value {
        let mut tree = serde_json::to_value(self).unwrap_or_default();
        if let Some(map) = tree.as_object_mut() {
            map.insert("kind".into(), "Status".into());
            map.insert("apiVersion".into(), "v1".into());
            let mut metadata = serde_json::Map::new();
            if !self.continue_token.is_empty() {
                metadata.insert("continue".into(), self.continue_token.as_str().into());
            }
            map.insert("metadata".into(), metadata.into());
        }
        tree
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Status {}
