//! The caches that all controllers share: one per resource and form, with the indexes of all that declared it.

use std::any::TypeId;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use client::cache::{Cache, Change, Decoded, Snapshot, Source as CacheSource};
use client::events::Recorder;
use client::{Client, World};
use control::resource::Resource;
use control::view::{Source, Sources};
use control::watch::{Shared, Watch};
use control::{Controller, Event, View};
use machinery::key::Key;
use machinery::object::Object;
use machinery::status::Status;
use tokio_util::sync::CancellationToken;

use crate::barrier::Barrier;
use crate::carry::occurrence;
use crate::inbox::Inbox;

/// An object as the caches hold it: its form, and whether it is on its way out.
pub struct Held {
    pub form: Shared,
    pub deleting: bool,
}

/// One shared cache and those who wait for it.
pub struct Shelf {
    pub cache: Cache<Held>,
    pub barrier: Barrier,
}

/// A shared cache: resource, form, and the field selector of what is in it.
type Id = (Resource, TypeId, &'static str);

/// All shared caches.
pub struct Hub {
    shelves: BTreeMap<Id, Arc<Shelf>>,
}

/// The only fields that are read of an object besides its form.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Identity {
    metadata: IdentityMeta,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct IdentityMeta {
    namespace: String,
    name: String,
    uid: String,
    deletion_timestamp: Option<String>,
}

impl Hub {
    /// Caches for all that the controllers declare; they are empty until [`Hub::run`].
    pub fn new(controllers: &[Arc<dyn Controller>], client: &Client, world: World) -> Self {
        let mut sources: BTreeMap<Id, CacheSource<Held>> = BTreeMap::new();
        for watch in controllers.iter().flat_map(|controller| controller.watches()) {
            let source = sources.entry(id(&watch)).or_insert_with(|| source(&watch));
            for (name, values) in watch.indexes {
                if source.indexes.iter().all(|index| index.name != name) {
                    source
                        .indexes
                        .push(client::cache::Index { name, values: Arc::new(move |held: &Held| values(&*held.form)) });
                }
            }
        }
        let shelves = sources.into_iter().map(|(id, source)| {
            let cache = Cache::new(client.clone(), source, world);
            (id, Arc::new(Shelf { cache, barrier: Barrier::default() }))
        });
        Self { shelves: shelves.collect() }
    }

    /// Runs all caches until `stop`.
    pub async fn run(&self, stop: &CancellationToken) {
        let caches: Vec<_> = self.shelves.values().map(|shelf| shelf.cache.clone()).collect();
        futures::future::join_all(caches.iter().map(|cache| cache.run(stop.clone()))).await;
    }

    /// Waits until all that a controller watches has been listed.
    pub async fn synced(&self, watches: &[Watch]) {
        for watch in watches {
            if let Some(shelf) = self.shelf(watch) {
                shelf.cache.synced().await;
            }
        }
    }

    pub fn shelf(&self, watch: &Watch) -> Option<&Arc<Shelf>> {
        self.shelves.get(&id(watch))
    }

    /// The whole caches of a resource, whatever the form. One of a selection may never show a write.
    pub fn of_resource(&self, resource: Resource) -> impl Iterator<Item = &Arc<Shelf>> {
        let whole = move |(held, _, fields): &Id| *held == resource && fields.is_empty();
        self.shelves.iter().filter(move |(id, _)| whole(id)).map(|(_, shelf)| shelf)
    }

    /// Sends the keys of changes to a controller's inbox, and the events that changes are to its recorder.
    pub fn connect(self: &Arc<Self>, watches: &Arc<[Watch]>, inbox: &Arc<Inbox>, recorder: &Recorder, world: World) {
        for (at, watch) in watches.iter().enumerate() {
            let Some(shelf) = self.shelf(watch) else { continue };
            let (hub, watches, inbox) = (Arc::downgrade(self), watches.clone(), inbox.clone());
            let recorder = recorder.clone();
            shelf.cache.listen(Box::new(move |changes| {
                let Some(hub) = hub.upgrade() else { return };
                for change in changes {
                    if let Some(event) = told(&watches[at], change) {
                        recorder.record(occurrence(&event, "", ""));
                    }
                    hub.concern(&watches, at, change, &inbox, world);
                }
            }));
        }
    }

    /// Connects the barriers; after all controllers are connected, so that keys are marked before they are let go.
    pub fn connect_barriers(self: &Arc<Self>) {
        for shelf in self.shelves.values() {
            let weak = Arc::downgrade(shelf);
            shelf.cache.listen(Box::new(move |_| {
                if let Some(shelf) = weak.upgrade() {
                    shelf.barrier.progress(&shelf.cache);
                }
            }));
        }
    }

    fn concern(&self, watches: &[Watch], at: usize, change: &Change<Held>, inbox: &Inbox, world: World) {
        let watch = &watches[at];
        let (old, new) = (change.old().map(|held| &held.form), change.current().map(|held| &held.form));
        if watch.filter.as_ref().is_some_and(|filter| !filter(old, new)) {
            return;
        }
        let pinned = self.pin(watches);
        let view = View::new(&pinned);
        let mut keys: Vec<Key> =
            [old, new].into_iter().flatten().flat_map(|form| (watch.keys)(&**form, &view)).collect();
        keys.sort();
        keys.dedup();
        let changed = watch.timed.then(|| (watch.resource, (world.now)()));
        keys.into_iter().for_each(|key| inbox.mark(key, changed));
    }

    /// The keys that everything that is there concerns, for a controller's start.
    pub fn keys_of_all(&self, watches: &[Watch]) -> Vec<Key> {
        let pinned = self.pin(watches);
        let view = View::new(&pinned);
        let mut keys = Vec::new();
        for watch in watches {
            let Some(shelf) = self.shelf(watch) else { continue };
            for (_, held) in shelf.cache.snapshot().iter() {
                keys.extend((watch.keys)(&*held.form, &view));
            }
        }
        keys.sort();
        keys.dedup();
        keys
    }

    /// A reader of what is watched that sees one state of each cache for its life.
    pub fn pin<'a>(&'a self, watches: &'a [Watch]) -> Pinned<'a> {
        Pinned { hub: self, watches, seen: RefCell::default() }
    }
}

fn told(watch: &Watch, change: &Change<Held>) -> Option<Event> {
    let form = |held: &Arc<Held>| held.form.clone();
    let (old, new) = (change.old().map(form), change.current().map(form));
    watch.tells.as_ref().and_then(|tells| tells(old.as_ref(), new.as_ref()))
}

fn id(watch: &Watch) -> Id {
    (watch.resource, watch.form, watch.fields)
}

fn source(watch: &Watch) -> CacheSource<Held> {
    let decode = watch.decode;
    let resource = &watch.resource;
    let resource = client::Resource::new(resource.group, resource.version, resource.plural, resource.kind);
    CacheSource::new(resource, Arc::new(move |object| held(object, decode))).fields(watch.fields)
}

fn held(object: &Arc<Object>, decode: fn(&Object) -> Result<Shared, Status>) -> Result<Decoded<Held>, Status> {
    let Identity { metadata } = serde_json::from_slice(object.stored()).map_err(Status::internal)?;
    Ok(Decoded {
        key: Key::new(&metadata.namespace, &metadata.name),
        uid: Arc::from(metadata.uid),
        revision: object.revision(),
        value: Arc::new(Held { form: decode(object)?, deleting: metadata.deletion_timestamp.is_some() }),
    })
}

/// See [`Hub::pin`].
pub struct Pinned<'a> {
    hub: &'a Hub,
    watches: &'a [Watch],
    seen: RefCell<BTreeMap<(Resource, TypeId), Arc<dyn Source>>>,
}

