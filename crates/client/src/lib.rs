//! The door to the API for every component: typed access over a transport, and caches.
//!
//! A transport is either in-process (shared objects, no bytes; made by the binary's wiring around the API
//! server's front, with an identity of its own) or HTTPS ([`https`]). Nothing above this crate knows which.
//!
//! ```text
//!   get::<Pod>, patch::<Node>, …  (typed)    Dynamic (a resource known at run time)    cache::Cache
//!                      └──────────────────────────┬──────────────────────────────────────┘
//!                                              Client ──▶ Transport ──▶ in-process front | https::Https
//! ```

pub mod access;
pub mod anybody;
pub mod cache;
pub mod dynamic;
pub mod events;
pub mod https;
pub mod kubeconfig;
pub mod patch;
pub mod resource;
pub mod typed;
pub mod world;

use std::sync::Arc;

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use machinery::request::{Answer, Request, Verb, WatchEvent};
use machinery::status::Status;

pub use dynamic::Dynamic;
pub use machinery::request::Options;
pub use patch::Patch;
pub use resource::Resource;
pub use typed::{Page, Typed};
pub use world::World;

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
    manager: Arc<str>,
}

impl Client {
    pub fn new(transport: Arc<dyn Transport>) -> Self {
        Self { transport, manager: Arc::from("") }
    }

    /// The same client, naming itself as field manager in every write that names none.
    pub fn with_manager(mut self, manager: &str) -> Self {
        self.manager = Arc::from(manager);
        self
    }

    /// Any request but a watch.
    ///
    /// # Errors
    /// The server's `Status`, or one made here when it cannot be reached (code 503) or the outcome of a sent
    /// request is not known (code 504).
    pub async fn call(&self, mut request: Request) -> Result<Answer, Status> {
        let writes = matches!(request.verb, Verb::Create | Verb::Update | Verb::Patch(_));
        if writes && request.options.field_manager.is_empty() {
            request.options.field_manager = self.manager.to_string();
        }
        self.transport.call(request).await
    }

    /// A watch; its stream ends when the server ends it, an `Err` item is its last.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn watch(&self, request: Request) -> Result<Events, Status> {
        self.transport.watch(request).await
    }
}
