//! A plan: what a controller wants to know, to write, to tell, and when it wants to be woken.
//!
//! Plans are data. They hold no blind whole-object writes: a patch is a JSON merge patch of the fields that
//! the controller owns, and where the decision or a list-valued field depends on the version seen, its target
//! names that version.

use jiff::Timestamp;
use machinery::request::Propagation;
use serde_json::{Value, json};

use crate::resource::{Resource, Typed};

/// What to do about a key. While there are asks nothing else is carried out: the runner answers them and calls again.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    pub asks: Vec<Ask>,
    /// Carried out in order; the first refused write ends the plan.
    pub steps: Vec<Step>,
    /// Told when all steps are done.
    pub events: Vec<Event>,
    /// Reconcile again at this time, if nothing happens before.
    pub wake: Option<Timestamp>,
}

/// A question that no cache may answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Ask {
    /// The object as the store has it now.
    Get { resource: Resource, namespace: String, name: String },
    /// A consistent list; the selector may be empty.
    List { resource: Resource, namespace: String, labels: String },
    /// A token for a service account, bound to a Secret.
    Token { namespace: String, account: String, secret: String, secret_uid: String },
}

impl Ask {
    pub fn get<T: Typed>(namespace: &str, name: &str) -> Self {
        Ask::Get { resource: Resource::of::<T>(), namespace: namespace.into(), name: name.into() }
    }

    pub fn list(resource: Resource, namespace: &str) -> Self {
        Ask::List { resource, namespace: namespace.into(), labels: String::new() }
    }
}

/// One step of a plan.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    One(Box<Write>),
    /// Writes that do not depend on each other: carried out in groups of 1, 2, 4, … so that what all would be
    /// refused is refused once.
    Burst(Vec<Write>),
}

/// One write with the events that its outcome makes.
#[derive(Clone, Debug, PartialEq)]
pub struct Write {
    pub act: Act,
    pub done: Option<Event>,
    pub refused: Option<Event>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// A new object in the namespace of its metadata.
    Create {
        resource: Resource,
        tree: Value,
    },
    /// A POST to a subresource: binding, eviction, token.
    Post {
        at: Target,
        tree: Value,
    },
    /// A JSON merge patch.
    Patch {
        at: Target,
        tree: Value,
    },
    /// A PUT, for subresources that know no patch (a namespace's `finalize`). The target must name the version.
    Put {
        at: Target,
        tree: Value,
    },
    Delete {
        at: Target,
        propagation: Option<Propagation>,
        grace_seconds: Option<i64>,
    },
}

/// The object that a write is about.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    pub resource: Resource,
    pub namespace: String,
    pub name: String,
    pub subresource: &'static str,
    /// The write is refused when the object has another uid.
    pub uid: String,
    /// The write is refused when the object has another version.
    pub revision: Option<String>,
}

impl Target {
    /// The object as seen, whatever its version is by now.
    pub fn of<T: Typed>(object: &T) -> Self {
        let meta = object.metadata();
        Self {
            resource: Resource::of::<T>(),
            namespace: meta.namespace.clone().unwrap_or_default(),
            name: meta.name.clone().unwrap_or_default(),
            subresource: "",
            uid: meta.uid.clone().unwrap_or_default(),
            revision: None,
        }
    }

    /// The object in exactly the version seen.
    pub fn exactly<T: Typed>(object: &T) -> Self {
        Self { revision: object.metadata().resource_version.clone(), ..Self::of(object) }
    }

    pub fn subresource(mut self, subresource: &'static str) -> Self {
        self.subresource = subresource;
        self
    }
}

impl Write {
    fn new(act: Act) -> Self {
        Self { act, done: None, refused: None }
    }

    /// A new object; kind and version are put in, nulls are left out.
    pub fn create<T: Typed>(tree: Value) -> Self {
        let resource = Resource::of::<T>();
        let mut named = json!({ "apiVersion": resource.api_version(), "kind": resource.kind });
        if let (Some(named), Value::Object(fields)) = (named.as_object_mut(), without_nulls(tree)) {
            named.extend(fields);
        }
        Self::new(Act::Create { resource, tree: named })
    }

    pub fn post(at: Target, tree: Value) -> Self {
        Self::new(Act::Post { at, tree })
    }

    pub fn patch(at: Target, tree: Value) -> Self {
        Self::new(Act::Patch { at, tree })
    }

    pub fn put(at: Target, tree: Value) -> Self {
        Self::new(Act::Put { at, tree })
    }

    pub fn delete(at: Target) -> Self {
        Self::new(Act::Delete { at, propagation: None, grace_seconds: None })
    }

    /// The event when it is done.
    pub fn tell(mut self, event: Event) -> Self {
        self.done = Some(event);
        self
    }

    /// The event when it is refused.
    pub fn tell_refusal(mut self, event: Event) -> Self {
        self.refused = Some(event);
        self
    }
}

fn without_nulls(tree: Value) -> Value {
    match tree {
        Value::Object(fields) => {
            let held = fields.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(held.map(|(key, value)| (key, without_nulls(value))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(without_nulls).collect()),
        other => other,
    }
}

/// What is appended to an event's message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    None,
    /// The name of the object that the write made or changed.
    Name,
    /// The refusal's message.
    Error,
}

/// An event about an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// An `ObjectReference`.
    pub about: Value,
    pub warning: bool,
    pub reason: &'static str,
    pub message: String,
    pub tail: Tail,
}

impl Event {
    pub fn normal<T: Typed>(about: &T, reason: &'static str, message: impl Into<String>) -> Self {
        Self { about: reference(about), warning: false, reason, message: message.into(), tail: Tail::None }
    }

    pub fn warning<T: Typed>(about: &T, reason: &'static str, message: impl Into<String>) -> Self {
        Self { warning: true, ..Self::normal(about, reason, message) }
    }

    pub fn with_name(mut self) -> Self {
        self.tail = Tail::Name;
        self
    }

    pub fn with_error(mut self) -> Self {
        self.tail = Tail::Error;
        self
    }
}

/// The `ObjectReference` of an object.
pub fn reference<T: Typed>(object: &T) -> Value {
    let meta = object.metadata();
    json!({
        "kind": T::KIND,
        "apiVersion": T::API_VERSION,
        "namespace": meta.namespace,
        "name": meta.name,
        "uid": meta.uid,
        "resourceVersion": meta.resource_version,
    })
}

impl Plan {
    /// Nothing to do.
    pub fn idle() -> Self {
        Self::default()
    }

    pub fn ask(asks: Vec<Ask>) -> Self {
        Self { asks, ..Self::default() }
    }

    pub fn write(&mut self, write: Write) {
        self.steps.push(Step::One(Box::new(write)));
    }

    /// Adds a burst, unless it is empty.
    pub fn burst(&mut self, writes: Vec<Write>) {
        if !writes.is_empty() {
            self.steps.push(Step::Burst(writes));
        }
    }

    /// Wakes at `at`, or before if that was wished already.
    pub fn wake_at(&mut self, at: Timestamp) {
        self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
    }

    /// Whether there is nothing to ask, write or tell.
    pub fn is_idle(&self) -> bool {
        self.asks.is_empty() && self.steps.is_empty() && self.events.is_empty()
    }

    /// All writes in order.
    pub fn writes(&self) -> impl Iterator<Item = &Write> {
        self.steps.iter().flat_map(|step| match step {
            Step::One(write) => std::slice::from_ref(&**write),
            Step::Burst(writes) => writes.as_slice(),
        })
    }
}
