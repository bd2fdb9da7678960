//! What writers write and a watcher sees, through breaks of every connection.

use anyhow::{Context, Result, bail};
use client::{Client, Options, Resource};
use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use machinery::request::{Change, Request, Verb};
use serde_json::{Value, json};
use suite::ledger::{Ledger, Seen};
use suite::writer::Writer;

use super::Signals;

pub const NAMESPACE: &str = "kills";
/// Written last: the watcher has seen all when it sees it.
const MARK: &str = "mark";

fn maps(verb: Verb) -> Request {
    Resource::of::<ConfigMap>().request(verb, NAMESPACE)
}

/// Writes until it is over and nothing is unknown.
pub async fn write(client: Client, who: String, seed: u64, signals: Signals) -> Ledger {
    let mut writer = Writer::new(&who, NAMESPACE, seed);
    let mut alive = signals.alive.subscribe();
    while !(writer.is_sure() && *signals.over.borrow()) {
        let answer = client.call(writer.ask()).await;
        let broken = answer.is_err();
        writer.hear(answer);
        if broken {
            // The sender lives as long as this task's own copy.
            let _ = alive.wait_for(|alive| *alive).await;
        } else {
            signals.writes.send_modify(|writes| *writes += 1);
        }
    }
    writer.ledger
}

/// All events of the writers' objects until the mark; after each break it goes on from the last revision seen.
pub async fn watch(client: Client, mut after: u64, signals: Signals) -> Result<Vec<Seen>> {
    let mut alive = signals.alive.subscribe();
    let mut seen = Vec::new();
    loop {
        alive.wait_for(|alive| *alive).await.context("the killer is gone")?;
        let mut request = maps(Verb::Watch);
        request.options.resource_version = after.to_string();
        request.options.allow_watch_bookmarks = true;
        let mut events = match client.watch(request).await {
            Ok(events) => events,
            Err(status) if status.code >= 500 => continue,
            Err(status) => bail!("the watch could not go on from {after}: {status}"),
        };
        while let Some(event) = events.next().await {
            let event = match event {
                Ok(event) => event,
                Err(status) if status.code >= 500 => break,
                Err(status) => bail!("the watch from {after} was ended: {status}"),
            };
            let (revision, object) = (event.object.revision(), event.object.tree());
            after = revision;
            if event.change == Change::Bookmark || !is_of_writers(&object) {
                continue;
            }
            if object["metadata"]["name"] == MARK {
                return Ok(seen);
            }
            seen.push(Seen { change: event.change, revision, object: (*object).clone() });
        }
    }
}

/// Every namespace has a ConfigMap of a controller.
fn is_of_writers(object: &Value) -> bool {
    object["metadata"]["name"] != "kube-root-ca.crt"
}

/// The revision before the first write.
pub async fn revision(client: &Client) -> Result<u64> {
    Ok(client.list::<ConfigMap>(NAMESPACE, Options::default()).await?.revision)
}

/// The writers' objects when all is over; tells the watcher too.
pub async fn end(client: &Client) -> Result<Vec<Value>> {
    let list = client.dynamic(Resource::of::<ConfigMap>()).list(NAMESPACE, Options::default()).await?;
    let objects = list.items.iter().map(|object| (*object.tree()).clone()).filter(is_of_writers).collect();
    let mark = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": MARK}});
    client.object(maps(Verb::Create).body(mark)).await?;
    Ok(objects)
}