impl Sources for Pinned<'_> {
    fn source(&self, resource: Resource, form: TypeId) -> Option<Arc<dyn Source>> {
        let id = (resource, form);
        if let Some(seen) = self.seen.borrow().get(&id) {
            return Some(seen.clone());
        }
        let watch = self.watches.iter().find(|watch| (watch.resource, watch.form) == id)?;
        let snapshot = self.hub.shelf(watch)?.cache.snapshot();
        let source: Arc<dyn Source> = Arc::new(Still(snapshot));
        self.seen.borrow_mut().insert(id, source.clone());
        Some(source)
    }
}

/// A snapshot as a view's source.
struct Still(Arc<Snapshot<Held>>);

impl Source for Still {
    fn get(&self, key: &Key) -> Option<Shared> {
        self.0.get(key).map(|held| held.form.clone())
    }

    fn by(&self, index: &'static str, value: &str) -> Vec<Shared> {
        self.0.by(index, value).map(|held| held.form.clone()).collect()
    }

    fn in_namespace(&self, namespace: &str) -> Vec<Shared> {
        self.0.in_namespace(namespace).map(|held| held.form.clone()).collect()
    }

    fn all(&self) -> Vec<Shared> {
        self.0.iter().map(|(_, held)| held.form.clone()).collect()
    }
}

/// A mutex whose holder panicked holds what it held before: single pushes and removals.
pub fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
