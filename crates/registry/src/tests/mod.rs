//! Every verb against the embedded store in a folder of its own.

mod changes;
mod concurrency;
mod deletes;
mod events;
mod forms;
mod limits;
mod lists;
mod nodes;
mod pods;
mod power;
mod returns;
mod services;
mod start;
mod watches;
mod writes;

use std::sync::Arc;

use futures::StreamExt;
use machinery::identity::User;
use machinery::object::Object;
use machinery::request::{Answer, Content, List, PatchKind, Request, Verb, WatchEvent};
use machinery::status::Status;
use serde_json::{Value, json};
use store::embedded::{self, Embedded};

use crate::{Config, Events, Registry, World};

/// A registry over a store of its own; the folder goes with it.
pub struct Fixture {
    pub registry: Arc<Registry>,
    pub store: Arc<Embedded>,
    pub folder: tempfile::TempDir,
    pub user: User,
}

pub async fn fixture() -> Fixture {
    fixture_with(Config::default()).await
}

pub async fn fixture_with(config: Config) -> Fixture {
    fixture_in(World::real(), config).await
}

pub async fn fixture_in(world: World, config: Config) -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let store = Embedded::open(folder.path(), embedded::Config::default()).unwrap();
    let registry = Registry::open_with(store.clone(), world, config).await.unwrap();
    Fixture { registry, store, folder, user: User::new("tester", ["system:masters"]) }
}

/// `core` configmaps in the namespace `default`.
pub fn maps(verb: Verb) -> Request {
    Request::new(verb, "", "v1", "configmaps").namespace("default")
}

pub fn map(name: &str, value: &str) -> Value {
    json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": name}, "data": {"k": value}})
}

pub fn labelled(name: &str, label: &str) -> Value {
    let mut map = map(name, "1");
    map["metadata"]["labels"] = json!({"app": label});
    map
}

impl Fixture {
    pub async fn call(&self, request: Request) -> Result<Answer, Status> {
        self.registry.call(&self.user, request).await
    }

    pub async fn object(&self, request: Request) -> Arc<Object> {
        match self.call(request).await.unwrap().content {
            Content::Object(object) => object,
            other => panic!("no object: {other:?}"),
        }
    }

    pub async fn tree(&self, request: Request) -> Value {
        (*self.object(request).await.tree()).clone()
    }

    pub async fn list(&self, request: Request) -> List {
        match self.call(request).await.unwrap().content {
            Content::List(list) => list,
            other => panic!("no list: {other:?}"),
        }
    }

    pub async fn refused(&self, request: Request) -> Status {
        self.call(request).await.unwrap_err()
    }

    pub async fn make(&self, tree: Value) -> Value {
        self.tree(maps(Verb::Create).body(tree)).await
    }

    pub async fn patch(&self, name: &str, patch: Value) -> Result<Answer, Status> {
        self.call(maps(Verb::Patch(PatchKind::Merge)).name(name).body(patch)).await
    }

    pub async fn watch(&self, request: Request) -> Events {
        self.registry.watch(&self.user, request).await.unwrap()
    }
}

pub fn names(list: &List) -> Vec<String> {
    list.items.iter().map(|o| o.tree()["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

/// The next event, in short: `ADDED a`.
pub async fn next(events: &mut Events) -> String {
    let event: WatchEvent = events.next().await.unwrap().unwrap();
    let tree = event.object.tree();
    format!("{} {}", event.change.name(), tree["metadata"]["name"].as_str().unwrap_or("-"))
}
