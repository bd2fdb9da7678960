//! A small cluster without time and tasks: objects in a map, controllers run turn by turn, plans carried out whole
//! or only in part. It holds both laws over every scenario that runs in it.

#![allow(dead_code, clippy::unwrap_used)]

use std::any::TypeId;
use std::collections::BTreeMap;
use std::sync::Arc;

use control::heard::{Answer, Heard};
use control::plan::{Act, Ask, Plan, Tail, Target, Write};
use control::resource::Resource;
use control::view::{Source, Sources};
use control::watch::{Shared, Watch};
use control::{Controller, Typed, View};
use jiff::{SignedDuration, Timestamp};
use machinery::key::Key;
use machinery::object::Object;
use machinery::patch::merge;
use machinery::status::Status;
use machinery::{meta, time};
use serde_json::{Value, json};

/// More rounds than any scenario needs.
const ROUNDS_MAX: usize = 200;
/// Ways in which plans are stopped.
const SEEDS: u64 = 8;

type Address = (Resource, Key);

#[derive(Clone)]
pub struct World {
    pub objects: BTreeMap<Address, Value>,
    pub now: Timestamp,
    pub events: Vec<String>,
    /// Refuses writes: what a quota or an admission plugin would do.
    pub refuse: fn(&Write) -> Option<Status>,
    revision: u64,
    uids: u64,
    /// A pod is being deleted without grace.
    at_once: bool,
}

impl Default for World {
    fn default() -> Self {
        Self {
            objects: BTreeMap::new(),
            now: "2026-01-01T00:00:00Z".parse().unwrap(),
            events: Vec::new(),
            refuse: |_| None,
            revision: 0,
            uids: 0,
            at_once: false,
        }
    }
}

/// Where a plan is stopped.
#[derive(Clone, Copy)]
pub enum Stop {
    Never,
    /// After a number of writes that this seed gives for each plan.
    Seed(u64),
}

impl World {
    pub fn create<T: Typed>(&mut self, mut tree: Value) -> Arc<T> {
        let resource = Resource::of::<T>();
        tree["apiVersion"] = resource.api_version().into();
        tree["kind"] = resource.kind.into();
        let key = self.insert(resource, tree).unwrap();
        self.get::<T>(&key.namespace, &key.name).unwrap()
    }

    pub fn get<T: Typed>(&self, namespace: &str, name: &str) -> Option<Arc<T>> {
        let tree = self.objects.get(&(Resource::of::<T>(), Key::new(namespace, name)))?;
        Some(Arc::new(serde_json::from_value(tree.clone()).unwrap()))
    }

    pub fn all<T: Typed>(&self) -> Vec<Arc<T>> {
        let of_kind = self.objects.iter().filter(|((resource, _), _)| *resource == Resource::of::<T>());
        of_kind.map(|(_, tree)| Arc::new(serde_json::from_value(tree.clone()).unwrap())).collect()
    }

    /// What a user does: a merge patch of the whole object, with a new generation when the spec changes.
    pub fn patch<T: Typed>(&mut self, namespace: &str, name: &str, patch: Value) {
        let address = (Resource::of::<T>(), Key::new(namespace, name));
        let old = self.objects[&address].clone();
        self.replace(address, merge(&old, &patch), &old);
    }

    pub fn remove<T: Typed>(&mut self, namespace: &str, name: &str) {
        self.revision += 1;
        self.objects.remove(&(Resource::of::<T>(), Key::new(namespace, name)));
    }

    pub fn pass(&mut self, seconds: i64) {
        self.now = self.now.saturating_add(SignedDuration::from_secs(seconds)).unwrap();
    }

    fn insert(&mut self, resource: Resource, mut tree: Value) -> Result<Key, Status> {
        self.uids += 1;
        if meta::name(&tree).is_empty() {
            let name = format!("{}{:05}", meta::generate_name(&tree), self.uids);
            tree["metadata"]["name"] = name.into();
        }
        let key = Key::new(meta::namespace(&tree), meta::name(&tree));
        if self.objects.contains_key(&(resource, key.clone())) {
            let message = format!("{} {:?} already exists", resource.plural, key.name);
            return Err(Status::failure(409, "AlreadyExists", message));
        }
        tree["metadata"]["uid"] = format!("uid-{}", self.uids).into();
        tree["metadata"]["creationTimestamp"] = time::format(self.now).into();
        tree["metadata"]["generation"] = 1.into();
        self.store((resource, key.clone()), tree);
        Ok(key)
    }

