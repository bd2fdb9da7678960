//! The `scale` subresource: the replicas of an object as an autoscaling/v1 Scale.

use api::Kind;
use api::kind::ScalePaths;
use machinery::field::{Path, Problems};
use machinery::identity::User;
use machinery::request::{Answer, Body, Content, PatchKind, Request};
use machinery::selector::LabelSelector;
use machinery::status::Status;
use machinery::{managed, meta, tree};
use serde_json::{Value, json};
use std::sync::Arc;

use super::apply::{check_options, sent};
use super::get::answer;
use super::patch::Sent;
use super::update::{Change, Made, Part};
use crate::generic::decode::{Expected, exactly, schema_of};
use crate::generic::system;
use crate::{Registry, tracking};

const DEFINITION: &str = "io.k8s.api.autoscaling.v1.Scale";
const API_VERSION: &str = "autoscaling/v1";

/// What is done with the Scale.
enum Edit<'a> {
    Put(Value),
    Patch(&'a Sent),
    Apply(&'a Value),
}

impl Registry {
    pub(crate) async fn get_scale(&self, kind: &'static Kind, request: &Request) -> Result<Answer, Status> {
        let paths = paths(kind)?;
        self.fresh(&request.options.resource_version).await?;
        let held = self.current(kind, &request.namespace, &request.name)?;
        Ok(answer(200, Content::Tree(Arc::new(scale_of(paths, &held.object.tree())))))
    }

    pub(crate) async fn put_scale(
        &self,
        user: &User,
        kind: &'static Kind,
        request: &Request,
    ) -> Result<Answer, Status> {
        let decoded = exactly(expected(), &request.body, &request.options)?;
        system::same_name(&request.namespace, &request.name, &decoded.tree)?;
        self.scale(user, kind, request, &Edit::Put(decoded.tree), decoded.warnings).await
    }

    pub(crate) async fn patch_scale(
        &self,
        user: &User,
        kind: &'static Kind,
        request: &Request,
        how: PatchKind,
    ) -> Result<Answer, Status> {
        if how == PatchKind::Apply {
            let config = config(request)?;
            return self.scale(user, kind, request, &Edit::Apply(&config), Vec::new()).await;
        }
        let sent = Sent::read(&request.body, how)?;
        self.scale(user, kind, request, &Edit::Patch(&sent), Vec::new()).await
    }

    async fn scale(
        &self,
        user: &User,
        kind: &'static Kind,
        request: &Request,
        edit: &Edit<'_>,
        mut said: Vec<String>,
    ) -> Result<Answer, Status> {
        let paths = paths(kind)?;
        let now = self.world.now_text();
        let make = |old: &Value| -> Made {
            match edit {
                Edit::Put(scale) => Ok((scaled(kind, paths, scale, old)?, Vec::new())),
                Edit::Patch(sent) => {
                    let (scale, warnings) =
                        sent.applied(schema_of(DEFINITION)?, &scale_of(paths, old), &request.options)?;
                    Ok((scaled(kind, paths, &scale, old)?, warnings))
                }
                Edit::Apply(config) => Ok((applied(kind, paths, request, old, config, &now)?, Vec::new())),
            }
        };
        let tracks = !matches!(edit, Edit::Apply(_));
        let change = Change { user, kind, request, name: &request.name, part: Part::Main, tracks, make: &make };
        let (object, warnings) = self.change(change).await?;
        said.extend(warnings);
        let content = Content::Tree(Arc::new(scale_of(paths, &object.tree())));
        Ok(Answer { warnings: said, ..answer(200, content) })
    }
}

fn expected() -> Expected<'static> {
    Expected { definition: DEFINITION, api_version: API_VERSION, kind: "Scale" }
}

fn paths(kind: &Kind) -> Result<&ScalePaths, Status> {
    kind.scale.as_ref().ok_or_else(Status::no_such_resource)
}

