//! Server-side apply: a configuration of what one manager wants, merged into what the others have.

use api::Kind;
use machinery::field::{Path, Problems};
use machinery::identity::User;
use machinery::managed;
use machinery::request::{Answer, Body, Content, Request};
use machinery::schema;
use machinery::status::Status;
use machinery::{meta, tree};
use serde_json::Value;

use super::get::{answer, presented};
use super::patch::unusable;
use super::update::{Change, Made, Part};
use crate::generic::decode::{Decoded, schema_of};
use crate::generic::system;
use crate::{Registry, errors, tracking};

impl Registry {
    pub(crate) async fn apply(
        &self,
        user: &User,
        kind: &'static Kind,
        request: &Request,
        part: Part,
    ) -> Result<Answer, Status> {
        check_options(request)?;
        let config = config(kind, request)?;
        let now = self.world.now_text();
        let make = |old: &Value| applied(kind, request, old, &config, &now);
        let change = Change { user, kind, request, name: &request.name, part, tracks: false, make: &make };
        match self.change(change).await {
            Err(status) if status.is_not_found() && matches!(part, Part::Main) => {
                let (tree, warnings) = applied(kind, request, &Value::Null, &config, &now)?;
                self.create_decoded(user, kind, request, Decoded { tree, warnings, tracked: true }).await
            }
            done => done.map(|(object, warnings)| Answer {
                warnings,
                ..answer(200, Content::Object(presented(kind, &object)))
            }),
        }
    }
}

/// The configuration that was sent.
///
/// # Errors
/// 400: none, or no JSON.
pub(super) fn sent(body: &Body) -> Result<Value, Status> {
    let refused = |why: String| Status::bad_request(format!("error decoding YAML: {why}"));
    let tree = match body {
        Body::Tree(tree) => tree.clone(),
        Body::None => Value::Null,
        Body::Json(bytes) => serde_json::from_slice(bytes).map_err(|error| refused(error.to_string()))?,
    };
    match tree {
        tree @ Value::Object(_) => Ok(tree),
        Value::Null => Ok(serde_json::json!({})),
        _ => Err(refused("error unmarshaling JSON: while decoding JSON: json: cannot unmarshal into Go value of type map[string]interface {}".into())),
    }
}

pub(super) fn check_options(request: &Request) -> Result<(), Status> {
    let mut problems = Problems::default();
    if request.options.field_manager.is_empty() {
        problems.required(&Path::new("fieldManager"), "is required for apply patch");
    }
    errors::options("PatchOptions", &problems)
}

/// What is applied: as it was sent, since only that says what its manager has an opinion on.
fn config(kind: &Kind, request: &Request) -> Result<Value, Status> {
    let mut config = sent(&request.body)?;
    let (api_version, sent) = (kind.api_version(), meta::api_version(&config).to_owned());
    if sent != api_version || meta::kind(&config) != kind.kind {
        let why = format!("{sent}, Kind={} cannot be applied to {}", meta::kind(&config), request.path());
        return Err(Status::bad_request(why));
    }
    if meta::name(&config).is_empty() {
        tree::set(&mut config, "metadata.name", request.name.as_str());
    }
    system::same_name(&request.namespace, &request.name, &config)?;
    system::place(kind, &request.namespace, &mut config)?;
    let (_, unknown) = schema::check(schema_of(kind.definition)?, config.clone())?;
    match unknown.first() {
        None => Ok(config),
        // As upstream, whatever `fieldValidation` says: nobody can manage what is not there.
        Some(unknown) => Err(Status::failure(
            422,
            "",
            format!(
                "failed to create typed patch object ({}/{}; {api_version}, Kind={}): .{}: field not declared in schema",
                request.namespace, request.name, kind.kind, unknown.path
            ),
        )),
    }
}

/// The object with the configuration merged in, canonical and with defaults.
fn applied(kind: &Kind, request: &Request, old: &Value, config: &Value, now: &str) -> Made {
    let (schema, version) = (schema_of(kind.definition)?, kind.api_version());
    let writer = tracking::writer(request, &version, now);
    let merged = managed::apply(schema, old, config, &writer, request.options.force)?.object;
    let (mut tree, _) = schema::convert(schema, merged.clone()).map_err(|why| unusable(&merged.to_string(), &why))?;
    (kind.set_defaults)(&mut tree);
    Ok((tree, Vec::new()))
}
