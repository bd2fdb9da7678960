//! A patch applied here instead of by the server: what a dry run of the client shows.

use client::Patch;
use machinery::patch;
use serde_json::Value;

use crate::discovery::Served;
use crate::failure::{Result, error};

/// The object as the patch would leave it, before the server's defaults and rules.
///
/// # Errors
/// A patch that does not fit the object; a strategic one of a kind whose lists are not known here.
pub fn patched(served: &Served, tree: &Value, patch: &Patch) -> Result<Value> {
    let schema = api::by_kind(&served.group, &served.version, &served.kind);
    let schema = schema.and_then(|kind| api::schemas().get(kind.definition));
    match (patch, schema) {
        (Patch::Json(changes), _) => Ok(patch::json(tree, changes)?),
        (Patch::Merge(changes), _) => Ok(patch::merge(tree, changes)),
        (Patch::Strategic(changes), Some(schema)) => Ok(patch::strategic(schema, tree, changes)?),
        _ => error(format!("strategic merge patch is not supported for {} here: use --type merge", served.qualified())),
    }
}
