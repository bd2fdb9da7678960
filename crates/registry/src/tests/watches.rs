//! Watches: what is sent, from where, and when they end.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use machinery::request::{Change, RevisionMatch, Verb};
use serde_json::json;

use super::{fixture, fixture_in, fixture_with, labelled, map, maps, next};
use crate::{Config, Limits, World};

#[tokio::test]
async fn a_watch_shows_the_state_and_then_what_changes() {
    let f = fixture().await;
    f.make(map("a", "1")).await;
    let mut events = f.watch(maps(Verb::Watch)).await;
    assert_eq!(next(&mut events).await, "ADDED a");
    f.make(map("b", "1")).await;
    f.patch("b", json!({"data": {"k": "2"}})).await.unwrap();
    f.call(maps(Verb::Delete).name("b")).await.unwrap();
    assert_eq!(next(&mut events).await, "ADDED b");
    assert_eq!(next(&mut events).await, "MODIFIED b");
    let event = events.next().await.unwrap().unwrap();
    assert_eq!((event.change, event.object.revision()), (Change::Deleted, f.registry.revision()));
}

#[tokio::test]
async fn a_watch_goes_on_from_a_revision() {
    let f = fixture().await;
    f.make(map("a", "1")).await;
    let since = f.registry.revision();
    f.make(map("b", "1")).await;
    let mut request = maps(Verb::Watch);
    request.options.resource_version = since.to_string();
    let mut events = f.watch(request).await;
    assert_eq!(next(&mut events).await, "ADDED b");
    f.make(map("c", "1")).await;
    assert_eq!(next(&mut events).await, "ADDED c");
}

#[tokio::test]
async fn a_selector_sees_objects_come_and_go() {
    let f = fixture().await;
    f.make(labelled("a", "x")).await;
    f.make(labelled("b", "y")).await;
    let mut request = maps(Verb::Watch);
    request.options.label_selector = "app=x".into();
    let mut events = f.watch(request).await;
    assert_eq!(next(&mut events).await, "ADDED a");
    f.patch("b", json!({"metadata": {"labels": {"app": "x"}}})).await.unwrap();
    assert_eq!(next(&mut events).await, "ADDED b");
    f.patch("a", json!({"metadata": {"labels": {"app": "y"}}})).await.unwrap();
    let event = events.next().await.unwrap().unwrap();
    assert_eq!((event.change, event.object.revision()), (Change::Deleted, f.registry.revision()));
    assert_eq!(event.object.tree()["metadata"]["labels"]["app"], "x");
    f.patch("a", json!({"data": {"k": "9"}})).await.unwrap();
    f.patch("b", json!({"data": {"k": "9"}})).await.unwrap();
    assert_eq!(next(&mut events).await, "MODIFIED b");
}

#[tokio::test]
async fn one_name_is_watched_alone() {
    let f = fixture().await;
    let mut request = maps(Verb::Watch);
    request.options.field_selector = "metadata.name=b".into();
    let mut events = f.watch(request).await;
    f.make(map("a", "1")).await;
    f.make(map("b", "1")).await;
    assert_eq!(next(&mut events).await, "ADDED b");
}

#[tokio::test]
async fn a_forgotten_past_is_gone() {
    let limits = Limits { bytes: 2000, age_seconds: 3600 };
    let f = fixture_with(Config { history: limits, ..Config::default() }).await;
    let since = f.registry.revision();
    for n in 0..20 {
        f.make(map(&format!("m{n}"), "1")).await;
    }
    let mut request = maps(Verb::Watch);
    request.options.resource_version = since.to_string();
    let status = f.registry.watch(&f.user, request).await.err().unwrap();
    assert_eq!((status.code, status.reason.as_str()), (410, "Expired"));
    assert!(status.message.starts_with(&format!("too old resource version: {since} (")), "{status}");
}

#[tokio::test]
async fn initial_events_end_with_a_bookmark() {
    let f = fixture().await;
    f.make(map("a", "1")).await;
    let mut request = maps(Verb::Watch);
    request.options.send_initial_events = Some(true);
    request.options.resource_version_match = Some(RevisionMatch::NotOlderThan);
    request.options.allow_watch_bookmarks = true;
    let mut events = f.watch(request.clone()).await;
    assert_eq!(next(&mut events).await, "ADDED a");
    let mark = events.next().await.unwrap().unwrap();
    assert_eq!((mark.change, mark.object.revision()), (Change::Bookmark, f.registry.revision()));
    assert_eq!(mark.object.tree()["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    request.options.resource_version_match = None;
    let status = f.registry.watch(&f.user, request).await.err().unwrap();
    assert!(status.message.contains("sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"));
}

#[tokio::test]
async fn a_watch_marks_its_progress_and_ends() {
    // A world in which a second lasts a millisecond.
    let sleep = |duration: Duration| Box::pin(tokio::time::sleep(duration / 1000)) as BoxFuture<'static, ()>;
    let world = World { sleep: Arc::new(sleep), ..World::real() };
    let f = fixture_in(world, Config::default()).await;
    let mut request = maps(Verb::Watch);
    request.options.allow_watch_bookmarks = true;
    request.options.timeout_seconds = Some(90);
    let events = f.watch(request).await;
    let all: Vec<_> = events.map(|event| event.unwrap().change).collect().await;
    assert_eq!(all, [Change::Bookmark, Change::Bookmark]);
}

#[tokio::test]
async fn a_slow_watcher_catches_up_or_is_told() {
    let f = fixture().await;
    let mut events = f.watch(maps(Verb::Watch)).await;
    // More than a queue holds: the rest is read from the history.
    for n in 0..100 {
        f.make(map(&format!("m{n:03}"), "1")).await;
    }
    for n in 0..100 {
        assert_eq!(next(&mut events).await, format!("ADDED m{n:03}"));
    }
}

#[tokio::test]
async fn the_store_closing_ends_watches() {
    let f = fixture().await;
    let mut events = f.watch(maps(Verb::Watch)).await;
    f.store.close();
    assert!(events.next().await.is_none());
    let mut later = f.watch(maps(Verb::Watch)).await;
    assert!(later.next().await.is_none(), "a watch that begins when the store is gone ends at once");
    assert!(f.call(maps(Verb::Create).body(map("a", "1"))).await.is_err());
}
