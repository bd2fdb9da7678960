//! The objects that a token is bound to, as they are now.

use std::sync::Arc;

use machinery::request::{Content, Request, Verb};
use machinery::status::Status;
use registry::Registry;
use serde_json::Value;

use crate::identity;

/// Reads core/v1 objects for authentication.
pub struct Live {
    registry: Arc<Registry>,
}

impl Live {
    pub fn new(registry: Arc<Registry>) -> Self {
        Self { registry }
    }

    /// The object's tree.
    ///
    /// # Errors
    /// As the registry answers; 404 when it is not there.
    pub async fn get(&self, resource: &str, namespace: &str, name: &str) -> Result<Arc<Value>, Status> {
        let request = Request::new(Verb::Get, "", "v1", resource).namespace(namespace).name(name);
        match self.registry.call(&identity::apiserver(), request).await?.content {
            Content::Object(object) => Ok(object.tree()),
            _ => Err(Status::internal("a get was answered with something else")),
        }
    }
}
