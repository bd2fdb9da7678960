//! Typed access: `client.get::<Pod>("default", "x")`. A namespace is empty for cluster-scoped kinds.
//!
//! Answers of an in-process server are decoded once per version and shared; over HTTPS they are parsed here.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use machinery::object::Object;
use machinery::request::{Body, Options, Request, Verb};
use machinery::status::Status;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{Client, Patch, Resource, access};

/// Items asked for at once where a whole collection is read page by page.
const PAGE_ITEMS: u64 = 500;

/// A kind of k8s-openapi with object metadata.
pub trait Typed:
    k8s_openapi::Resource + k8s_openapi::Metadata<Ty = ObjectMeta> + Serialize + DeserializeOwned + Send + Sync + 'static
{
}

impl<T> Typed for T where
    T: k8s_openapi::Resource
        + k8s_openapi::Metadata<Ty = ObjectMeta>
        + Serialize
        + DeserializeOwned
        + Send
        + Sync
        + 'static
{
}

/// A page of a collection.
#[derive(Clone, Debug)]
pub struct Page<T> {
    pub items: Vec<Arc<T>>,
    pub revision: u64,
    /// Empty on the last page.
    pub continue_token: String,
    pub remaining: Option<u64>,
}

impl Client {
    /// The object as the server has it now.
    ///
    /// # Errors
    /// 404 and all that [`Client::call`] says.
    pub async fn get<T: Typed>(&self, namespace: &str, name: &str) -> Result<Arc<T>, Status> {
        access::typed(self.call(Resource::of::<T>().request(Verb::Get, namespace).name(name)).await?)
    }

    /// One page: `options` select, limit and continue. An empty namespace means all.
    ///
    /// # Errors
    /// 410 when the continue token is too old, and all that [`Client::call`] says.
    pub async fn list<T: Typed>(&self, namespace: &str, options: Options) -> Result<Page<T>, Status> {
        let mut request = Resource::of::<T>().request(Verb::List, namespace);
        request.options = options;
        let list = access::list(self.call(request).await?)?;
        let items = list.items.iter().map(|o| o.decode()).collect::<Result<_, _>>()?;
        Ok(Page { items, revision: list.revision, continue_token: list.continue_token, remaining: list.remaining })
    }

    /// The whole collection at one revision, read page by page.
    ///
    /// # Errors
    /// As [`Client::list`].
    pub async fn list_all<T: Typed>(&self, namespace: &str, options: Options) -> Result<Page<T>, Status> {
        let first = Options { limit: Some(PAGE_ITEMS), ..options };
        let mut whole = self.list::<T>(namespace, first.clone()).await?;
        while !whole.continue_token.is_empty() {
            let next = Options { continue_token: std::mem::take(&mut whole.continue_token), ..first.clone() };
            let page = self.list::<T>(namespace, next).await?;
            whole.items.extend(page.items);
            whole.continue_token = page.continue_token;
            whole.remaining = page.remaining;
        }
        Ok(whole)
    }

    /// Creates the object in the namespace of its metadata.
    ///
    /// # Errors
    /// 409 AlreadyExists, 422 Invalid, and all that [`Client::call`] says.
    pub async fn create<T: Typed>(&self, object: &T) -> Result<Arc<T>, Status> {
        let request = Resource::of::<T>().request(Verb::Create, namespace_of(object));
        access::typed(self.call(request.body(to_tree(object)?)).await?)
    }

    /// Replaces the object, or with `subresource` (`status`, …) that part of it.
    ///
    /// # Errors
    /// 409 Conflict when its resourceVersion is not the current one, and all that [`Client::call`] says.
    pub async fn update<T: Typed>(&self, object: &T, subresource: &str) -> Result<Arc<T>, Status> {
        let name = object.metadata().name.as_deref().unwrap_or_default();
        let request = Resource::of::<T>().request(Verb::Update, namespace_of(object)).name(name);
        access::typed(self.call(request.subresource(subresource).body(to_tree(object)?)).await?)
    }

    /// Patches the object, or with `subresource` that part of it.
    ///
    /// # Errors
    /// 404, 409 when the patch names another uid or resourceVersion, and all that [`Client::call`] says.
    pub async fn patch<T: Typed>(
        &self,
        namespace: &str,
        name: &str,
        subresource: &str,
        patch: Patch,
    ) -> Result<Arc<T>, Status> {
        let request = Resource::of::<T>().request(Verb::Get, namespace).name(name).subresource(subresource);
        access::typed(self.call(patch.into_request(request)).await?)
    }

    /// A JSON merge patch of `status`: `{"status": …}`.
    ///
    /// # Errors
    /// As [`Client::patch`].
    pub async fn patch_status<T: Typed>(&self, namespace: &str, name: &str, status: Value) -> Result<Arc<T>, Status> {
        self.patch(namespace, name, "status", Patch::Merge(serde_json::json!({ "status": status }))).await
    }

    /// Deletes the object; `options` carry grace, propagation and preconditions.
    ///
    /// # Errors
    /// 404, 409 when a precondition does not hold, and all that [`Client::call`] says.
    pub async fn delete<T: Typed>(&self, namespace: &str, name: &str, options: Options) -> Result<(), Status> {
        let mut request = Resource::of::<T>().request(Verb::Delete, namespace).name(name);
        request.options = options;
        self.call(request).await.map(|_| ())
    }

    /// Creates from a tree: at a collection, or with `name` and `subresource` at a subresource (`binding`,
    /// `eviction`, `token`). Answers what the server answered: the object, a `TokenRequest`, a `Status`.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn create_tree(
        &self,
        resource: &Resource,
        namespace: &str,
        name: &str,
        subresource: &str,
        tree: Value,
    ) -> Result<Arc<Value>, Status> {
        let request = resource.request(Verb::Create, namespace).name(name).subresource(subresource);
        access::tree(self.call(request.body(tree)).await?)
    }

    /// A request whose answer is one object.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn object(&self, request: Request) -> Result<Arc<Object>, Status> {
        access::object(self.call(request).await?)
    }
}

/// The object as a tree, as it is sent.
///
/// # Errors
/// A map in it has keys that JSON does not have; no Kubernetes type does.
pub fn to_tree<T: Serialize>(object: &T) -> Result<Value, Status> {
    serde_json::to_value(object).map_err(Status::internal)
}

fn namespace_of<T: Typed>(object: &T) -> &str {
    object.metadata().namespace.as_deref().unwrap_or_default()
}

/// The body of a request as a tree, for transports.
///
/// # Errors
/// JSON that does not parse.
pub fn body_tree(body: &Body) -> Result<Value, Status> {
    match body {
        Body::None => Ok(Value::Null),
        Body::Tree(tree) => Ok(tree.clone()),
        Body::Json(bytes) => serde_json::from_slice(bytes).map_err(|e| Status::bad_request(e.to_string())),
    }
}
