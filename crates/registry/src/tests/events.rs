//! Events: two forms of one object, an end of their own, a bound.

use std::time::Duration;

use futures::StreamExt;
use machinery::request::{Change, Request, Verb};
use serde_json::{Value, json};

use super::{fixture, fixture_with, next};
use crate::Config;

fn events(verb: Verb) -> Request {
    Request::new(verb, "", "v1", "events").namespace("default")
}

fn event(name: &str) -> Value {
    let object = json!({"kind": "Pod", "namespace": "default", "name": "p"});
    json!({
        "kind": "Event", "apiVersion": "v1", "metadata": {"name": name}, "involvedObject": object, "reason": "Started",
        "message": "it runs", "type": "Normal", "source": {"component": "kubelet"},
        "firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": "2026-01-01T00:00:00Z", "count": 1,
    })
}

#[tokio::test]
async fn an_event_is_seen_in_both_forms() {
    let f = fixture().await;
    f.tree(events(Verb::Create).body(event("e"))).await;
    let newer = |verb: Verb| Request::new(verb, "events.k8s.io", "v1", "events").namespace("default");
    let seen = f.tree(newer(Verb::Get).name("e")).await;
    assert_eq!((&seen["apiVersion"], &seen["note"]), (&json!("events.k8s.io/v1"), &json!("it runs")));
    assert_eq!(seen["regarding"]["name"], "p");
    let list = f.list(newer(Verb::List)).await;
    assert_eq!((list.api_version.as_str(), list.items.len()), ("events.k8s.io/v1", 1));
    let mut selected = events(Verb::List);
    selected.options.field_selector = "involvedObject.name=p,reason=Started".into();
    assert_eq!(f.list(selected).await.items.len(), 1);
    let mut watch = f.watch(newer(Verb::Watch)).await;
    assert_eq!(next(&mut watch).await, "ADDED e");
}

#[tokio::test]
async fn events_end_by_themselves() {
    let f = fixture_with(Config { event_ttl_seconds: 1, ..Config::default() }).await;
    let mut watch = f.watch(events(Verb::Watch)).await;
    f.tree(events(Verb::Create).body(event("e"))).await;
    assert_eq!(next(&mut watch).await, "ADDED e");
    let gone = tokio::time::timeout(Duration::from_secs(10), watch.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(gone.change, Change::Deleted);
}

#[tokio::test]
async fn the_oldest_events_go_first() {
    let f = fixture_with(Config { events_max: 20, ..Config::default() }).await;
    let mut watch = f.watch(events(Verb::Watch)).await;
    for n in 0..30 {
        f.tree(events(Verb::Create).body(event(&format!("e{n:02}")))).await;
    }
    let first = loop {
        let event = watch.next().await.unwrap().unwrap();
        if event.change == Change::Deleted {
            break event.object.tree()["metadata"]["name"].clone();
        }
    };
    assert_eq!(first, "e00");
    assert!(f.list(events(Verb::List)).await.items.len() <= 22);
}
