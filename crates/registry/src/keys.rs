//! Where objects lie in the store: `/registry/GROUP/PLURAL/[NAMESPACE/]NAME`, the core group as `core`.
//!
//! The first two parts are the *collection* (`apps/deployments`), the rest the *key* inside it. Keys of a
//! collection sort as upstream's lists do: by the bytes of `namespace/name`.

use std::ops::Bound;

use api::Kind;
use bytes::Bytes;

pub const PREFIX: &str = "/registry/";

/// `apps/deployments`, `core/pods`. Kinds that share storage share their collection.
pub fn collection(kind: &Kind) -> String {
    collection_of(kind.stored_as.as_ref().map_or(kind.group, |form| form.group), kind.plural)
}

/// The kind in whose form the objects of a kind are stored: mostly itself.
pub fn storing(kind: &'static Kind) -> &'static Kind {
    let other = kind.stored_as.as_ref().and_then(|form| api::by_plural(form.group, form.version, kind.plural));
    other.unwrap_or(kind)
}

pub fn collection_of(group: &str, plural: &str) -> String {
    format!("{}/{plural}", if group.is_empty() { "core" } else { group })
}

/// `namespace/name`, or the name alone for a cluster-scoped object.
pub fn key(namespace: &str, name: &str) -> String {
    if namespace.is_empty() { name.to_owned() } else { format!("{namespace}/{name}") }
}

/// The store's key of an object.
pub fn stored(collection: &str, key: &str) -> Bytes {
    Bytes::from(format!("{PREFIX}{collection}/{key}"))
}

/// Collection and key behind a store's key; `None` for what is not ours.
pub fn parse(stored: &[u8]) -> Option<(&str, &str)> {
    let rest = std::str::from_utf8(stored).ok()?.strip_prefix(PREFIX)?;
    let slash = rest.find('/')?;
    let second = slash + 1 + rest[slash + 1..].find('/')?;
    let (collection, key) = (&rest[..second], &rest[second + 1..]);
    (!key.is_empty()).then_some((collection, key))
}

/// The name in a key.
pub fn name_of(key: &str) -> &str {
    key.rsplit_once('/').map_or(key, |(_, name)| name)
}

/// The namespace in a key, empty for a cluster-scoped object.
pub fn namespace_of(key: &str) -> &str {
    key.split_once('/').map_or("", |(namespace, _)| namespace)
}

/// The keys of a namespace (all keys when it is empty), from `start` on where one is given.
pub struct Span {
    low: Bound<String>,
    high: Bound<String>,
}

impl Span {
    pub fn new(namespace: &str, start: Option<&str>) -> Self {
        let (low, high) = match namespace {
            "" => (Bound::Unbounded, Bound::Unbounded),
            // '0' is the byte after '/'.
            ns => (Bound::Included(format!("{ns}/")), Bound::Excluded(format!("{ns}0"))),
        };
        let low = match (start, low) {
            (Some(start), Bound::Included(low)) if low.as_str() > start => Bound::Included(low),
            (Some(start), _) => Bound::Included(start.to_owned()),
            (None, low) => low,
        };
        Self { low, high }
    }

    pub fn bounds(&self) -> (Bound<&str>, Bound<&str>) {
        (self.low.as_ref().map(String::as_str), self.high.as_ref().map(String::as_str))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_key_parses_back() {
        let stored = stored("core/pods", &key("default", "a"));
        assert_eq!(&stored[..], b"/registry/core/pods/default/a");
        assert_eq!(parse(&stored), Some(("core/pods", "default/a")));
        assert_eq!(parse(b"/registry/core/pods/"), None);
        assert_eq!(parse(b"/elsewhere/core/pods/x"), None);
    }

    #[test]
    fn a_span_starts_inside_its_namespace() {
        assert_eq!(Span::new("b", Some("a/x")).bounds(), (Bound::Included("b/"), Bound::Excluded("b0")));
        assert_eq!(Span::new("b", Some("b/x")).bounds(), (Bound::Included("b/x"), Bound::Excluded("b0")));
    }
}
