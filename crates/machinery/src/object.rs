//! One committed version of an API object, shared by everybody who looks at it.
//!
//! What is stored is JSON without `metadata.resourceVersion` (that is the revision, known only after the
//! commit). The encoding always starts `{"kind":…,"apiVersion":…,"metadata":{`, so that the bytes are a rope:
//! head (up to and with `"metadata":{`), the revision, tail. Decoded forms are made on demand, once per
//! version, and live while somebody holds them.

use std::any::{Any, TypeId};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::status::Status;

const METADATA: &[u8] = b"\"metadata\":{";
const UNTYPED: &[u8] = b"{\"metadata\":{";
const REVISION: &[u8] = b"\"resourceVersion\":\"";

/// A committed object: bytes, revision and (while held by somebody) decoded forms.
pub struct Object {
    stored: Bytes,
    cut: usize,
    revision: u64,
    decoded: Mutex<Vec<(TypeId, Weak<dyn Any + Send + Sync>)>>,
}

impl Object {
    /// Encodes a tree as it is stored: kind, apiVersion and metadata first, without resourceVersion.
    pub fn encode(tree: &Value) -> Bytes {
        let mut out = Vec::with_capacity(512);
        out.extend_from_slice(b"{\"kind\":");
        write(&mut out, &tree["kind"]);
        out.extend_from_slice(b",\"apiVersion\":");
        write(&mut out, &tree["apiVersion"]);
        out.extend_from_slice(b",\"metadata\":{");
        if let Some(meta) = tree["metadata"].as_object() {
            write_fields(&mut out, meta.iter().filter(|(k, _)| *k != "resourceVersion"), true);
        }
        out.push(b'}');
        let top = |key: &str| !matches!(key, "kind" | "apiVersion" | "metadata");
        if let Some(map) = tree.as_object() {
            write_fields(&mut out, map.iter().filter(|(k, _)| top(k)), false);
        }
        out.push(b'}');
        Bytes::from(out)
    }

    /// The object that these stored bytes are at this revision.
    ///
    /// # Errors
    /// The bytes were not written by [`Object::encode`].
    pub fn from_stored(stored: Bytes, revision: u64) -> Result<Arc<Self>, Status> {
        let at = stored.windows(METADATA.len()).position(|w| w == METADATA);
        let cut = at.ok_or_else(|| Status::internal("a stored object has no metadata"))? + METADATA.len();
        Ok(Arc::new(Self { stored, cut, revision, decoded: Mutex::default() }))
    }

    /// An object from a tree with its `metadata.resourceVersion` (0 when absent or not a number).
    pub fn from_tree(tree: &Value) -> Arc<Self> {
        let revision = tree["metadata"]["resourceVersion"].as_str().and_then(|s| s.parse().ok()).unwrap_or(0);
        let stored = Self::encode(tree);
        let at = stored.windows(METADATA.len()).position(|w| w == METADATA).unwrap_or(0);
        Arc::new(Self { stored, cut: at + METADATA.len(), revision, decoded: Mutex::default() })
    }

    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The bytes without the revision, as in the store.
    pub fn stored(&self) -> &Bytes {
        &self.stored
    }

    /// The same bytes at another revision: what a DELETED event carries.
    pub fn at_revision(&self, revision: u64) -> Arc<Self> {
        Arc::new(Self { stored: self.stored.clone(), cut: self.cut, revision, decoded: Mutex::default() })
    }

    /// The JSON to send, in three pieces without copying the object: head, resourceVersion, tail.
    pub fn pieces(&self) -> [Bytes; 3] {
        let comma = if self.stored.get(self.cut) == Some(&b'}') { "" } else { "," };
        // What was never committed (a dry run) has no revision to show.
        let middle = match self.revision {
            0 => String::new(),
            revision => format!("\"resourceVersion\":\"{revision}\"{comma}"),
        };
        [self.stored.slice(..self.cut), Bytes::from(middle), self.stored.slice(self.cut..)]
    }

    /// Bytes that [`Object::write`] appends.
    pub fn written(&self, typed: bool) -> usize {
        let head = if typed { self.cut } else { UNTYPED.len() };
        let digits = self.revision.checked_ilog10().map_or(0, |n| REVISION.len() + n as usize + 2);
        let comma = usize::from(digits > 0 && self.stored.get(self.cut) != Some(&b'}'));
        head + digits + comma + self.stored.len() - self.cut
    }

