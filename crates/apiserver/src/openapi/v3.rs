//! The OpenAPI v3 documents, one per group version.

use serde_json::{Map, Value, json};

use super::definitions::{Definitions, Dialect};
use super::operations::{self, Operation, PATCH_TYPES, tag};
use crate::discovery;

/// Makes the documents one after the other and hands each over with its path: `api/v1`, `apis/apps/v1`.
pub fn each(mut take: impl FnMut(String, Value)) {
    let descriptions = api::descriptions();
    for group in discovery::catalog() {
        for version in &group.versions {
            let mut definitions = Definitions::new(Dialect::V3, &descriptions);
            let mut paths = Map::new();
            for operation in version.kinds.iter().flat_map(|kind| operations::of(kind)) {
                for name in [&operation.body, &operation.answer] {
                    definitions.add(name);
                }
                let entry = paths.entry(operation.path.clone()).or_insert_with(|| places(&operation));
                entry[operation.method] = tree(&operation);
            }
            let name = match group.name {
                "" => format!("api/{}", version.name),
                group => format!("apis/{group}/{}", version.name),
            };
            let document = json!({
                "openapi": "3.0.0",
                "info": {"title": "Kubernetes", "version": crate::GIT_VERSION},
                "paths": paths,
                "components": {"schemas": definitions.finish()},
            });
            take(name, document);
        }
    }
}

/// What all methods of a path share.
fn places(o: &Operation) -> Value {
    let place = |name: &&str| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string", "uniqueItems": true}});
    let mut tree = json!({});
    put_parameters(&mut tree, o.places.iter().map(place).collect());
    tree
}

/// No empty list: Go's reader and writer would not give it back.
fn put_parameters(tree: &mut Value, parameters: Vec<Value>) {
    if !parameters.is_empty() {
        tree["parameters"] = parameters.into();
    }
}

fn tree(o: &Operation) -> Value {
    let [group, version, kind] = &o.kind;
    let query = |(name, sort): &(&str, &str)| json!({"name": name, "in": "query", "schema": {"type": sort, "uniqueItems": true}});
    let mut ok = json!({"description": "OK"});
    if !o.answer.is_empty() {
        let schema = Dialect::V3.reference(&o.answer);
        ok["content"] = json!({"application/json": {"schema": schema}, "application/yaml": {"schema": schema}});
    }
    let mut tree = json!({
        "operationId": o.id,
        "tags": [tag(group, version)],
        "responses": {"200": ok, "401": {"description": "Unauthorized"}},
        "x-kubernetes-action": o.action,
        "x-kubernetes-group-version-kind": {"group": group, "version": version, "kind": kind},
    });
    put_parameters(&mut tree, o.queries.iter().map(query).collect());
    if !o.body.is_empty() {
        let schema = json!({"schema": Dialect::V3.reference(&o.body)});
        let media: &[&str] = if o.action == "patch" { PATCH_TYPES } else { &["*/*"] };
        let content: Map<String, Value> = media.iter().map(|m| ((*m).to_owned(), schema.clone())).collect();
        tree["requestBody"] = json!({"content": content});
    }
    tree
}
