//! Which objects the proxy watches, and that it keeps only their facts.

use std::sync::Arc;

use client::cache::{Decoded, Source};
use client::{Resource, Typed};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use machinery::key::Key;
use machinery::object::Object;
use machinery::status::Status;

use crate::plan::{ServiceFacts, SliceFacts};

/// Slices of headless Services are most of what there is in some clusters, and need no rules.
const NOT_HEADLESS: &str = "!service.kubernetes.io/headless";

/// Facts of all Services; `None` for one that needs no rules.
pub fn services() -> Source<Option<Arc<ServiceFacts>>> {
    let facts = |service: &Service| ServiceFacts::of(service).map(Arc::new);
    Source::new(Resource::of::<Service>(), Arc::new(move |object| decode(object, facts)))
}

pub fn slices() -> Source<SliceFacts> {
    let decode = Arc::new(|object: &Arc<Object>| decode(object, SliceFacts::of));
    Source::new(Resource::of::<EndpointSlice>(), decode).labels(NOT_HEADLESS)
}

fn decode<T: Typed, F>(object: &Arc<Object>, facts: impl Fn(&T) -> F) -> Result<Decoded<F>, Status> {
    let typed = object.decode::<T>()?;
    let meta = typed.metadata();
    let key = Key::new(meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default());
    let uid = Arc::from(meta.uid.as_deref().unwrap_or_default());
    Ok(Decoded { key, uid, revision: object.revision(), value: Arc::new(facts(&typed)) })
}
