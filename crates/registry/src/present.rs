//! Other forms of answers and events: tables as `kubectl get` shows them, and metadata alone.
//!
//! Source: <https://kubernetes.io/docs/reference/using-api/api-concepts/#receiving-resources-as-tables>.

use api::Kind;
use jiff::Timestamp;
use machinery::meta;
use machinery::object::Object;
use machinery::request::{Content, List, WatchEvent};
use machinery::status::Status;
use serde_json::{Map, Value, json};

/// What a table's rows carry of their objects (`includeObject`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Include {
    None,
    #[default]
    Metadata,
    Object,
}

impl Include {
    /// # Errors
    /// 400 in upstream's words.
    pub fn parse(text: &str) -> Result<Self, Status> {
        match text {
            "" | "Metadata" => Ok(Include::Metadata),
            "None" => Ok(Include::None),
            "Object" => Ok(Include::Object),
            other => Err(Status::bad_request(format!("unrecognized includeObject value: {other:?}"))),
        }
    }
}

const META_V1: &str = "meta.k8s.io/v1";

/// An answer as a `Table`. Statuses and what is not an object of the kind stay as they are.
pub fn table(kind: &Kind, content: &Content, include: Include, now: Timestamp) -> Option<Value> {
    let (metadata, rows) = match content {
        Content::Object(object) => (revision_only(object.revision()), vec![row(kind, object, include, now)]),
        Content::List(list) => {
            let rows = list.items.iter().map(|object| row(kind, object, include, now)).collect();
            (list_metadata(list), rows)
        }
        Content::Tree(_) | Content::Status(_) => return None,
    };
    Some(table_of(kind, metadata, rows))
}

/// A watch event's object as a `Table` of one row.
pub fn table_event(kind: &Kind, event: &WatchEvent, include: Include, now: Timestamp) -> Value {
    let object = &event.object;
    table_of(kind, revision_only(object.revision()), vec![row(kind, object, include, now)])
}

/// An answer as `PartialObjectMetadata` or its list. Statuses stay as they are.
///
/// # Errors
/// 406: the answer is no object.
pub fn partial(content: &Content) -> Result<Option<Value>, Status> {
    match content {
        Content::Object(object) => Ok(Some(partial_object(object))),
        Content::List(list) => Ok(Some(json!({
            "kind": "PartialObjectMetadataList", "apiVersion": META_V1, "metadata": list_metadata(list),
            "items": list.items.iter().map(|object| partial_object(object)).collect::<Vec<_>>(),
        }))),
        Content::Tree(tree) => Ok(Some(partial_tree(tree))),
        Content::Status(_) => Ok(None),
    }
}

/// An object's metadata alone: also what a watch event carries.
pub fn partial_object(object: &Object) -> Value {
    partial_tree(&object.tree())
}

fn partial_tree(tree: &Value) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": META_V1, "metadata": tree["metadata"]})
}

/// The metadata of a list, as every form of it has it.
pub fn list_metadata(list: &List) -> Value {
    let mut metadata = revision_only(list.revision);
    if !list.continue_token.is_empty() {
        metadata["continue"] = list.continue_token.as_str().into();
    }
    if let Some(remaining) = list.remaining {
        metadata["remainingItemCount"] = remaining.into();
    }
    metadata
}

fn revision_only(revision: u64) -> Value {
    let mut metadata = Map::new();
    metadata.insert("resourceVersion".into(), revision.to_string().into());
    Value::Object(metadata)
}

fn table_of(kind: &Kind, metadata: Value, rows: Vec<Value>) -> Value {
    json!({
        "kind": "Table", "apiVersion": META_V1, "metadata": metadata, "columnDefinitions": columns(kind), "rows": rows,
    })
}

fn columns(kind: &Kind) -> Vec<Value> {
    let definition = |name: &str, of_type: &str, format: &str, description: &str, priority: u8| {
        json!({
            "name": name, "type": of_type, "format": format, "description": description, "priority": priority,
        })
    };
    if kind.columns.is_empty() {
        let name = "Name must be unique within a namespace.";
        let age = "CreationTimestamp is a timestamp representing the server time when this object was created.";
        return vec![definition("Name", "string", "name", name, 0), definition("Age", "string", "", age, 0)];
    }
    kind.columns.iter().map(|c| definition(c.name, c.kind, c.format, c.description, c.priority)).collect()
}

fn row(kind: &Kind, object: &Object, include: Include, now: Timestamp) -> Value {
    let tree = object.tree();
    let cells = match kind.columns.is_empty() {
        true => vec![meta::name(&tree).into(), age(&tree, now).into()],
        false => (kind.cells)(&tree, now),
    };
    let shown = match include {
        Include::None => Value::Null,
        Include::Metadata => partial_tree(&tree),
        Include::Object => (*tree).clone(),
    };
    let mut row = json!({"cells": cells, "object": shown});
    if let Some((reason, message)) = (kind.finished)(&tree) {
        row["conditions"] = json!([{"type": "Completed", "status": "True", "reason": reason, "message": message}]);
    }
    row
}

fn age(tree: &Value, now: Timestamp) -> String {
    machinery::time::age(machinery::time::from_tree(&tree["metadata"]["creationTimestamp"]), now)
}