    fn replace(&mut self, address: Address, mut tree: Value, old: &Value) {
        if tree["spec"] != old["spec"] {
            tree["metadata"]["generation"] = (meta::generation(old) + 1).into();
        }
        if tree != *old {
            self.store(address, tree);
        }
    }

    /// What is on its way out and held by nothing any more is gone.
    fn store(&mut self, address: Address, mut tree: Value) {
        self.revision += 1;
        tree["metadata"]["resourceVersion"] = self.revision.to_string().into();
        let of_namespace = tree["spec"]["finalizers"].as_array().is_some_and(|finalizers| !finalizers.is_empty());
        let bound = address.0.kind == "Pod" && tree["spec"]["nodeName"].is_string() && !self.at_once;
        let held = meta::finalizers(&tree).next().is_some() || bound || of_namespace;
        if meta::is_deleting(&tree) && !held {
            self.objects.remove(&address);
        } else {
            self.objects.insert(address, tree);
        }
    }

    fn found(&self, at: &Target) -> Result<(Address, Value), Status> {
        let address = (at.resource, Key::new(&at.namespace, &at.name));
        let tree = self.objects.get(&address).cloned();
        let tree = tree.ok_or_else(|| Status::not_found(at.resource.group, at.resource.plural, &at.name))?;
        let stale = at.revision.as_deref().is_some_and(|revision| revision != meta::resource_version(&tree));
        if stale || (!at.uid.is_empty() && at.uid != meta::uid(&tree)) {
            return Err(Status::conflict(at.resource.group, at.resource.plural, &at.name, "it changed"));
        }
        Ok((address, tree))
    }

    /// Carries a write out.
    pub fn apply(&mut self, write: &Write) -> Result<String, Status> {
        if let Some(refusal) = (self.refuse)(write) {
            return Err(refusal);
        }
        match &write.act {
            Act::Create { resource, tree } => self.insert(*resource, tree.clone()).map(|key| key.name.to_string()),
            Act::Post { at, .. } => self.found(at).map(|_| at.name.clone()),
            Act::Patch { at, tree } => {
                let (address, old) = self.found(at)?;
                let new = merge(&old, tree);
                let allowed =
                    if at.subresource == "status" { only_status(&old, new) } else { without_status(&old, new) };
                self.replace(address, allowed, &old);
                Ok(at.name.clone())
            }
            Act::Put { at, tree } => {
                let (address, old) = self.found(at)?;
                let mut new = old.clone();
                new["spec"] = tree["spec"].clone();
                self.replace(address, new, &old);
                Ok(at.name.clone())
            }
            Act::Delete { at, propagation, grace_seconds } => {
                let (address, mut tree) = self.found(at)?;
                if !meta::is_deleting(&tree) {
                    tree["metadata"]["deletionTimestamp"] = time::format(self.now).into();
                }
                match propagation {
                    Some(machinery::request::Propagation::Foreground) => {
                        meta::add_finalizer(&mut tree, "foregroundDeletion");
                    }
                    Some(machinery::request::Propagation::Orphan) => {
                        meta::add_finalizer(&mut tree, "orphan");
                    }
                    _ => {}
                }
                self.at_once = *grace_seconds == Some(0);
                self.store(address, tree);
                self.at_once = false;
                Ok(at.name.clone())
            }
        }
    }

    fn answer(&self, ask: &Ask) -> Answer {
        match ask {
            Ask::Get { resource, namespace, name } => {
                let tree = self.objects.get(&(*resource, Key::new(namespace, name)));
                Answer::Object(tree.map(Object::from_tree))
            }
            Ask::List { resource, namespace, .. } => {
                let wanted = |address: &Address| {
                    address.0 == *resource && (namespace.is_empty() || *address.1.namespace == **namespace)
                };
                let items = self.objects.iter().filter(|(address, _)| wanted(address));
                Answer::List(items.map(|(_, tree)| Object::from_tree(tree)).collect())
            }
            Ask::Token { account, .. } => Answer::Secret(format!("token-of-{account}")),
        }
    }

    fn plan(&self, controller: &dyn Controller, key: &Key, heard: &Heard) -> Plan {
        let view = Sight::new(self, &controller.watches());
        controller.reconcile(key, &View::new(&view), heard, self.now)
    }

    /// The plan of a key after all its questions were answered.
    pub fn decide(&self, controller: &dyn Controller, key: &Key, refused: Option<(Write, Status)>) -> Plan {
        self.decide_with(controller, key, Heard { refused, ..Heard::default() })
    }

