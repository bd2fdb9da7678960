//! OpenAPI v2 and v3 of everything served, made from the schemas when first asked for.
//!
//! ```text
//!   api::schemas + descriptions ─▶ definitions ┐
//!   api::KINDS ─▶ operations ──────────────────┴─▶ v2 (JSON, gnostic protobuf) · v3 (index, one per group version)
//! ```
//! Only compressed bytes are kept; the trees and descriptions are freed as soon as a document is made.

mod definitions;
mod gnostic;
mod operations;
mod v2;
mod v3;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::sync::OnceLock;

use bytes::Bytes;
use flate2::Compression;
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, ETAG, IF_NONE_MATCH, VARY};
use http::{HeaderValue, Response};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::door::Call;
use crate::paths::hex;
use crate::wire::accept::{JSON, clauses};
use crate::wire::{Body, answer};

/// What is answered: clients cannot parse the media type that older ones ask by.
const PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
const PROTOBUF_ASKED: &[&str] = &[
    "com.github.proto-openapi.spec.v2.v1.0+protobuf",
    "com.github.proto-openapi.spec.v2@v1.0+protobuf",
    "com.github.googleapis.gnostic.OpenAPIv2@68f4ded+protobuf",
];
/// kubectl keeps v3 documents by their hash: they never change under one address.
const IMMUTABLE: &str = "public, immutable";

/// A document as it is kept.
struct Document {
    gzip: Bytes,
    /// Of the uncompressed bytes, in quotes.
    tag: String,
}

/// The documents made so far.
#[derive(Default)]
pub struct OpenApi {
    v2_json: OnceLock<Document>,
    v2_protobuf: OnceLock<Document>,
    /// By group version path: `api/v1`, `apis/apps/v1`.
    v3: OnceLock<BTreeMap<String, Document>>,
}

impl OpenApi {
    /// The answer to a path below `/openapi`; `None` for all others.
    pub fn answer(&self, path: &str, call: &Call) -> Option<Response<Body>> {
        let rest = path.strip_prefix("/openapi/")?;
        if rest == "v2" {
            return Some(self.v2(call));
        }
        let name = rest.strip_prefix("v3")?.trim_matches('/');
        let documents = self.v3.get_or_init(v3_documents);
        if name.is_empty() {
            return Some(answer::tree(200, &index(documents), call.style));
        }
        let document = documents.get(name)?;
        let mut response = sent(document, JSON, call);
        if call.query.get("hash").is_some() {
            response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(IMMUTABLE));
        }
        Some(response)
    }

    fn v2(&self, call: &Call) -> Response<Body> {
        let wants = clauses(&call.headers).iter().find_map(|clause| match (clause.kind, clause.subtype) {
            ("application", subtype) if PROTOBUF_ASKED.contains(&subtype) => Some(PROTOBUF),
            ("application", "json") | ("*", "*") | ("application", "*") => Some(JSON),
            _ => None,
        });
        match wants.unwrap_or(JSON) {
            JSON => sent(self.v2_json.get_or_init(|| document(v2::document().to_string().as_bytes())), JSON, call),
            media => sent(self.v2_protobuf.get_or_init(|| document(&gnostic::encode(&v2::document()))), media, call),
        }
    }
}

fn v3_documents() -> BTreeMap<String, Document> {
    let mut documents = BTreeMap::new();
    v3::each(|name, tree| {
        documents.insert(name, document(tree.to_string().as_bytes()));
    });
    documents
}

fn index(documents: &BTreeMap<String, Document>) -> Value {
    let entry = |(name, document): (&String, &Document)| {
        let url = format!("/openapi/v3/{name}?hash={}", document.tag.trim_matches('"'));
        (name.clone(), json!({"serverRelativeURL": url}))
    };
    json!({"paths": documents.iter().map(entry).collect::<Map<_, _>>()})
}

fn document(bytes: &[u8]) -> Document {
    let tag = format!("\"{}\"", hex(&Sha256::digest(bytes)));
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Compression::default());
    // Writing into memory cannot fail; an empty document would be seen at once.
    let packed = encoder.write_all(bytes).and_then(|()| encoder.finish()).unwrap_or_default();
    Document { gzip: Bytes::from(packed), tag }
}

fn sent(document: &Document, media: &'static str, call: &Call) -> Response<Body> {
    let known = call.headers.get(IF_NONE_MATCH).is_some_and(|v| v.as_bytes() == document.tag.as_bytes());
    let mut response = if known {
        answer::response(304, media, Body::empty())
    } else if call.style.gzip {
        let mut response = answer::response(200, media, Body::from(document.gzip.clone()));
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        response
    } else {
        let mut plain = Vec::new();
        match flate2::read::GzDecoder::new(document.gzip.as_ref()).read_to_end(&mut plain) {
            Ok(_) => answer::response(200, media, Body::from(plain)),
            Err(_) => answer::text(500, "the document is damaged\n"),
        }
    };
    let headers = response.headers_mut();
    headers.insert(VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
    if let Ok(tag) = HeaderValue::from_str(&document.tag) {
        headers.insert(ETAG, tag);
    }
    response
}
