//! The border to client-side apply: the annotation in which kubectl keeps what it applied last.
//!
//! Only for the manager `kubectl`, as upstream: what the annotation says was applied may be taken over without a
//! conflict, and the annotation follows a server-side apply, so that both ways can be used in turn.

use serde_json::Value;

use super::Writer;
use super::compare::{compare, fields_of};
use super::sets::{self, Fields};
use crate::meta;
use crate::schema::Schema;
use crate::tree;

const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";
const MANAGER: &str = "kubectl";
const ANNOTATIONS_BYTES_MAX: usize = 256 * 1024;

/// Fields that were applied client-side and are still as they were applied.
pub fn taken_over(schema: &Schema, live: &Value, writer: &Writer<'_>) -> Fields {
    let text = meta::annotation(live, ANNOTATION).filter(|_| writer.manager == MANAGER);
    let applied = text.and_then(|text| serde_json::from_str::<Value>(text).ok());
    let Some(applied) = applied.filter(|a| meta::api_version(a) == writer.api_version) else { return Fields::new() };
    let changed = compare(schema.node(), &applied, live, "");
    let mut fields = fields_of(schema.node(), &applied);
    sets::subtract(&mut fields, &changed.touched);
    sets::subtract(&mut fields, &changed.removed);
    fields
}

/// Writes what was applied now into the annotation, where there is one; one that became too large goes.
pub fn follow(object: &mut Value, config: &Value, writer: &Writer<'_>) {
    let has = meta::annotation(object, ANNOTATION).is_some_and(|text| !text.is_empty());
    // What is applied to a Scale is no opinion about the object that it scales.
    if writer.manager != MANAGER || !has || writer.subresource == "scale" {
        return;
    }
    let mut applied = config.clone();
    if let Some(Value::Object(annotations)) = tree::get_mut(&mut applied, "metadata.annotations") {
        annotations.remove(ANNOTATION);
    }
    meta::set_annotation(object, ANNOTATION, &format!("{applied}\n"));
    let annotations = tree::map_mut(object, "metadata.annotations");
    let bytes: usize = annotations.iter().map(|(k, v)| k.len() + v.as_str().map_or(0, str::len)).sum();
    if bytes > ANNOTATIONS_BYTES_MAX {
        annotations.remove(ANNOTATION);
    }
}
