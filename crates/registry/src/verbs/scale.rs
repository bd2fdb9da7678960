//! The `scale` subresource: the replicas of an object as an autoscaling/v1 Scale.

use api::Kind;
use api::kind::ScalePaths;
use machinery::field::{Path, Problems};
use machinery::identity::User;
use machinery::request::{Answer, Content, PatchKind, Request};
use machinery::selector::LabelSelector;
use machinery::status::Status;
use machinery::{meta, patch, tree};
use serde_json::{Value, json};
use std::sync::Arc;

use super::get::answer;
use super::patch::{body, unusable};
use super::update::{Change, Made, Part};
use crate::Registry;
use crate::generic::decode::{Expected, exactly, schema_of};
use crate::generic::system;

const DEFINITION: &str = "io.k8s.api.autoscaling.v1.Scale";

/// What is done with the Scale.
enum Edit<'a> {
    Put(Value),
    Patch(PatchKind, &'a Value),
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
        let expected = Expected { definition: DEFINITION, api_version: "autoscaling/v1", kind: "Scale" };
        let decoded = exactly(expected, &request.body, &request.options)?;
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
            return Err(Status::unsupported_media_type("server-side apply of a scale is not served"));
        }
        let patch = body(&request.body)?;
        self.scale(user, kind, request, &Edit::Patch(how, &patch), Vec::new()).await
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
        let make = |old: &Value| -> Made { Ok((scaled(kind, paths, edit, old)?, Vec::new())) };
        let change = Change { user, kind, request, name: &request.name, part: Part::Main, tracks: true, make: &make };
        let (object, warnings) = self.change(change).await?;
        said.extend(warnings);
        let content = Content::Tree(Arc::new(scale_of(paths, &object.tree())));
        Ok(Answer { warnings: said, ..answer(200, content) })
    }
}

fn paths(kind: &Kind) -> Result<&ScalePaths, Status> {
    kind.scale.as_ref().ok_or_else(Status::no_such_resource)
}

/// The object with the replicas of the edited Scale, and its revision and uid as preconditions.
fn scaled(kind: &Kind, paths: &ScalePaths, edit: &Edit<'_>, old: &Value) -> Result<Value, Status> {
    let current = scale_of(paths, old);
    let scale = match edit {
        Edit::Put(scale) => scale.clone(),
        Edit::Patch(PatchKind::Json, patch) => patch::json(&current, patch)?,
        Edit::Patch(PatchKind::Merge, patch) => patch::merge(&current, patch),
        Edit::Patch(_, patch) => patch::strategic(schema_of(DEFINITION)?, &current, patch)?,
    };
    let (scale, _) = machinery::schema::check(schema_of(DEFINITION)?, scale.clone())
        .map_err(|status| unusable(&scale, &status.message))?;
    let replicas = scale["spec"]["replicas"].as_i64().unwrap_or(0);
    let mut problems = Problems::default();
    if replicas < 0 {
        problems.invalid(&Path::new("spec").child("replicas"), replicas, "must be greater than or equal to 0");
        return Err(Status::invalid("autoscaling", "Scale", meta::name(old), &problems));
    }
    let mut new = old.clone();
    tree::set(&mut new, paths.spec_replicas, replicas);
    tree::set(&mut new, "metadata.resourceVersion", meta::resource_version(&scale));
    if !meta::uid(&scale).is_empty() {
        tree::set(&mut new, "metadata.uid", meta::uid(&scale));
    }
    (kind.set_defaults)(&mut new);
    Ok(new)
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
    json!({"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata, "spec": spec, "status": status})
}

/// A `LabelSelector` or a plain map of labels, as one text.
fn selector_text(selector: &Value) -> String {
    let plain = selector.get("matchLabels").is_none() && selector.get("matchExpressions").is_none();
    let read = if plain { LabelSelector::from_map(selector) } else { LabelSelector::from_tree(selector) };
    read.map(|selector| selector.to_string()).unwrap_or_default()
}
