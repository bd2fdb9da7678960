//! The world as a controller sees it: copies of the watched kinds, each consistent in itself, read by key or by a
//! declared index. A kind that was not declared in `watches` is not there.

use std::any::TypeId;
use std::sync::Arc;

use machinery::key::Key;

use crate::resource::{Resource, Typed};
use crate::watch::{Index, Shared};

/// One kind in one form, at one revision.
pub trait Source {
    fn get(&self, key: &Key) -> Option<Shared>;
    /// Found under a value of an index, in key order.
    fn by(&self, index: &'static str, value: &str) -> Vec<Shared>;
    fn in_namespace(&self, namespace: &str) -> Vec<Shared>;
    fn all(&self) -> Vec<Shared>;
}

/// Where a view finds its sources; the same one for the life of the view.
pub trait Sources {
    fn source(&self, resource: Resource, form: TypeId) -> Option<Arc<dyn Source>>;
}

/// What a controller reads. Made for one reconcile.
#[derive(Clone, Copy)]
pub struct View<'a> {
    sources: &'a dyn Sources,
}

impl<'a> View<'a> {
    pub fn new(sources: &'a dyn Sources) -> Self {
        Self { sources }
    }

    pub fn get<T: Typed>(&self, namespace: &str, name: &str) -> Option<Arc<T>> {
        self.form(Resource::of::<T>(), &Key::new(namespace, name))
    }

    /// The objects under a value of an index, in key order.
    pub fn by<T: Typed>(&self, index: &'static Index<T>, value: &str) -> Vec<Arc<T>> {
        self.forms_by(Resource::of::<T>(), index, value)
    }

    pub fn in_namespace<T: Typed>(&self, namespace: &str) -> Vec<Arc<T>> {
        self.source::<T>(Resource::of::<T>()).map(|s| typed(s.in_namespace(namespace))).unwrap_or_default()
    }

    pub fn all<T: Typed>(&self) -> Vec<Arc<T>> {
        self.source::<T>(Resource::of::<T>()).map(|s| typed(s.all())).unwrap_or_default()
    }

    /// An object in a form of the controller's own.
    pub fn form<T: Send + Sync + 'static>(&self, resource: Resource, key: &Key) -> Option<Arc<T>> {
        self.source::<T>(resource)?.get(key)?.downcast().ok()
    }

    /// The objects of a resource under a value of an index, in a form of the controller's own.
    pub fn forms_by<T: Send + Sync + 'static>(
        &self,
        resource: Resource,
        index: &'static Index<T>,
        value: &str,
    ) -> Vec<Arc<T>> {
        self.source::<T>(resource).map(|s| typed(s.by(index.name, value))).unwrap_or_default()
    }

    /// The objects of a resource in a namespace, in a form of the controller's own.
    pub fn forms_in_namespace<T: Send + Sync + 'static>(&self, resource: Resource, namespace: &str) -> Vec<Arc<T>> {
        self.source::<T>(resource).map(|s| typed(s.in_namespace(namespace))).unwrap_or_default()
    }

    fn source<T: 'static>(&self, resource: Resource) -> Option<Arc<dyn Source>> {
        let source = self.sources.source(resource, TypeId::of::<T>());
        debug_assert!(source.is_some(), "{} is not watched", resource.kind);
        source
    }
}

fn typed<T: Send + Sync + 'static>(shared: Vec<Shared>) -> Vec<Arc<T>> {
    shared.into_iter().filter_map(|any| any.downcast().ok()).collect()
}
