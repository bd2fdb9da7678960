//! Access to a resource that is known at run time only: trees in, shared objects out.

use std::sync::Arc;

use machinery::object::Object;
use machinery::request::{List, Options, Verb};
use machinery::status::Status;
use serde_json::Value;

use crate::{Client, Events, Patch, Resource, access};

/// One resource through one client. Namespaces are empty for cluster-scoped resources.
#[derive(Clone)]
pub struct Dynamic {
    pub client: Client,
    pub resource: Resource,
}

impl Client {
    /// Access to a resource known at run time.
    pub fn dynamic(&self, resource: Resource) -> Dynamic {
        Dynamic { client: self.clone(), resource }
    }
}

impl Dynamic {
    /// # Errors
    /// As [`Client::get`].
    pub async fn get(&self, namespace: &str, name: &str) -> Result<Arc<Object>, Status> {
        self.client.object(self.resource.request(Verb::Get, namespace).name(name)).await
    }

    /// # Errors
    /// As [`Client::list`].
    pub async fn list(&self, namespace: &str, options: Options) -> Result<List, Status> {
        let mut request = self.resource.request(Verb::List, namespace);
        request.options = options;
        access::list(self.client.call(request).await?)
    }

    /// A watch of the collection from `options.resource_version`.
    ///
    /// # Errors
    /// As [`Client::watch`].
    pub async fn watch(&self, namespace: &str, options: Options) -> Result<Events, Status> {
        let mut request = self.resource.request(Verb::Watch, namespace);
        request.options = options;
        self.client.watch(request).await
    }

    /// # Errors
    /// As [`Client::create`].
    pub async fn create(&self, namespace: &str, tree: Value, options: Options) -> Result<Arc<Object>, Status> {
        let mut request = self.resource.request(Verb::Create, namespace).body(tree);
        request.options = options;
        self.client.object(request).await
    }

    /// # Errors
    /// As [`Client::update`].
    pub async fn update(
        &self,
        namespace: &str,
        name: &str,
        subresource: &str,
        tree: Value,
        options: Options,
    ) -> Result<Arc<Object>, Status> {
        let mut request = self.resource.request(Verb::Update, namespace).name(name).subresource(subresource).body(tree);
        request.options = options;
        self.client.object(request).await
    }

    /// # Errors
    /// As [`Client::patch`].
    pub async fn patch(
        &self,
        namespace: &str,
        name: &str,
        subresource: &str,
        patch: Patch,
        options: Options,
    ) -> Result<Arc<Object>, Status> {
        let mut request = self.resource.request(Verb::Get, namespace).name(name).subresource(subresource);
        request.options = options;
        self.client.object(patch.into_request(request)).await
    }

    /// Deletes; answers the object while it lingers (finalizers, grace), else what was deleted or a `Status`.
    ///
    /// # Errors
    /// As [`Client::delete`].
    pub async fn delete(&self, namespace: &str, name: &str, options: Options) -> Result<Arc<Value>, Status> {
        let mut request = self.resource.request(Verb::Delete, namespace).name(name);
        request.options = options;
        access::tree(self.client.call(request).await?)
    }

    /// Deletes all that `options` select.
    ///
    /// # Errors
    /// As [`Client::delete`].
    pub async fn delete_collection(&self, namespace: &str, options: Options) -> Result<(), Status> {
        let mut request = self.resource.request(Verb::DeleteCollection, namespace);
        request.options = options;
        self.client.call(request).await.map(|_| ())
    }
}
