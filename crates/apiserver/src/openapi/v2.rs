//! The OpenAPI v2 (Swagger) document.

use serde_json::{Map, Value, json};

use super::definitions::{Definitions, Dialect};
use super::operations::{self, Operation, PATCH_TYPES, tag};

pub fn document() -> Value {
    let descriptions = api::descriptions();
    let mut definitions = Definitions::new(Dialect::V2, &descriptions);
    let mut paths = Map::new();
    for operation in api::KINDS.iter().flat_map(|kind| operations::of(kind)) {
        for name in [&operation.body, &operation.answer] {
            definitions.add(name);
        }
        let entry = paths.entry(operation.path.clone()).or_insert_with(|| json!({}));
        entry[operation.method] = tree(&operation);
    }
    json!({
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": crate::GIT_VERSION},
        "paths": paths,
        "definitions": definitions.finish(),
    })
}

fn tree(o: &Operation) -> Value {
    let [group, version, kind] = &o.kind;
    let consumes: Vec<&str> = if o.action == "patch" { PATCH_TYPES.to_vec() } else { vec!["*/*"] };
    let path =
        |name: &&str| json!({"name": name, "in": "path", "type": "string", "required": true, "uniqueItems": true});
    let query = |(name, sort): &(&str, &str)| json!({"name": name, "in": "query", "type": sort, "uniqueItems": true});
    let mut parameters: Vec<Value> = o.places.iter().map(path).chain(o.queries.iter().map(query)).collect();
    if !o.body.is_empty() {
        let required = !matches!(o.action, "delete" | "deletecollection");
        let schema = Dialect::V2.reference(&o.body);
        parameters.push(json!({"name": "body", "in": "body", "required": required, "schema": schema}));
    }
    let mut ok = json!({"description": "OK"});
    if o.answer.is_empty() {
        ok["schema"] = json!({"type": "string"});
    } else {
        ok["schema"] = Dialect::V2.reference(&o.answer);
    }
    json!({
        "operationId": o.id,
        "tags": [tag(group, version)],
        "schemes": ["https"],
        "consumes": consumes,
        "produces": ["application/json", "application/yaml"],
        "parameters": parameters,
        "responses": {"200": ok, "401": {"description": "Unauthorized"}},
        "x-kubernetes-action": o.action,
        "x-kubernetes-group-version-kind": {"group": group, "version": version, "kind": kind},
    })
}
