//! Events as people see them in `kubectl describe`: recorded here, written in the background.
//!
//! A recorder never makes its caller wait and never fails it: events are a courtesy. What would flood the
//! server is merged or dropped by [`correlate`].

pub mod correlate;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use machinery::request::{Options, Verb};
use machinery::status::Status;
use machinery::time;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{Client, Patch, Resource, World};
use correlate::{Correlator, Verdict};

/// Occurrences that wait to be written; more are dropped.
const WAITING_MAX: usize = 1000;

/// Something that happened to an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Occurrence {
    /// An `ObjectReference`.
    pub about: Value,
    pub warning: bool,
    pub reason: String,
    pub message: String,
}

/// Who tells: `source.component` and `source.host`.
#[derive(Clone, Debug, PartialEq)]
pub struct Teller {
    pub component: String,
    pub host: String,
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
    teller: Teller,
    world: World,
    stop: CancellationToken,
) -> (Recorder, impl Future<Output = ()> + Send + 'static) {
    let (waiting, arriving) = mpsc::channel(WAITING_MAX);
    (Recorder { waiting, now: world.now }, write_all(client, teller, arriving, stop))
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

async fn write_all(
    client: Client,
    teller: Teller,
    mut arriving: mpsc::Receiver<(Timestamp, Occurrence)>,
    stop: CancellationToken,
) {
    let mut correlator = Correlator::default();
    loop {
        let next = tokio::select! {
            biased;
            next = arriving.recv() => next,
            () = stop.cancelled() => None,
        };
        let Some((at, occurrence)) = next else { return };
        let verdict = correlator.take(&teller, occurrence, at);
        if let Err(status) = write(&client, &teller, &mut correlator, verdict, at).await {
            tracing::debug!("an event could not be written: {status}");
        }
    }
}

async fn write(
    client: &Client,
    teller: &Teller,
    correlator: &mut Correlator,
    verdict: Verdict,
    at: Timestamp,
) -> Result<(), Status> {
    match verdict {
        Verdict::Drop => Ok(()),
        Verdict::New { id, occurrence } => create(client, teller, correlator, id, &occurrence, at).await,
        Verdict::Again { id, occurrence, namespace, name, count } => {
            let tree = json!({
                "count": count, "message": occurrence.message, "lastTimestamp": time::format(at),
            });
            match client.patch::<Event>(&namespace, &name, "", Patch::Merge(tree)).await {
                // Its time to live was over: it is news again.
                Err(status) if status.is_not_found() => create(client, teller, correlator, id, &occurrence, at).await,
                other => other.map(|_| ()),
            }
        }
    }
}

async fn create(
    client: &Client,
    teller: &Teller,
    correlator: &mut Correlator,
    id: String,
    occurrence: &Occurrence,
    at: Timestamp,
) -> Result<(), Status> {
    let tree = tree(teller, occurrence, at);
    let namespace = tree["metadata"]["namespace"].as_str().unwrap_or_default().to_owned();
    let name = tree["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let request = Resource::of::<Event>().request(Verb::Create, &namespace);
    let mut request = request.body(tree);
    request.options = Options::default();
    client.call(request).await?;
    correlator.written(id, namespace, name);
    Ok(())
}

/// The event as it is created. Its name is the object's with the time in nanoseconds, in hexadecimal.
fn tree(teller: &Teller, occurrence: &Occurrence, at: Timestamp) -> Value {
    let about = &occurrence.about;
    let namespace = about["namespace"].as_str().filter(|n| !n.is_empty()).unwrap_or("default");
    let name = about["name"].as_str().unwrap_or_default();
    json!({
        "kind": "Event",
        "apiVersion": "v1",
        "metadata": { "namespace": namespace, "name": format!("{name}.{:x}", at.as_nanosecond()) },
        "involvedObject": about,
        "reason": occurrence.reason,
        "message": occurrence.message,
        "type": if occurrence.warning { "Warning" } else { "Normal" },
        "source": source(teller),
        "reportingComponent": teller.component,
        "reportingInstance": teller.host,
        "firstTimestamp": time::format(at),
        "lastTimestamp": time::format(at),
        "count": 1,
    })
}

fn source(teller: &Teller) -> Value {
    match teller.host.as_str() {
        "" => json!({ "component": teller.component }),
        host => json!({ "component": teller.component, "host": host }),
    }
}
