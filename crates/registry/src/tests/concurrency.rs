//! Several writers at once, and a restart in between.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::StreamExt;
use machinery::request::{Change, Verb};
use serde_json::json;
use store::embedded::{self, Embedded};

use super::{Fixture, fixture, map, maps};
use crate::{Registry, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_creates_of_one_name_one_wins() {
    let f = Arc::new(fixture().await);
    let tasks = (0..16).map(|n| {
        let f = f.clone();
        tokio::spawn(async move { f.call(maps(Verb::Create).body(map("a", &n.to_string()))).await })
    });
    let all = futures::future::join_all(tasks).await;
    let (won, lost): (Vec<_>, Vec<_>) = all.into_iter().map(Result::unwrap).partition(Result::is_ok);
    assert_eq!((won.len(), lost.len()), (1, 15));
    assert!(lost.into_iter().all(|r| r.unwrap_err().is_already_exists()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn patches_of_one_object_are_all_kept() {
    let f = Arc::new(fixture().await);
    f.make(map("a", "1")).await;
    let tasks = (0..8).map(|n| {
        let f = f.clone();
        tokio::spawn(async move { f.patch("a", json!({"data": {format!("k{n}"): "v"}})).await.map(|_| ()) })
    });
    for done in futures::future::join_all(tasks).await {
        done.unwrap().unwrap();
    }
    let tree = f.tree(maps(Verb::Get).name("a")).await;
    assert_eq!(tree["data"].as_object().unwrap().len(), 9);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_updates_of_one_version_one_conflicts() {
    let f = fixture().await;
    let made = f.make(map("a", "1")).await;
    let with = |value: &str| {
        let mut tree = made.clone();
        tree["data"]["k"] = value.into();
        f.call(maps(Verb::Update).name("a").body(tree))
    };
    let (one, two) = tokio::join!(with("2"), with("3"));
    assert_eq!(usize::from(one.is_ok()) + usize::from(two.is_ok()), 1);
    let lost = one.err().or(two.err()).unwrap();
    assert!(lost.is_conflict());
}

/// Writes while a watch runs; says what the writers were answered, as `name revision`.
async fn write_many(f: &Arc<Fixture>, from: usize, count: usize) -> BTreeSet<(String, u64)> {
    let tasks = (0..8).map(|worker| {
        let f = f.clone();
        tokio::spawn(async move {
            let mut done = Vec::new();
            for n in 0..count {
                let name = format!("w{worker}-{}", from + n);
                done.push((name.clone(), f.object(maps(Verb::Create).body(map(&name, "1"))).await.revision()));
                let patched = f.patch(&name, json!({"data": {"k": "2"}})).await.unwrap();
                let machinery::request::Content::Object(object) = patched.content else { panic!() };
                done.push((name, object.revision()));
            }
            done
        })
    });
    futures::future::join_all(tasks).await.into_iter().flat_map(Result::unwrap).collect()
}

async fn watched(f: &Fixture, since: u64, count: usize) -> Vec<(String, u64)> {
    let mut request = maps(Verb::Watch);
    request.options.resource_version = since.to_string();
    let events = f.watch(request).await.take(count);
    let named = events.map(|event| {
        let event = event.unwrap();
        assert_ne!(event.change, Change::Deleted);
        (event.object.tree()["metadata"]["name"].as_str().unwrap().to_owned(), event.object.revision())
    });
    named.collect().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_misses_and_repeats_nothing() {
    let f = Arc::new(fixture().await);
    let since = f.registry.revision();
    let count = 8 * 50 * 2;
    let (seen, written) = tokio::join!(watched(&f, since, count), write_many(&f, 0, 50));
    assert!(seen.windows(2).all(|pair| pair[0].1 < pair[1].1), "in revision order");
    assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), written);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_goes_on_after_a_restart() {
    let f = Arc::new(fixture().await);
    let since = f.registry.revision();
    let mut written = write_many(&f, 0, 10).await;
    f.store.close();
    let Fixture { folder, user, .. } = Arc::try_unwrap(f).ok().unwrap();
    let store = Embedded::open(folder.path(), embedded::Config::default()).unwrap();
    let registry = Registry::open(store.clone(), World::real()).await.unwrap();
    let f = Arc::new(Fixture { registry, store, folder, user });
    written.extend(write_many(&f, 100, 10).await);
    let seen = watched(&f, since, written.len()).await;
    assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), written);
}
