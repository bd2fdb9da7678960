//! Which objects the server watches, and that it keeps only their facts.

use std::sync::Arc;

use client::cache::{Decoded, Source};
use client::{Resource, Typed};
use k8s_openapi::api::core::v1::Service;
use machinery::key::Key;
use machinery::object::Object;
use machinery::status::Status;

use crate::plan::{ServiceFacts, SliceFacts};

pub fn services() -> Source<Option<Arc<ServiceFacts>>> {
    facts(|service: &Service| ServiceFacts::of(service).map(Arc::new))
}

pub fn slices() -> Source<SliceFacts> {
    facts(SliceFacts::of)
}

/// Only that they are there.
pub fn names_of<T: Typed>() -> Source<()> {
    facts(|_: &T| ())
}

fn facts<T: Typed, F: Send + Sync + 'static>(of: impl Fn(&T) -> F + Send + Sync + 'static) -> Source<F> {
    Source::new(Resource::of::<T>(), Arc::new(move |object| decode(object, &of)))
}

fn decode<T: Typed, F>(object: &Arc<Object>, of: impl Fn(&T) -> F) -> Result<Decoded<F>, Status> {
    let typed = object.decode::<T>()?;
    let meta = typed.metadata();
    let key = Key::new(meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default());
    let uid = Arc::from(meta.uid.as_deref().unwrap_or_default());
    Ok(Decoded { key, uid, revision: object.revision(), value: Arc::new(of(&typed)) })
}
