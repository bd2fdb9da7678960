//! What a controller looks at: a kind, in a form, under indexes, and the keys that a change concerns.
//!
//! A controller declares with types; the runner keeps one cache per kind and form for all controllers, and
//! sees neither.

use std::any::{Any, TypeId};
use std::sync::Arc;

use machinery::key::Key;
use machinery::object::Object;
use machinery::status::Status;
use serde::de::DeserializeOwned;

use crate::plan::Event;
use crate::resource::{Resource, Typed};
use crate::view::View;

/// An object of any form.
pub type Shared = Arc<dyn Any + Send + Sync>;

/// A declared index, shared by name between controllers: one static per index.
pub struct Index<T: 'static> {
    pub name: &'static str,
    pub values: fn(&T) -> Vec<String>,
}

type Values = Arc<dyn Fn(&(dyn Any + Send + Sync)) -> Vec<String> + Send + Sync>;
type Keys = Arc<dyn Fn(&(dyn Any + Send + Sync), &View<'_>) -> Vec<Key> + Send + Sync>;
type Filter = Arc<dyn Fn(Option<&Shared>, Option<&Shared>) -> bool + Send + Sync>;
type Tells = Arc<dyn Fn(Option<&Shared>, Option<&Shared>) -> Option<Event> + Send + Sync>;

/// One line of a controller's `watches`.
#[derive(Clone)]
pub struct Watch {
    pub resource: Resource,
    pub form: TypeId,
    /// A field selector; empty means all objects.
    pub fields: &'static str,
    /// Makes the form.
    pub decode: fn(&Object) -> Result<Shared, Status>,
    /// Index name, and the values of an object.
    pub indexes: Vec<(&'static str, Values)>,
    /// The keys that an object concerns; a change concerns those of its old and its new version.
    pub keys: Keys,
    /// Whether a change (old, new) is worth looking at.
    pub filter: Option<Filter>,
    /// The event that a change (old, new) is by itself, for people to read: what comes and goes. What is there at the
    /// start comes then.
    pub tells: Option<Tells>,
    /// [`crate::Heard::changed`] tells when this kind last changed for a key.
    pub timed: bool,
}

impl Watch {
    /// All objects of a typed kind; they concern no key until [`Watch::keys`] says so.
    pub fn of<T: Typed>() -> Self {
        Self::form::<T>(Resource::of::<T>())
    }

    /// All objects of a resource in a form of one's own: the fields that one reads.
    pub fn form<T: DeserializeOwned + Send + Sync + 'static>(resource: Resource) -> Self {
        Self {
            resource,
            form: TypeId::of::<T>(),
            fields: "",
            decode: |object| object.decode::<T>().map(|form| form as Shared),
            indexes: Vec::new(),
            keys: Arc::new(|_, _| Vec::new()),
            filter: None,
            tells: None,
            timed: false,
        }
    }

    /// Only the objects that a field selector selects. A controller sees one selection of a kind and form.
    pub fn fields(mut self, selector: &'static str) -> Self {
        self.fields = selector;
        self
    }

    pub fn index<T: 'static>(mut self, index: &'static Index<T>) -> Self {
        debug_assert_eq!(self.form, TypeId::of::<T>(), "the index {} is of another form", index.name);
        let values: Values = Arc::new(|any| any.downcast_ref::<T>().map(index.values).unwrap_or_default());
        self.indexes.push((index.name, values));
        self
    }

    /// Says which keys an object concerns.
    pub fn keys<T: 'static>(mut self, keys: fn(&T, &View<'_>) -> Vec<Key>) -> Self {
        debug_assert_eq!(self.form, TypeId::of::<T>());
        self.keys = Arc::new(move |any, view| any.downcast_ref::<T>().map(|t| keys(t, view)).unwrap_or_default());
        self
    }

    /// An object concerns the key of its own namespace and name.
    pub fn own<T: Typed>(self) -> Self {
        self.keys(|object: &T, _| vec![own_key(object)])
    }

    /// Looks at a change only when this is true of (old, new).
    pub fn when<T: Send + Sync + 'static>(mut self, filter: fn(Option<&T>, Option<&T>) -> bool) -> Self {
        debug_assert_eq!(self.form, TypeId::of::<T>());
        self.filter = Some(Arc::new(move |old, new| {
            filter(old.and_then(|any| any.downcast_ref::<T>()), new.and_then(|any| any.downcast_ref::<T>()))
        }));
        self
    }

    /// Tells of changes: reconciling cannot, since it is not told what changed.
    pub fn tells<T: Send + Sync + 'static>(mut self, tells: fn(Option<&T>, Option<&T>) -> Option<Event>) -> Self {
        debug_assert_eq!(self.form, TypeId::of::<T>());
        self.tells = Some(Arc::new(move |old, new| {
            tells(old.and_then(|any| any.downcast_ref::<T>()), new.and_then(|any| any.downcast_ref::<T>()))
        }));
        self
    }

    pub fn timed(mut self) -> Self {
        self.timed = true;
        self
    }
}

/// Namespace and name of an object.
pub fn own_key<T: Typed>(object: &T) -> Key {
    let meta = object.metadata();
    Key::new(meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default())
}