    /// The same with more that was heard.
    pub fn decide_with(&self, controller: &dyn Controller, key: &Key, mut heard: Heard) -> Plan {
        for _ in 0..10 {
            let plan = self.plan(controller, key, &heard);
            if plan.asks.is_empty() {
                return plan;
            }
            heard.answers.extend(plan.asks.iter().map(|ask| (ask.clone(), self.answer(ask))));
        }
        panic!("{} asks without an end about {key}", controller.name());
    }

    pub fn keys(&self, controller: &dyn Controller) -> Vec<Key> {
        let watches = controller.watches();
        let sight = Sight::new(self, &watches);
        let view = View::new(&sight);
        let mut keys = controller.first_keys();
        for (watch, table) in watches.iter().zip(&sight.tables) {
            keys.extend(table.1.objects.values().flat_map(|form| (watch.keys)(&**form, &view)));
        }
        keys.sort();
        keys.dedup();
        keys
    }

    /// One turn of a key; whether there was anything to do.
    pub fn turn(&mut self, controller: &dyn Controller, key: &Key, stop: &mut Stop) -> bool {
        let plan = self.decide(controller, key, None);
        let busy = !plan.is_idle();
        let writes = plan.writes().count();
        let allowed = match stop {
            Stop::Never => usize::MAX,
            Stop::Seed(seed) => {
                *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                usize::try_from(*seed >> 33).unwrap() % (writes + 1)
            }
        };
        for write in plan.writes().take(allowed) {
            match self.apply(write) {
                Ok(name) => self.tell(write.done.as_ref(), &name, ""),
                Err(status) if status.is_conflict() || status.is_not_found() => return true,
                Err(status) => {
                    self.tell(write.refused.as_ref(), "", &status.message);
                    let report = self.decide(controller, key, Some((write.clone(), status)));
                    report.events.iter().for_each(|event| self.tell(Some(event), "", ""));
                    for write in report.writes() {
                        self.apply(write).unwrap();
                    }
                    return true;
                }
            }
        }
        if allowed >= writes {
            plan.events.iter().for_each(|event| self.tell(Some(event), "", ""));
        }
        busy
    }

    fn tell(&mut self, event: Option<&control::Event>, name: &str, error: &str) {
        let Some(event) = event else { return };
        let tail = match event.tail {
            Tail::None => "",
            Tail::Name => name,
            Tail::Error => error,
        };
        let sort = if event.warning { "Warning" } else { "Normal" };
        self.events.push(format!("{sort} {} {}{tail}", event.reason, event.message));
    }

    /// Runs controllers and the rest of the world until nobody has anything to do.
    pub fn settle(&mut self, controllers: &[&dyn Controller], around: fn(&mut World), mut stop: Stop) {
        for _ in 0..ROUNDS_MAX {
            let before = self.revision;
            let mut busy = false;
            for controller in controllers {
                for key in self.keys(*controller) {
                    busy |= self.turn(*controller, &key, &mut stop);
                }
            }
            around(self);
            if !busy && self.revision == before {
                return;
            }
        }
        panic!("the world does not come to rest: {:#?}", self.events.iter().rev().take(20).collect::<Vec<_>>());
    }

    /// What matters of the world: everything but uids, versions, times and made-up names.
    pub fn gist(&self) -> Vec<String> {
        let mut lines: Vec<String> = self
            .objects
            .values()
            .map(|tree| {
                let mut tree = tree.clone();
                let generated = meta::generate_name(&tree).to_owned();
                let meta = tree["metadata"].as_object_mut().unwrap();
                for field in ["uid", "resourceVersion", "creationTimestamp", "deletionTimestamp", "generation"] {
                    meta.remove(field);
                }
                if !generated.is_empty() {
                    meta.insert("name".into(), generated.into());
                }
                forget_times(&mut tree);
                tree.to_string()
            })
            .collect();
        lines.sort();
        lines
    }

    /// The laws: stopped anywhere the same end is reached, and at the end nothing is planned.
    pub fn holds(&self, controllers: &[&dyn Controller], around: fn(&mut World)) -> World {
        let mut whole = self.clone();
        whole.settle(controllers, around, Stop::Never);
        for controller in controllers {
            for key in whole.keys(*controller) {
                let plan = whole.decide(*controller, &key, None);
                assert!(plan.is_idle(), "{} has a plan for {key} at rest: {plan:#?}", controller.name());
            }
        }
        for seed in 1..SEEDS {
            let mut stopped = self.clone();
            stopped.settle(controllers, around, Stop::Seed(seed));
            let (stopped, whole) = (stopped.gist(), whole.gist());
            let differs = stopped.iter().zip(&whole).find(|(a, b)| a != b);
            assert!(differs.is_none(), "seed {seed}: {differs:#?}");
            assert_eq!(stopped.len(), whole.len(), "seed {seed}");
        }
        whole
    }
}

