//! PATCH: JSON, merge and strategic patches of the object as it is; made anew after a conflict.

use api::Kind;
use machinery::field::{Path, Problems};
use machinery::identity::User;
use machinery::patch;
use machinery::request::{Answer, Body, Content, FieldValidation, Options, PatchKind, Request};
use machinery::schema;
use machinery::status::Status;
use serde_json::Value;

use super::get::{answer, presented};
use super::update::{Change, Made, Part};
use crate::Registry;
use crate::generic::decode::{schema_of, warnings};
use crate::generic::system;

impl Registry {
    pub(crate) async fn patch(
        &self,
        user: &User,
        kind: &'static Kind,
        request: &Request,
        how: PatchKind,
        part: Part,
    ) -> Result<Answer, Status> {
        if how == PatchKind::Apply {
            return self.apply(user, kind, request, part).await;
        }
        let body = body(&request.body)?;
        let make = |old: &Value| {
            let (mut tree, warnings) = patched(kind, how, &body, old, &request.options)?;
            system::place(kind, &request.namespace, &mut tree)?;
            system::same_name(&request.namespace, &request.name, &tree)?;
            Ok((tree, warnings))
        };
        let change = Change { user, kind, request, name: &request.name, part, tracks: true, make: &make };
        let (object, warnings) = self.change(change).await?;
        Ok(Answer { warnings, ..answer(200, Content::Object(presented(kind, &object))) })
    }
}

/// The patch itself.
///
/// # Errors
/// 400: not JSON.
pub(crate) fn body(body: &Body) -> Result<Value, Status> {
    match body {
        Body::Tree(tree) => Ok(tree.clone()),
        Body::None => Err(Status::bad_request("error decoding patch: unexpected end of JSON input")),
        Body::Json(bytes) => serde_json::from_slice(bytes).map_err(|error| {
            let why = schema::syntax_error(bytes).unwrap_or_else(|| error.to_string());
            Status::bad_request(format!("error decoding patch: {why}"))
        }),
    }
}

/// The object with a patch applied, canonical and with defaults.
fn patched(kind: &Kind, how: PatchKind, patch: &Value, old: &Value, options: &Options) -> Made {
    let schema = schema_of(kind.definition)?;
    let applied = match how {
        PatchKind::Json => patch::json(old, patch)?,
        PatchKind::Merge => patch::merge(old, patch),
        PatchKind::Strategic | PatchKind::Apply => patch::strategic(schema, old, patch)?,
    };
    let (mut tree, unknown) =
        schema::check(schema, applied.clone()).map_err(|status| unusable(&applied, &status.message))?;
    if options.field_validation == FieldValidation::Strict && !unknown.is_empty() {
        let texts: Vec<_> = unknown.iter().map(ToString::to_string).collect();
        return Err(unusable(&applied, &format!("strict decoding error: {}", texts.join(", "))));
    }
    (kind.set_defaults)(&mut tree);
    Ok((tree, warnings(&unknown, options.field_validation)))
}

/// 422 in upstream's form: the patched object does not decode.
pub(crate) fn unusable(applied: &Value, why: &str) -> Status {
    let mut problems = Problems::default();
    problems.invalid(&Path::new("patch"), applied.to_string(), why);
    Status::invalid("", "", "", &problems)
}