    /// Appends the JSON to send. Without `typed` it has no kind and apiVersion: an item of a list.
    pub fn write(&self, typed: bool, out: &mut Vec<u8>) {
        out.extend_from_slice(if typed { &self.stored[..self.cut] } else { UNTYPED });
        if self.revision > 0 {
            out.extend_from_slice(REVISION);
            let mut digits = [0u8; 20];
            let (mut at, mut left) = (digits.len(), self.revision);
            while left > 0 {
                at -= 1;
                digits[at] = b'0' + (left % 10) as u8;
                left /= 10;
            }
            out.extend_from_slice(&digits[at..]);
            out.push(b'"');
            if self.stored.get(self.cut) != Some(&b'}') {
                out.push(b',');
            }
        }
        out.extend_from_slice(&self.stored[self.cut..]);
    }

    /// The JSON to send, copied into one buffer.
    pub fn json(&self) -> Vec<u8> {
        self.pieces().concat()
    }

    /// The decoded form as `T` (a tree as `Value`, or a typed struct), shared while somebody holds it.
    ///
    /// # Errors
    /// The object does not have `T`'s shape.
    pub fn decode<T: DeserializeOwned + Send + Sync + 'static>(&self) -> Result<Arc<T>, Status> {
        let id = TypeId::of::<T>();
        if let Some(held) = self.held(id).and_then(|any| any.downcast::<T>().ok()) {
            return Ok(held);
        }
        let made: T = serde_json::from_slice(&self.json()).map_err(Status::internal)?;
        let made = Arc::new(made);
        let any: Arc<dyn Any + Send + Sync> = made.clone();
        let mut decoded = self.decoded.lock().unwrap_or_else(PoisonError::into_inner);
        decoded.retain(|(other, weak)| *other != id && weak.strong_count() > 0);
        decoded.push((id, Arc::downgrade(&any)));
        Ok(made)
    }

    /// The tree, with `metadata.resourceVersion`.
    pub fn tree(&self) -> Arc<Value> {
        self.decode::<Value>().unwrap_or_default()
    }

    fn held(&self, id: TypeId) -> Option<Arc<dyn Any + Send + Sync>> {
        let decoded = self.decoded.lock().unwrap_or_else(PoisonError::into_inner);
        decoded.iter().find(|(other, _)| *other == id).and_then(|(_, weak)| weak.upgrade())
    }
}

impl std::fmt::Debug for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.json()))
    }
}

fn write(out: &mut Vec<u8>, value: &Value) {
    // Writing a tree of strings and numbers to memory has no failing path.
    let _ = serde_json::to_writer(out, value);
}

fn write_fields<'a>(out: &mut Vec<u8>, fields: impl Iterator<Item = (&'a String, &'a Value)>, first: bool) {
    let mut comma = !first;
    for (key, value) in fields {
        if comma {
            out.push(b',');
        }
        comma = true;
        let _ = serde_json::to_writer(&mut *out, key);
        out.push(b':');
        write(out, value);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_revision_is_put_in_when_sent() {
        let tree = json!({"apiVersion": "v1", "data": {"a": "1"}, "kind": "ConfigMap", "metadata": {"name": "x"}});
        let object = Object::from_stored(Object::encode(&tree), 7).unwrap();
        assert_eq!(object.tree()["metadata"]["resourceVersion"], "7");
        assert_eq!(object.tree()["data"]["a"], "1");
        assert_eq!(object.at_revision(9).tree()["metadata"]["resourceVersion"], "9");
    }

    #[test]
    fn what_is_written_is_what_the_pieces_are() {
        for (metadata, revision) in [(json!({"name": "x"}), 0), (json!({"name": "x"}), 10), (json!({}), 199)] {
            let tree = json!({"apiVersion": "v1", "data": {}, "kind": "ConfigMap", "metadata": metadata});
            let object = Object::from_stored(Object::encode(&tree), revision).unwrap();
            let mut typed = Vec::new();
            object.write(true, &mut typed);
            assert_eq!((typed.len(), &typed), (object.written(true), &object.json()));
            let mut item = Vec::new();
            object.write(false, &mut item);
            assert_eq!(item.len(), object.written(false));
            let item: Value = serde_json::from_slice(&item).unwrap();
            assert_eq!((&item["kind"], &item["metadata"]), (&Value::Null, &object.tree()["metadata"]));
        }
    }

    #[test]
    fn a_decoded_form_is_shared_while_it_is_held() {
        let object = Object::from_tree(&json!({"kind": "A", "apiVersion": "v1", "metadata": {}}));
        let first = object.tree();
        assert!(Arc::ptr_eq(&first, &object.tree()));
    }
}
