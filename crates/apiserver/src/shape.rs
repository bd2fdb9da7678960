//! Which shape an answer takes: the objects themselves, a table, or metadata alone.
//!
//! The shapes are made in [`registry::present`].

use api::Kind;
use machinery::request::{Change, Content, WatchEvent};
use machinery::status::Status;
use registry::World;
use registry::present::{self, Include};
use serde_json::{Value, json};

use crate::wire::Reshape;
use crate::wire::accept::Shape;

/// An answer's content in the shape asked for; `None` leaves it as it is (a Status, a review).
///
/// # Errors
/// 406 when a list is asked for as one object or the other way round.
pub fn reshaped(
    kind: Option<&'static Kind>,
    content: &Content,
    shape: Shape,
    include: Include,
    world: &World,
) -> Result<Option<Value>, Status> {
    let refused = |shape: &str, what: &str| {
        Err(Status::not_acceptable(format!("you requested {shape}, but the requested object is {what}")))
    };
    match (shape, content) {
        (Shape::Whole, _) => Ok(None),
        (Shape::Table | Shape::OldTable, _) => {
            let table = kind.and_then(|kind| present::table(kind, content, include, world.now()));
            Ok(table.map(|table| versioned(table, shape)))
        }
        (Shape::PartialMetadata, Content::List(list)) => refused("PartialObjectMetadata", &format!("a {}", list.kind)),
        (Shape::PartialMetadataList, Content::Object(_)) => refused("PartialObjectMetadataList", "not a list"),
        (Shape::PartialMetadata | Shape::PartialMetadataList, Content::Tree(_)) => Ok(None),
        (Shape::PartialMetadata | Shape::PartialMetadataList, _) => present::partial(content),
    }
}

/// How a watch reshapes its events; only the first table has column definitions.
pub fn per_event(kind: Option<&'static Kind>, shape: Shape, include: Include, world: World) -> Reshape {
    let mut first = true;
    Box::new(move |event: &WatchEvent| match (shape, kind) {
        (Shape::Table | Shape::OldTable, Some(kind)) => {
            let mut table = present::table_event(kind, event, include, world.now());
            if event.change == Change::Bookmark {
                table["rows"] = json!([]);
            }
            if !std::mem::take(&mut first) {
                table["columnDefinitions"] = Value::Null;
            }
            Some(versioned(table, shape))
        }
        (Shape::PartialMetadata | Shape::PartialMetadataList, _) => Some(present::partial_object(&event.object)),
        (Shape::Whole | Shape::Table | Shape::OldTable, _) => None,
    })
}

/// Both versions of a table have the same fields.
fn versioned(mut table: Value, shape: Shape) -> Value {
    if shape == Shape::OldTable {
        table["apiVersion"] = "meta.k8s.io/v1beta1".into();
    }
    table
}
