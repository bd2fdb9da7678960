//! Patches: JSON patch, merge patch, strategic merge patch, and the differences that make them.
//!
//! Everything here works on JSON trees and is pure; applying a patch to a stored object, with its admission and
//! retries, is the registry's.
//!
//! ```text
//!   json       RFC 6902          ┐
//!   merge      RFC 7386          ├─ tree × patch → tree
//!   strategic  by the schema     ┘
//!   merge_diff, two_way          tree × tree → patch
//!   three_way                    last applied × wanted × live → strategic patch (kubectl apply)
//!   three_way_merge              the same for custom resources → merge patch
//! ```

mod diff;
mod json;
mod lists;
mod merge;
mod strategic;
#[cfg(test)]
mod tests;

pub use diff::{three_way, two_way};
pub use json::json;
pub use merge::{merge, merge_diff, three_way_merge};
pub use strategic::{left_of, strategic};

use serde_json::Value;

use crate::schema::{Node, Type};
use crate::status::Status;

const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM: &str = "$deleteFromPrimitiveList";
const ELEMENT_ORDER: &str = "$setElementOrder";

/// Why a strategic patch cannot be made or applied, in upstream's words, and whose fault it is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Refused {
    /// 400: a directive is malformed.
    Format(&'static str),
    /// 422: nothing wrong with its form.
    Content,
    /// 422 without a reason (upstream: 500): items without merge keys, fields that do not exist.
    Other(String),
}

const BAD_DELETE_FROM: Refused = Refused::Format("invalid patch format of primitive list");
const BAD_RETAIN_KEYS: Refused = Refused::Format("invalid patch format of retainKeys");
const BAD_ELEMENT_ORDER: Refused = Refused::Format("invalid patch format of setElementOrder list");

impl From<Refused> for Status {
    fn from(refused: Refused) -> Status {
        match refused {
            Refused::Format(message) => Status::bad_request(message),
            Refused::Content => {
                Status::failure(422, "Invalid", "the server rejected our request due to an error in our request")
            }
            Refused::Other(message) => Status::failure(422, "", message),
        }
    }
}

/// The place below a key. What has no schema (embedded objects) merges as plain maps with lists replaced whole.
fn below<'a>(node: Node<'a>, key: &str) -> Result<Node<'a>, Refused> {
    if node.ty == Type::Any || node.as_struct().is_some_and(|of| of.keep_unknown && of.field(key).is_none()) {
        return Ok(Node { ty: Type::Any, ..node });
    }
    node.child(key).ok_or_else(|| {
        let of = node.as_struct().map_or("", |of| &of.definition);
        Refused::Other(format!("unable to find api field {key:?} in {of}"))
    })
}

/// What a patch adds must not carry nulls, which only mean deletion.
fn discard_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, v| !v.is_null());
            map.values_mut().for_each(discard_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(discard_nulls),
        _ => {}
    }
}
