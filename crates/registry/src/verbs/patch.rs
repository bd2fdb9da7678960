//! PATCH: JSON, merge and strategic patches of the object as it is; made anew after a conflict.

use api::Kind;
use machinery::field::{Path, Problems};
use machinery::identity::User;
use machinery::patch;
use machinery::request::{Answer, Body, Content, FieldValidation, Options, PatchKind, Request};
use machinery::schema::{self, Schema, Unknown};
use machinery::status::Status;
use serde_json::Value;

use super::get::{answer, presented};
use super::update::{Change, Made, Part};
use crate::Registry;
use crate::generic::decode::{keep_type, schema_of};
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
        let sent = Sent::read(&request.body, how)?;
        let schema = schema_of(kind.definition)?;
        let make = |old: &Value| -> Made {
            let (mut tree, warnings) = sent.applied(schema, old, &request.options)?;
            (kind.set_defaults)(&mut tree);
            system::place(kind, &request.namespace, &mut tree)?;
            system::same_name(&request.namespace, &request.name, &tree)?;
            Ok((tree, warnings))
        };
        let change = Change { user, kind, request, name: &request.name, part, tracks: true, make: &make };
        let (object, warnings) = self.change(change).await?;
        Ok(Answer { warnings, ..answer(200, Content::Object(presented(kind, &object))) })
    }
}

/// A patch as it was sent, and what is odd about its form.
pub(crate) struct Sent {
    how: PatchKind,
    tree: Value,
    odd: Vec<String>,
}

impl Sent {
    /// # Errors
    /// 400 in upstream's words: not JSON, or not of the form that this sort of patch has.
    pub(crate) fn read(body: &Body, how: PatchKind) -> Result<Self, Status> {
        let prefix = if how == PatchKind::Strategic { "" } else { "error decoding patch: " };
        let refused = |why: String| Status::bad_request(format!("{prefix}{why}"));
        let (tree, twice) = match body {
            Body::Tree(tree) => (tree.clone(), Vec::new()),
            Body::None => return Err(refused("unexpected end of JSON input".into())),
            Body::Json(bytes) => schema::raw(bytes)
                .map_err(|error| refused(schema::syntax_error(bytes).unwrap_or_else(|| error.to_string())))?,
        };
        let mut odd: Vec<_> = twice.iter().map(ToString::to_string).collect();
        match how {
            PatchKind::Json => {
                odd.extend(operations(&tree).map_err(refused)?);
                odd.iter_mut().for_each(|text| text.insert_str(0, "json patch "));
            }
            _ if !tree.is_object() => return Err(refused(not_a("map[string]interface {}", &tree))),
            _ => {}
        }
        Ok(Self { how, tree, odd })
    }

    /// The object with the patch applied, canonical and without defaults, and the warnings.
    ///
    /// # Errors
    /// The patch does not apply, or what comes out is no object of this schema.
    pub(crate) fn applied(
        &self,
        schema: &Schema,
        old: &Value,
        options: &Options,
    ) -> Result<(Value, Vec<String>), Status> {
        let mut applied = match self.how {
            PatchKind::Json => patch::json(old, &self.tree)?,
            PatchKind::Merge => patch::merge(old, &self.tree),
            PatchKind::Strategic | PatchKind::Apply => patch::strategic(schema, old, &self.tree)?,
        };
        match self.how {
            // Converted into the object's own Go type, which knows what it is.
            PatchKind::Strategic | PatchKind::Apply => {
                ["apiVersion", "kind"].into_iter().for_each(|field| applied[field] = old[field].clone());
            }
            PatchKind::Json | PatchKind::Merge if applied.is_object() => {
                let kept = keep_type(old, &mut applied);
                kept.map_err(|why| unusable(&self.shown(&applied), &why))?;
            }
            PatchKind::Json | PatchKind::Merge => {}
        }
        let converted = schema::convert(schema, applied.clone());
        let (tree, unknown) = converted.map_err(|why| self.refused(schema, &applied, why))?;
        let said = self.said(&unknown);
        match options.field_validation {
            FieldValidation::Strict if !said.is_empty() => {
                let why = format!("strict decoding error: {}", said.join(", "));
                Err(unusable(&self.shown(&applied), &why))
            }
            FieldValidation::Warn => Ok((tree, said)),
            _ => Ok((tree, Vec::new())),
        }
    }

    fn said(&self, unknown: &[Unknown]) -> Vec<String> {
        let mut unknown: Vec<_> = unknown.iter().map(ToString::to_string).collect();
        if self.how == PatchKind::Strategic {
            unknown.sort();
        }
        self.odd.iter().cloned().chain(unknown).collect()
    }

    /// Strategic patches are converted and not decoded, which has words of its own.
    fn refused(&self, schema: &Schema, applied: &Value, why: String) -> Status {
        let why = match self.how {
            PatchKind::Strategic => schema::mismatch(schema, applied).unwrap_or(why),
            _ => why,
        };
        unusable(&self.shown(applied), &why)
    }

    /// What a refusal shows: of a strategic patch what merging left of it, else the patched object.
    fn shown(&self, applied: &Value) -> String {
        match self.how {
            PatchKind::Strategic => schema::printed(&patch::left_of(&self.tree)),
            _ => applied.to_string(),
        }
    }
}

/// Checks the form of a JSON patch; what it says are the operations' unknown fields.
fn operations(tree: &Value) -> Result<Vec<String>, String> {
    let Value::Array(operations) = tree else { return Err(not_a("[]handlers.jsonPatchOp", tree)) };
    let mut unknown = Vec::new();
    for (at, operation) in operations.iter().enumerate() {
        let Value::Object(fields) = operation else { return Err(not_a("handlers.jsonPatchOp", operation)) };
        for (name, value) in fields {
            match name.as_str() {
                "value" => {}
                "op" | "path" | "from" if value.is_string() || value.is_null() => {}
                "op" | "path" | "from" => {
                    let found = found(value);
                    let of = format!("Go struct field jsonPatchOp.{name} of type string");
                    return Err(format!("json: cannot unmarshal {found} into {of}"));
                }
                other => unknown.push(format!("unknown field \"[{at}].{other}\"")),
            }
        }
    }
    Ok(unknown)
}

fn not_a(of_type: &str, tree: &Value) -> String {
    format!("json: cannot unmarshal {} into Go value of type {of_type}", found(tree))
}

fn found(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// 422 in upstream's form: the patched object does not decode.
pub(crate) fn unusable(shown: &str, why: &str) -> Status {
    let mut problems = Problems::default();
    problems.invalid(&Path::new("patch"), shown, why);
    Status::invalid("", "", "", &problems)
}