fn forget_times(tree: &mut Value) {
    match tree {
        Value::Object(fields) => {
            let is_time = |key: &String| key.ends_with("Time") || key.ends_with("Timestamp") || key.ends_with("uid");
            fields.retain(|key, _| !is_time(key) && key != "observedGeneration");
            fields.values_mut().for_each(forget_times);
        }
        Value::Array(items) => {
            // How far a roll-out was seen to move depends on who looked when.
            items.retain(|item| item["type"] != "Progressing");
            items.iter_mut().for_each(forget_times);
            // Conditions are a set.
            items.sort_by_key(|item| item["type"].to_string());
        }
        _ => {}
    }
}

fn only_status(old: &Value, new: Value) -> Value {
    let mut tree = old.clone();
    tree["status"] = new["status"].clone();
    // A status is written with its annotations, as the API server does for Deployments.
    if !new["metadata"]["annotations"].is_null() {
        tree["metadata"]["annotations"] = new["metadata"]["annotations"].clone();
    }
    tree
}

fn without_status(old: &Value, mut new: Value) -> Value {
    if let Some(map) = new.as_object_mut() {
        map.remove("status");
        if !old["status"].is_null() {
            map.insert("status".into(), old["status"].clone());
        }
    }
    new
}

/// What a controller sees of the world.
struct Sight {
    tables: Vec<((Resource, TypeId), Arc<Table>)>,
}

struct Table {
    objects: BTreeMap<Key, Shared>,
    watch: Watch,
}

impl Sight {
    fn new(world: &World, watches: &[Watch]) -> Self {
        let table = |watch: &Watch| {
            let of_kind = world.objects.iter().filter(|((resource, _), _)| *resource == watch.resource);
            let objects =
                of_kind.map(|((_, key), tree)| (key.clone(), (watch.decode)(&Object::from_tree(tree)).unwrap()));
            ((watch.resource, watch.form), Arc::new(Table { objects: objects.collect(), watch: watch.clone() }))
        };
        Self { tables: watches.iter().map(table).collect() }
    }
}

impl Sources for Sight {
    fn source(&self, resource: Resource, form: TypeId) -> Option<Arc<dyn Source>> {
        let found = self.tables.iter().find(|(id, _)| *id == (resource, form));
        found.map(|(_, table)| table.clone() as Arc<dyn Source>)
    }
}

impl Source for Table {
    fn get(&self, key: &Key) -> Option<Shared> {
        self.objects.get(key).cloned()
    }

    fn by(&self, index: &'static str, value: &str) -> Vec<Shared> {
        let (_, values) = self.watch.indexes.iter().find(|(name, _)| *name == index).expect("the index is declared");
        self.objects.values().filter(|form| values(&***form).iter().any(|held| held == value)).cloned().collect()
    }

    fn in_namespace(&self, namespace: &str) -> Vec<Shared> {
        self.objects.iter().filter(|(key, _)| *key.namespace == *namespace).map(|(_, form)| form.clone()).collect()
    }

    fn all(&self) -> Vec<Shared> {
        self.objects.values().cloned().collect()
    }
}

/// A world without nodes: nothing happens around.
pub fn still(_: &mut World) {}

/// Pods are bound, run and become ready at once; deleted ones are gone.
pub fn nodes(world: &mut World) {
    let pods: Vec<_> = world.all::<k8s_openapi::api::core::v1::Pod>();
    for pod in pods {
        let name = pod.metadata.name.as_deref().unwrap();
        let namespace = pod.metadata.namespace.as_deref().unwrap();
        if pod.metadata.deletion_timestamp.is_some() {
            world.remove::<k8s_openapi::api::core::v1::Pod>(namespace, name);
        } else if pod.status.is_none() {
            let ready = json!({ "type": "Ready", "status": "True", "lastTransitionTime": time::format(world.now) });
            let status = json!({ "phase": "Running", "conditions": [ready] });
            let patch = json!({ "spec": { "nodeName": "n1" }, "status": status });
            world.patch::<k8s_openapi::api::core::v1::Pod>(namespace, name, patch);
        }
    }
}
