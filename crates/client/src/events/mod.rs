//! Events as people see them in `kubectl describe`: recorded here, written in the background.
//!
//! A recorder never makes its caller wait and never fails it: events are a courtesy. What would flood the
//! server is merged or dropped by the form that they are told in.
//!
//! ```text
//!   Recorder ──occurrences──▶ Form (counted | series) ──writes──▶ the task that creates and patches
//! ```

pub mod correlate;
mod counted;
mod recent;
mod series;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use machinery::request::{PatchKind, Verb};
use machinery::status::Status;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub use counted::Counted;
pub use series::Series;

use crate::{Client, Resource, World};

/// Occurrences that wait to be written; more are dropped.
const WAITING_MAX: usize = 1000;

/// Something that happened to an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Occurrence {
    /// An `ObjectReference`.
    pub about: Value,
    pub warning: bool,
    pub reason: String,
    /// What was tried, in one word; only the new form tells it.
    pub action: String,
    pub message: String,
}

/// Who tells: `source.component` and `source.host`, or `reportingController` and `reportingInstance`.
#[derive(Clone, Debug, PartialEq)]
pub struct Teller {
    pub component: String,
    pub host: String,
}

impl Teller {
    /// A component of which there is one on each machine, as the new form names it: `component-hostname`.
    pub fn here(component: &str) -> Self {
        let machine = rustix::system::uname();
        let host = format!("{component}-{}", machine.nodename().to_string_lossy());
        Self { component: component.to_owned(), host }
    }
}

/// What events look like, and which of them are one.
pub trait Form: Send + 'static {
    fn resource(&self) -> Resource;
    /// What an occurrence makes to be written now, if anything.
    fn take(&mut self, occurrence: Occurrence, at: Timestamp) -> Option<Write>;
    /// When something is to be written without a new occurrence.
    fn due(&self) -> Option<Timestamp>;
    /// What is to be written without a new occurrence.
    fn owed(&mut self, now: Timestamp) -> Vec<Write>;
    /// A new event was created under this name.
    fn written(&mut self, id: String, namespace: String, name: String);
}

/// A write of one event.
#[derive(Clone, Debug, PartialEq)]
pub struct Write {
    /// The form's own name for it.
    pub id: String,
    pub namespace: String,
    pub name: String,
    pub how: How,
}

#[derive(Clone, Debug, PartialEq)]
pub enum How {
    Create(Value),
    /// A merge patch, and the event to create when its time to live was over: then it is news again.
    Patch {
        patch: Value,
        anew: Value,
    },
}

impl Write {
    fn create(id: String, event: Value) -> Self {
        let (namespace, name) = named(&event);
        Self { id, namespace, name, how: How::Create(event) }
    }

    fn patch(id: String, patch: Value, anew: Value) -> Self {
        let (namespace, name) = named(&anew);
        Self { id, namespace, name, how: How::Patch { patch, anew } }
    }
}

fn named(event: &Value) -> (String, String) {
    let text = |field: &str| event["metadata"][field].as_str().unwrap_or_default().to_owned();
    (text("namespace"), text("name"))
}

/// Takes occurrences. Cheap to clone.
#[derive(Clone)]
pub struct Recorder {
    waiting: mpsc::Sender<(Timestamp, Occurrence)>,
    now: fn() -> Timestamp,
}

/// A recorder, and the task that writes what it takes until `stop` (then what waits is written still).
pub fn recorder(
    client: Client,
    form: impl Form,
    world: World,
    stop: CancellationToken,
) -> (Recorder, impl Future<Output = ()> + Send + 'static) {
    let (waiting, arriving) = mpsc::channel(WAITING_MAX);
    let writer = Writer { client, form, world, last: Timestamp::MIN };
    (Recorder { waiting, now: world.now }, writer.run(arriving, stop))
}

impl Recorder {
    /// Takes an occurrence to be written soon.
    pub fn record(&self, occurrence: Occurrence) {
        if let Err(refused) = self.waiting.try_send(((self.now)(), occurrence)) {
            let (_, occurrence) = refused.into_inner();
            tracing::warn!(reason = occurrence.reason, "an event was dropped: {}", occurrence.message);
        }
    }
}

struct Writer<F> {
    client: Client,
    form: F,
    world: World,
    /// Names are made of times: two events of one instant must not get one name.
    last: Timestamp,
}

impl<F: Form> Writer<F> {
    async fn run(mut self, mut arriving: mpsc::Receiver<(Timestamp, Occurrence)>, stop: CancellationToken) {
        loop {
            let due = self.form.due().map(|due| (self.world.now)().duration_until(due));
            let pause = due.map(|due| Duration::try_from(due).unwrap_or(Duration::ZERO));
            let writes = tokio::select! {
                biased;
                next = arriving.recv() => match next {
                    Some((at, occurrence)) => self.take(at, occurrence),
                    None => return,
                },
                () = tokio::time::sleep(pause.unwrap_or_default()), if pause.is_some() => {
                    self.form.owed((self.world.now)())
                }
                () = stop.cancelled() => return,
            };
            for write in writes {
                if let Err(status) = self.write(write).await {
                    tracing::debug!("an event could not be written: {status}");
                }
            }
        }
    }

    fn take(&mut self, at: Timestamp, occurrence: Occurrence) -> Vec<Write> {
        let next = self.last.saturating_add(SignedDuration::from_nanos(1)).unwrap_or(at);
        self.last = at.max(next);
        self.form.take(occurrence, self.last).into_iter().collect()
    }

    async fn write(&mut self, write: Write) -> Result<(), Status> {
        let Write { id, namespace, name, how } = write;
        let event = match how {
            How::Create(event) => event,
            How::Patch { patch, anew } => {
                let verb = Verb::Patch(PatchKind::Merge);
                let request = self.form.resource().request(verb, &namespace).name(&name).body(patch);
                match self.client.call(request).await {
                    Err(status) if status.is_not_found() => anew,
                    other => return other.map(drop),
                }
            }
        };
        let (namespace, name) = named(&event);
        let request = self.form.resource().request(Verb::Create, &namespace).body(event);
        self.client.call(request).await?;
        self.form.written(id, namespace, name);
        Ok(())
    }
}

/// Namespace and name of a new event: the object's, the name with the time in nanoseconds, in hexadecimal.
fn address(about: &Value, at: Timestamp) -> (String, String) {
    let namespace = about["namespace"].as_str().filter(|n| !n.is_empty()).unwrap_or("default");
    let name = about["name"].as_str().unwrap_or_default();
    (namespace.to_owned(), format!("{name}.{:x}", at.as_nanosecond()))
}
