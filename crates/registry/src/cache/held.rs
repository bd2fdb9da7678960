//! One object as the cache holds it, with the little of it that selectors look at.

use std::sync::{Arc, OnceLock};

use api::Kind;
use machinery::object::Object;
use serde::Deserialize;
use serde_json::Value;

/// What selectors see of an object: its labels, and its selectable fields in the kind's order.
#[derive(Clone, Debug, Default)]
pub struct Projection {
    /// A map, or null.
    pub labels: Value,
    pub fields: Vec<String>,
}

impl Projection {
    pub fn of(kind: Option<&Kind>, tree: &Value) -> Self {
        let fields = kind.map_or_else(Vec::new, |k| k.selectable.iter().map(|(_, read)| read(tree)).collect());
        Self { labels: tree["metadata"]["labels"].clone(), fields }
    }

    /// From the bytes: where nothing but labels is asked for, the rest is skipped and not built.
    fn read(kind: Option<&Kind>, object: &Object) -> Self {
        if kind.is_some_and(|k| !k.selectable.is_empty()) {
            return Self::of(kind, &object.tree());
        }
        let head: Head = serde_json::from_slice(object.stored()).unwrap_or_default();
        Self { labels: head.metadata.labels, fields: Vec::new() }
    }
}

#[derive(Default, Deserialize)]
struct Head {
    #[serde(default)]
    metadata: HeadMetadata,
}

#[derive(Default, Deserialize)]
struct HeadMetadata {
    #[serde(default)]
    labels: Value,
}

/// A committed object in the cache.
#[derive(Debug)]
pub struct Held {
    pub object: Arc<Object>,
    projection: OnceLock<Projection>,
}

impl Held {
    pub fn new(object: Arc<Object>, projection: Option<Projection>) -> Self {
        let cell = OnceLock::new();
        if let Some(projection) = projection {
            // A fresh cell takes its first value.
            let _ = cell.set(projection);
        }
        Self { object, projection: cell }
    }

    pub fn revision(&self) -> u64 {
        self.object.revision()
    }

    /// Made once per version: on the first question, unless the writer gave it along.
    pub fn projection(&self, kind: Option<&Kind>) -> &Projection {
        self.projection.get_or_init(|| Projection::read(kind, &self.object))
    }
}
