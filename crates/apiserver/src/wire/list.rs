//! A list as it is sent: the stored bytes of its items with their revisions put in, nothing encoded again.
//!
//! Chunks are copied together because a TLS record costs more than a copy; a page of thousands of objects is
//! never in memory as one buffer.

use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use machinery::object::Object;
use machinery::request::List;
use serde_json::json;

const CHUNK_BYTES: usize = 128 * 1024;
const TAIL: &[u8] = b"]}\n";

pub struct ListBody {
    head: Option<Vec<u8>>,
    items: std::vec::IntoIter<Arc<Object>>,
    /// Items keep `kind` and `apiVersion`: those of custom resources do, those of built-in kinds do not.
    typed: bool,
    first: bool,
    done: bool,
    remaining: u64,
    gzip: Option<GzEncoder<Vec<u8>>>,
}

impl ListBody {
    pub fn new(list: List, typed: bool) -> Self {
        let head = head(&list);
        let items: u64 = list.items.iter().map(|item| item.written(typed) as u64).sum();
        let commas = list.items.len().saturating_sub(1) as u64;
        let remaining = head.len() as u64 + items + commas + TAIL.len() as u64;
        let items = list.items.into_iter();
        Self { head: Some(head), items, typed, first: true, done: false, remaining, gzip: None }
    }

    /// Compresses from here on; the length is not known then.
    pub fn gzip(mut self) -> Self {
        self.gzip = Some(GzEncoder::new(Vec::with_capacity(CHUNK_BYTES), Compression::fast()));
        self
    }

    /// Bytes still to come, before compression.
    pub fn len(&self) -> u64 {
        self.remaining
    }

    pub(super) fn remaining(&self) -> Option<u64> {
        self.gzip.is_none().then_some(self.remaining)
    }

    pub(super) fn next_chunk(&mut self) -> Option<Bytes> {
        loop {
            if self.done {
                return None;
            }
            let plain = self.next_plain();
            let Some(gzip) = &mut self.gzip else {
                self.remaining = self.remaining.saturating_sub(plain.len() as u64);
                return Some(Bytes::from(plain));
            };
            // Writing into memory cannot fail; were it to, the client sees a body that ends too early.
            if gzip.write_all(&plain).is_err() || (self.done && gzip.try_finish().is_err()) {
                self.done = true;
                return None;
            }
            let packed = std::mem::take(gzip.get_mut());
            if !packed.is_empty() {
                return Some(Bytes::from(packed));
            }
        }
    }

    fn next_plain(&mut self) -> Vec<u8> {
        let mut chunk = self.head.take().unwrap_or_default();
        chunk.reserve(CHUNK_BYTES.min(usize::try_from(self.remaining).unwrap_or(CHUNK_BYTES)));
        while chunk.len() < CHUNK_BYTES {
            let Some(item) = self.items.next() else {
                chunk.extend_from_slice(TAIL);
                self.done = true;
                break;
            };
            if !self.first {
                chunk.push(b',');
            }
            self.first = false;
            item.write(self.typed, &mut chunk);
        }
        chunk
    }
}

fn head(list: &List) -> Vec<u8> {
    // What is made up when asked for has no revision.
    let revision = if list.revision == 0 { String::new() } else { list.revision.to_string() };
    let mut meta = json!({"resourceVersion": revision});
    if !list.continue_token.is_empty() {
        meta["continue"] = list.continue_token.clone().into();
        if let Some(remaining) = list.remaining {
            meta["remainingItemCount"] = remaining.into();
        }
    }
    let (kind, version) = (json!(list.kind), json!(list.api_version));
    format!("{{\"kind\":{kind},\"apiVersion\":{version},\"metadata\":{meta},\"items\":[").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(n: usize) -> List {
        let item = |i: usize| {
            Object::from_tree(&json!({"kind": "ConfigMap", "apiVersion": "v1", "data": {"k": "v".repeat(900)},
                "metadata": {"name": format!("c{i}"), "resourceVersion": (100 + i).to_string()}}))
        };
        let items = (0..n).map(item).collect();
        List { kind: "ConfigMapList".into(), api_version: "v1".into(), revision: 7, items, ..List::default() }
    }

    fn drain(mut body: ListBody) -> Vec<u8> {
        let mut out = Vec::new();
        while let Some(chunk) = body.next_chunk() {
            out.extend_from_slice(&chunk);
        }
        out
    }

    #[test]
    fn the_length_is_known_before_the_first_byte() {
        for n in [0, 1, 500] {
            let body = ListBody::new(list(n), false);
            let len = body.len();
            let bytes = drain(body);
            assert_eq!(bytes.len() as u64, len);
            let tree: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
            assert_eq!(tree["items"].as_array().unwrap().len(), n);
            assert_eq!(tree["metadata"]["resourceVersion"], "7");
        }
    }

    #[test]
    fn compressed_is_the_same() {
        use std::io::Read;
        let packed = drain(ListBody::new(list(500), true).gzip());
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut plain).unwrap();
        assert_eq!(plain, drain(ListBody::new(list(500), true)));
    }
}