/// The object with the replicas of the edited Scale, and its revision and uid as preconditions.
fn scaled(kind: &Kind, paths: &ScalePaths, scale: &Value, old: &Value) -> Result<Value, Status> {
    let mut new = with_replicas(paths, scale, old)?;
    tree::set(&mut new, "metadata.resourceVersion", meta::resource_version(scale));
    if !meta::uid(scale).is_empty() {
        tree::set(&mut new, "metadata.uid", meta::uid(scale));
    }
    (kind.set_defaults)(&mut new);
    Ok(new)
}

fn with_replicas(paths: &ScalePaths, scale: &Value, object: &Value) -> Result<Value, Status> {
    let replicas = scale["spec"]["replicas"].as_i64().unwrap_or(0);
    let mut problems = Problems::default();
    if replicas < 0 {
        problems.invalid(&Path::new("spec").child("replicas"), replicas, "must be greater than or equal to 0");
        return Err(Status::invalid("autoscaling", "Scale", meta::name(object), &problems));
    }
    let mut new = object.clone();
    tree::set(&mut new, paths.spec_replicas, replicas);
    Ok(new)
}

/// What is applied: a Scale of which somebody has an opinion.
fn config(request: &Request) -> Result<Value, Status> {
    check_options(request)?;
    let config = sent(&request.body)?;
    let (api_version, kind) = (meta::api_version(&config), meta::kind(&config));
    if (api_version, kind) != (API_VERSION, "Scale") {
        let why = format!("{api_version}, Kind={kind} cannot be applied to {}", request.path());
        return Err(Status::bad_request(why));
    }
    if !meta::name(&config).is_empty() {
        system::same_name(&request.namespace, &request.name, &config)?;
    }
    exactly(expected(), &Body::Tree(config.clone()), &request.options)?;
    Ok(config)
}

/// Applies an opinion about the Scale as the same opinion about the object's replicas: managedFields tell of the
/// object's fields, under the subresource's name.
fn applied(
    kind: &Kind,
    paths: &ScalePaths,
    request: &Request,
    old: &Value,
    config: &Value,
    now: &str,
) -> Result<Value, Status> {
    let (schema, version) = (schema_of(kind.definition)?, kind.api_version());
    let mut opinion = json!({"apiVersion": version, "kind": kind.kind, "metadata": {"name": request.name}});
    if !config["spec"]["replicas"].is_null() {
        tree::set(&mut opinion, paths.spec_replicas, config["spec"]["replicas"].clone());
    }
    let writer = tracking::writer(request, &version, now);
    let merged = managed::apply(schema, old, &opinion, &writer, request.options.force)?.object;
    let scale = scale_of(paths, &merged);
    scaled(kind, paths, &scale, &merged)
}

/// The Scale that an object shows.
fn scale_of(paths: &ScalePaths, object: &Value) -> Value {
    let mut metadata = json!({});
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if !object["metadata"][field].is_null() {
            metadata[field] = object["metadata"][field].clone();
        }
    }
    let mut spec = json!({});
    let wanted = tree::get(object, paths.spec_replicas).as_i64().unwrap_or(0);
    if wanted != 0 {
        spec["replicas"] = wanted.into();
    }
    let mut status = json!({"replicas": tree::get(object, paths.status_replicas).as_i64().unwrap_or(0)});
    let selector = selector_text(tree::get(object, paths.selector));
    if !selector.is_empty() {
        status["selector"] = selector.into();
    }
    json!({"kind": "Scale", "apiVersion": API_VERSION, "metadata": metadata, "spec": spec, "status": status})
}

/// A `LabelSelector` or a plain map of labels, as one text.
fn selector_text(selector: &Value) -> String {
    let plain = selector.get("matchLabels").is_none() && selector.get("matchExpressions").is_none();
    let read = if plain { LabelSelector::from_map(selector) } else { LabelSelector::from_tree(selector) };
    read.map(|selector| selector.to_string()).unwrap_or_default()
}
