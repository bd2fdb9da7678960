//! The ConfigMaps and Secrets that pods of this node refer to: each watched by name, only while somebody needs it.
//!
//! A watch per object, not per namespace: the node may read only what its pods refer to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use client::cache::{Cache, Source};
use client::{Client, World};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use tokio_util::sync::CancellationToken;

use crate::plan::config::facts::Refs;
use crate::plan::volumes::Names;

/// Called with the uids of the pods that refer to an object that changed.
pub type Notify = Arc<dyn Fn(&str) + Send + Sync>;

struct Watched<T: ?Sized> {
    cache: Cache<T>,
    /// Uids.
    users: Arc<Mutex<BTreeSet<String>>>,
    stop: CancellationToken,
}

type Table<T> = Mutex<BTreeMap<(String, String), Watched<T>>>;

/// All references of this node.
pub struct References {
    client: Client,
    world: World,
    notify: Notify,
    config_maps: Table<ConfigMap>,
    secrets: Table<Secret>,
}

impl References {
    pub fn new(client: Client, world: World, notify: Notify) -> Self {
        Self { client, world, notify, config_maps: Table::default(), secrets: Table::default() }
    }

    /// The pod refers to exactly these from now on.
    pub fn hold(&self, uid: &str, namespace: &str, names: &Names) {
        hold(self, &self.config_maps, uid, namespace, &names.config_maps);
        hold(self, &self.secrets, uid, namespace, &names.secrets);
    }

    /// The pod refers to nothing any more.
    pub fn release(&self, uid: &str) {
        release(&self.config_maps, uid, &|_| false);
        release(&self.secrets, uid, &|_| false);
    }

    /// The objects as they are now; waits for those that were not read yet.
    pub async fn read(&self, namespace: &str, names: &Names) -> Refs {
        Refs {
            config_maps: read(&self.config_maps, namespace, &names.config_maps).await,
            secrets: read(&self.secrets, namespace, &names.secrets).await,
            services: Vec::new(),
        }
    }
}

fn hold<T: client::Typed>(all: &References, table: &Table<T>, uid: &str, namespace: &str, names: &BTreeSet<String>) {
    release(table, uid, &|key| key.0 == namespace && names.contains(&key.1));
    let mut table = table.lock().unwrap_or_else(PoisonError::into_inner);
    for name in names {
        let key = (namespace.to_owned(), name.clone());
        let watched = table.entry(key).or_insert_with(|| watch(all, namespace, name));
        watched.users.lock().unwrap_or_else(PoisonError::into_inner).insert(uid.to_owned());
    }
}

fn watch<T: client::Typed>(all: &References, namespace: &str, name: &str) -> Watched<T> {
    let source = Source::<T>::typed().namespace(namespace).fields(&format!("metadata.name={name}"));
    let cache = Cache::new(all.client.clone(), source, all.world);
    let (users, stop) = (Arc::new(Mutex::new(BTreeSet::new())), CancellationToken::new());
    let (told, notify) = (users.clone(), all.notify.clone());
    cache.listen(Box::new(move |_| {
        let users: Vec<String> = told.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect();
        users.iter().for_each(|uid| notify(uid));
    }));
    let (running, until) = (cache.clone(), stop.clone());
    tokio::spawn(async move { running.run(until).await });
    Watched { cache, users, stop }
}

/// Takes the pod off all objects but those to keep; what nobody needs is not watched any more.
fn release<T: ?Sized>(table: &Table<T>, uid: &str, keep: &dyn Fn(&(String, String)) -> bool) {
    let mut table = table.lock().unwrap_or_else(PoisonError::into_inner);
    table.retain(|key, watched| {
        let mut users = watched.users.lock().unwrap_or_else(PoisonError::into_inner);
        if !keep(key) {
            users.remove(uid);
        }
        if users.is_empty() {
            watched.stop.cancel();
        }
        !users.is_empty()
    });
}

async fn read<T: client::Typed>(
    table: &Table<T>,
    namespace: &str,
    names: &BTreeSet<String>,
) -> BTreeMap<String, Arc<T>> {
    let mut out = BTreeMap::new();
    for name in names {
        let key = (namespace.to_owned(), name.clone());
        let cache = {
            let table = table.lock().unwrap_or_else(PoisonError::into_inner);
            table.get(&key).map(|w| w.cache.clone())
        };
        let Some(cache) = cache else { continue };
        cache.synced().await;
        if let Some(found) = cache.get(namespace, name) {
            out.insert(name.clone(), found);
        }
    }
    out
}
