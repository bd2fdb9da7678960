//! The cache against a transport whose watches the test plays.

use std::collections::VecDeque;
use std::sync::Mutex;

use futures::future::BoxFuture;
use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::ConfigMap;
use machinery::object::Object;
use machinery::request::{Answer, Change as Kind, Content, List, Request, WatchEvent};
use machinery::status::Status;
use serde_json::json;

use super::*;
use crate::{Events, Transport};

type Item = Result<WatchEvent, Status>;

/// Answers each list and each watch with the next prepared one; a watch after the last never says anything.
#[derive(Default)]
struct Script {
    lists: Mutex<VecDeque<(u64, Vec<Arc<Object>>)>>,
    watches: Mutex<VecDeque<Vec<Item>>>,
}

impl Transport for Script {
    fn call(&self, _: Request) -> BoxFuture<'_, Result<Answer, Status>> {
        Box::pin(async move {
            let next = self.lists.lock().unwrap().pop_front();
            let (revision, items) = next.ok_or_else(|| Status::unavailable("no list left"))?;
            let content = Content::List(List { revision, items, ..List::default() });
            Ok(Answer { code: 200, warnings: Vec::new(), content })
        })
    }

    fn watch(&self, _: Request) -> BoxFuture<'_, Result<Events, Status>> {
        Box::pin(async move {
            match self.watches.lock().unwrap().pop_front() {
                Some(items) => Ok(stream::iter(items).boxed()),
                None => Ok(stream::pending().boxed()),
            }
        })
    }
}

fn object(name: &str, revision: u64, app: &str) -> Arc<Object> {
    Object::from_tree(&json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata":
        {"name": name, "namespace": "d", "uid": name, "resourceVersion": revision.to_string(), "labels": {"app": app}}}))
}

fn event(change: Kind, object: Arc<Object>) -> Item {
    Ok(WatchEvent { change, object })
}

fn cache(script: Script) -> Cache<ConfigMap> {
    let app = |c: &ConfigMap| c.metadata.labels.iter().flatten().map(|(_, v)| v.clone()).collect();
    let world = World { now: || jiff::Timestamp::UNIX_EPOCH, random: || 0 };
    Cache::new(Client::new(Arc::new(script)), Source::<ConfigMap>::typed().index("app", app), world)
}

fn names(cache: &Cache<ConfigMap>, app: &str) -> Vec<String> {
    cache.snapshot().by("app", app).map(|c| c.metadata.name.clone().unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn events_move_the_state_and_its_indexes_on() {
    let script = Script::default();
    script.lists.lock().unwrap().push_back((5, vec![object("a", 3, "x"), object("b", 4, "x")]));
    script.watches.lock().unwrap().push_back(vec![
        event(Kind::Modified, object("a", 6, "y")),
        event(Kind::Deleted, object("b", 7, "x")),
        event(Kind::Bookmark, object("", 9, "")),
    ]);
    let cache = cache(script);
    let mut told = cache.subscribe();
    let running = cache.clone();
    tokio::spawn(async move { running.run(CancellationToken::new()).await });
    cache.synced().await;
    while cache.revision() < 9 {
        tokio::task::yield_now().await;
    }
    assert_eq!(names(&cache, "y"), ["a"]);
    assert!(names(&cache, "x").is_empty());
    // b came and went before the reader looked; a is told once, as it is now.
    assert!(matches!(told.next().await, Change::Applied { old: None, new, .. }
        if new.metadata.resource_version.as_deref() == Some("6")));
    assert!(told.try_next().is_none());
}

#[tokio::test(start_paused = true)]
async fn after_410_the_differences_are_told() {
    let script = Script::default();
    script.lists.lock().unwrap().extend([
        (5, vec![object("a", 3, "x"), object("b", 4, "x")]),
        (20, vec![object("a", 3, "x"), object("c", 15, "x")]),
    ]);
    script.watches.lock().unwrap().push_back(vec![Err(Status::expired("too old"))]);
    let cache = cache(script);
    let changes = Arc::new(Mutex::new(Vec::new()));
    let heard = changes.clone();
    cache.listen(Box::new(move |changes| {
        let told = changes.iter().map(|change| (change.key().name.to_string(), change.current().is_some()));
        heard.lock().unwrap().extend(told);
    }));
    let running = cache.clone();
    tokio::spawn(async move { running.run(CancellationToken::new()).await });
    while cache.revision() < 20 {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    let told = changes.lock().unwrap().clone();
    let expected = [("a", true), ("b", true), ("c", true), ("b", false)];
    assert_eq!(told, expected.map(|(name, there)| (name.to_owned(), there)));
}

#[tokio::test(start_paused = true)]
async fn it_ends_when_told_to() {
    let stop = CancellationToken::new();
    let cache = cache(Script::default());
    let running = tokio::spawn({
        let (cache, stop) = (cache.clone(), stop.clone());
        async move { cache.run(stop).await }
    });
    stop.cancel();
    running.await.unwrap();
    assert!(!cache.is_synced());
}
