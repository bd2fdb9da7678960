//! Every verb of the API, written once, and admission, over the store.
//!
//! ```text
//!   Request ──▶ verbs ──▶ generic rules, kind's hooks, admission, allocation ──▶ commit ──▶ store
//!                 ▲                                                                          │
//!                 └───────────── cache (objects, history, watchers) ◀──── one watch ─────────┘
//! ```
//!
//! It authenticates and authorizes nobody and speaks no HTTP: that is `apiserver`. Kinds have no handlers here,
//! only hooks (`api`). Time, randomness, tasks and timers come from a [`World`].

pub mod admission;
mod allocate;
mod bootstrap;
mod cache;
mod commit;
mod errors;
mod events;
mod generic;
pub mod keys;
pub mod present;
mod select;
mod serve;
mod token;
mod tracking;
mod verbs;
mod world;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use futures::future::BoxFuture;
use machinery::identity::User;
use machinery::request::{Answer, Request};
use machinery::status::Status;
use serde_json::Value;
use store::Store;

pub use allocate::PortRange;
pub use cache::Limits;
pub use verbs::watch::Events;
pub use world::World;

use admission::Asked;
use cache::Cache;
use events::EventLease;

/// What may differ between clusters.
#[derive(Clone, Debug)]
pub struct Config {
    /// Addresses of Services, IPv4.
    pub service_cidr: String,
    pub node_ports: PortRange,
    /// The past that is kept for watches and consistent pages.
    pub history: Limits,
    /// Others write to the store too (a real etcd, several masters): consistent reads ask it.
    pub shared_store: bool,
    pub event_ttl_seconds: u64,
    /// Over this many Events the oldest go first.
    pub events_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            service_cidr: "10.96.0.0/16".into(),
            node_ports: PortRange { first: 30000, last: 32767 },
            history: Limits { bytes: 64 << 20, age_seconds: 3600 },
            shared_store: false,
            event_ttl_seconds: 3600,
            events_max: 20_000,
        }
    }
}

/// Answers a resource or subresource that is not stored: TokenRequest, reviews, component statuses.
pub trait Virtual: Send + Sync + 'static {
    fn call<'a>(&'a self, user: &'a User, request: &'a Request) -> BoxFuture<'a, Result<Answer, Status>>;
}

/// Checks a write after admission, before the commit: RBAC's escalation rules.
pub trait Guard: Send + Sync + 'static {
    /// # Errors
    /// 403 in upstream's words.
    fn check(&self, asked: &Asked<'_>) -> Result<(), Status>;
}

type Place = (String, String, String);

pub struct Registry {
    store: Arc<dyn Store>,
    cache: Arc<Cache>,
    world: World,
    config: Config,
    virtuals: RwLock<BTreeMap<Place, Arc<dyn Virtual>>>,
    guard: OnceLock<Arc<dyn Guard>>,
    event_lease: EventLease,
}

impl Registry {
    /// Opens the registry with the default configuration.
    ///
    /// # Errors
    /// The store cannot be read, or the first objects cannot be made.
    pub async fn open(store: Arc<dyn Store>, world: World) -> Result<Arc<Self>, Status> {
        Self::open_with(store, world, Config::default()).await
    }

    /// Reads the store, follows it from then on, and makes the objects that every cluster has.
    ///
    /// # Errors
    /// As [`Registry::open`].
    pub async fn open_with(store: Arc<dyn Store>, world: World, config: Config) -> Result<Arc<Self>, Status> {
        let (cache, batches) = cache::open(&store, config.history, &world).await.map_err(errors::store)?;
        (world.spawn)(Box::pin(cache::feed(cache.clone(), store.clone(), batches, config.history)));
        let registry = Arc::new(Self {
            store,
            cache,
            world,
            config,
            virtuals: RwLock::default(),
            guard: OnceLock::new(),
            event_lease: EventLease::default(),
        });
        registry.bootstrap().await?;
        events::bound(&registry);
        Ok(registry)
    }

    /// Has this resource (or subresource) answered by a function.
    pub fn serve(&self, group: &str, resource: &str, subresource: &str, by: Arc<dyn Virtual>) {
        let place = (group.to_owned(), resource.to_owned(), subresource.to_owned());
        self.virtuals.write().unwrap_or_else(PoisonError::into_inner).insert(place, by);
    }

    /// Puts the check in that follows admission; the first one stays.
    pub fn guarded_by(&self, guard: Arc<dyn Guard>) {
        // A second guard would weaken the first: it is ignored.
        let _ = self.guard.set(guard);
    }

    pub(crate) fn guard(&self) -> Option<&Arc<dyn Guard>> {
        self.guard.get()
    }

    fn virtual_at(&self, request: &Request) -> Option<Arc<dyn Virtual>> {
        let place = (request.group.clone(), request.resource.clone(), request.subresource.clone());
        self.virtuals.read().unwrap_or_else(PoisonError::into_inner).get(&place).cloned()
    }

    /// The cached object, as authorizers need it: no waiting, maybe a moment old.
    pub fn peek(&self, group: &str, plural: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        let held = self.cache.get(&keys::collection_of(group, plural), &keys::key(namespace, name))?;
        Some(held.object.tree())
    }

    /// All cached objects of a collection, as authorizers need them, and their revision.
    pub fn peek_all(&self, group: &str, plural: &str) -> (Vec<Arc<machinery::object::Object>>, u64) {
        let (objects, revision) = self.cache.snapshot(&keys::collection_of(group, plural));
        (objects.values().map(|held| held.object.clone()).collect(), revision)
    }

    /// The newest revision that reads see.
    pub fn revision(&self) -> u64 {
        self.cache.revision()
    }

    pub fn world(&self) -> &World {
        &self.world
    }
}

#[cfg(test)]
mod tests;
