//! What a plugin sees, and what it can answer.

use std::sync::Arc;

use api::Kind;
use machinery::identity::User;
use machinery::status::Status;
use serde_json::Value;

use crate::cache::Cache;
use crate::keys;
use crate::world::World;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Create,
    Update,
    Delete,
    Connect,
}

impl Operation {
    /// As upstream's messages show it.
    pub fn name(self) -> &'static str {
        match self {
            Operation::Create => "CREATE",
            Operation::Update => "UPDATE",
            Operation::Delete => "DELETE",
            Operation::Connect => "CONNECT",
        }
    }
}

/// A request on its way to the store.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    pub user: &'a User,
    pub operation: Operation,
    pub kind: &'static Kind,
    pub subresource: &'a str,
    pub namespace: &'a str,
    pub name: &'a str,
    /// As it would be stored; null for a delete.
    pub object: &'a Value,
    /// As it is stored; null for a create.
    pub old: &'a Value,
    pub dry_run: bool,
}

impl Asked<'_> {
    pub fn is(&self, group: &str, resource: &str) -> bool {
        self.kind.group == group && self.kind.plural == resource
    }

    /// 403 in upstream's words: `pods "x" is forbidden: why`.
    pub fn forbidden(&self, why: &str) -> Refusal {
        let own = self.object["metadata"]["name"].as_str().or(self.object["metadata"]["generateName"].as_str());
        let name = if self.name.is_empty() { own.unwrap_or("Unknown") } else { self.name };
        Refusal::Denied(Status::forbidden(self.kind.group, self.kind.plural, name, why))
    }
}

/// Puts a value at a dotted path.
#[derive(Clone, Debug, PartialEq)]
pub struct Edit {
    pub at: &'static str,
    pub value: Value,
}

impl Edit {
    pub fn new(at: &'static str, value: impl Into<Value>) -> Self {
        Self { at, value: value.into() }
    }
}

pub type Patch = Vec<Edit>;

#[derive(Debug)]
pub enum Refusal {
    Denied(Status),
    /// Refused unless an object comes soon: a controller may be about to make it.
    Awaits(Box<Awaited>),
}

/// The object that a refusal waits for.
#[derive(Debug)]
pub struct Awaited {
    pub collection: &'static str,
    pub key: String,
    pub status: Status,
}

impl Refusal {
    pub fn into_status(self) -> Status {
        match self {
            Refusal::Denied(status) => status,
            Refusal::Awaits(awaited) => awaited.status,
        }
    }
}

/// The cached state, and fresh name suffixes.
pub struct View<'a> {
    pub(super) cache: &'a Cache,
    pub(super) world: &'a World,
}

impl View<'_> {
    /// An object of a collection (`core/nodes`); cluster-scoped ones have no namespace.
    pub fn get(&self, collection: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        Some(self.cache.get(collection, &keys::key(namespace, name))?.object.tree())
    }

    pub fn all(&self, collection: &str) -> Vec<Arc<Value>> {
        self.cache.snapshot(collection).0.values().map(|held| held.object.tree()).collect()
    }

    pub fn all_in(&self, collection: &str, namespace: &str) -> Vec<Arc<Value>> {
        let objects = self.cache.snapshot(collection).0;
        let span = keys::Span::new(namespace, None);
        objects.range::<_, str>(span.bounds()).map(|(_, held)| held.object.tree()).collect()
    }

    /// Five random characters, as in generated names.
    pub fn name_suffix(&self) -> String {
        self.world.name_suffix()
    }
}
