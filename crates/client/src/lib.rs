//! The door to the API for every component: typed access over a transport, and caches.
//!
//! A transport is either in-process (shared objects, no bytes; made by the binary's wiring around the API
//! server's front, with an identity of its own) or HTTPS. Nothing above this crate knows which.

use std::sync::Arc;

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use machinery::request::{Answer, Request, WatchEvent};
use machinery::status::Status;

pub type Events = BoxStream<'static, Result<WatchEvent, Status>>;

/// Carries requests to an API server as one identity.
pub trait Transport: Send + Sync + 'static {
    /// Every verb but watch and connect.
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Answer, Status>>;

    /// A watch; the stream ends when the server ends it, an `Err` item (410, 500) is its last.
    fn watch(&self, request: Request) -> BoxFuture<'_, Result<Events, Status>>;
}

/// The API as one identity. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    transport: Arc<dyn Transport>,
}

impl Client {
    pub fn new(transport: Arc<dyn Transport>) -> Self {
        Self { transport }
    }

    pub async fn call(&self, request: Request) -> Result<Answer, Status> {
        self.transport.call(request).await
    }

    pub async fn watch(&self, request: Request) -> Result<Events, Status> {
        self.transport.watch(request).await
    }
}
