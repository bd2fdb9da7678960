//! The schemas of every built-in kind, made when this crate is built (see `build/`), and their descriptions.
//!
//! The type tree is unpacked once, on first use; names stay in the executable. Descriptions are compressed and
//! apart: only OpenAPI documents and `kubectl explain` read them.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use machinery::schema::{Schemas, pack};

static PACKED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/schemas.packed"));
static DESCRIPTIONS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptions.zst"));

/// Every definition of the built-in API.
pub fn schemas() -> &'static Schemas {
    static SCHEMAS: LazyLock<Schemas> = LazyLock::new(|| {
        // Packed by the build of this very executable; a test reads them.
        let arena = pack::unpack(PACKED).unwrap_or_default();
        Schemas::new(Arc::new(arena))
    });
    &SCHEMAS
}

/// What the API reference says about definitions and their fields.
#[derive(Clone, Debug, Default, serde::Deserialize)]
pub struct Descriptions(BTreeMap<String, BTreeMap<String, String>>);

impl Descriptions {
    /// The definition's own description, or `""`.
    pub fn definition(&self, definition: &str) -> &str {
        self.field(definition, "")
    }

    /// A field's description, or `""`.
    pub fn field(&self, definition: &str, field: &str) -> &str {
        self.0.get(definition).and_then(|d| d.get(field)).map_or("", String::as_str)
    }
}

/// Decompresses the descriptions; callers keep them no longer than they need (about 1 MB).
pub fn descriptions() -> Descriptions {
    let json = zstd::decode_all(DESCRIPTIONS).unwrap_or_default();
    serde_json::from_slice(&json).unwrap_or_default()
}

#[cfg(test)]
mod tests;
