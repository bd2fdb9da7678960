//! What a cache holds: which collection, in which form, under which indexes.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use machinery::key::Key;
use machinery::object::Object;
use machinery::request::Options;
use machinery::status::Status;

use crate::{Resource, Typed};

/// An object in the form in which a cache holds it.
pub struct Decoded<T: ?Sized> {
    pub key: Key,
    pub uid: Arc<str>,
    pub revision: u64,
    pub value: Arc<T>,
}

type Values<T> = Arc<dyn Fn(&T) -> Vec<String> + Send + Sync>;

/// A declared index: its name, and the values under which an object is found.
pub struct Index<T: ?Sized> {
    pub name: &'static str,
    pub values: Values<T>,
}

impl<T: ?Sized> Clone for Index<T> {
    fn clone(&self) -> Self {
        Self { name: self.name, values: self.values.clone() }
    }
}

type Decode<T> = Arc<dyn Fn(&Arc<Object>) -> Result<Decoded<T>, Status> + Send + Sync>;

/// A collection and how it is held.
pub struct Source<T: ?Sized> {
    pub resource: Resource,
    /// Empty: all namespaces.
    pub namespace: String,
    /// Only the selectors are read.
    pub options: Options,
    pub decode: Decode<T>,
    pub indexes: Vec<Index<T>>,
}

impl<T: Typed> Source<T> {
    /// All objects of a kind, typed.
    pub fn typed() -> Self {
        Self::new(Resource::of::<T>(), Arc::new(|object| decode_typed(object)))
    }
}

impl Source<Object> {
    /// All objects of a resource as they came, for readers of trees.
    pub fn objects(resource: Resource) -> Self {
        Self::new(resource, Arc::new(decode_object))
    }
}

impl<T: ?Sized> Source<T> {
    pub fn new(resource: Resource, decode: Decode<T>) -> Self {
        Self { resource, namespace: String::new(), options: Options::default(), decode, indexes: Vec::new() }
    }

    pub fn namespace(mut self, namespace: &str) -> Self {
        self.namespace = namespace.into();
        self
    }

    pub fn fields(mut self, selector: &str) -> Self {
        self.options.field_selector = selector.into();
        self
    }

    pub fn labels(mut self, selector: &str) -> Self {
        self.options.label_selector = selector.into();
        self
    }

    pub fn index(mut self, name: &'static str, values: impl Fn(&T) -> Vec<String> + Send + Sync + 'static) -> Self {
        self.indexes.push(Index { name, values: Arc::new(values) });
        self
    }
}

/// Key and uid from typed metadata.
pub fn identify(meta: &ObjectMeta) -> (Key, Arc<str>) {
    let key = Key::new(meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default());
    (key, Arc::from(meta.uid.as_deref().unwrap_or_default()))
}

fn decode_typed<T: Typed>(object: &Arc<Object>) -> Result<Decoded<T>, Status> {
    let value = object.decode::<T>()?;
    let (key, uid) = identify(value.metadata());
    Ok(Decoded { key, uid, revision: object.revision(), value })
}

fn decode_object(object: &Arc<Object>) -> Result<Decoded<Object>, Status> {
    let tree = object.tree();
    let text = |field: &str| tree["metadata"][field].as_str().unwrap_or_default();
    let (key, uid) = (Key::new(text("namespace"), text("name")), Arc::from(text("uid")));
    Ok(Decoded { key, uid, revision: object.revision(), value: object.clone() })
}
