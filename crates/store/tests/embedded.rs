//! The contract of the embedded store on a real folder.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use store::embedded::{Config, Embedded};
use store::{Compare, Event, Op, Outcome, Range, Revision, Store, StoreError, Txn};

fn put(key: &str, value: &str) -> Op {
    Op::Put {
        key: Bytes::copy_from_slice(key.as_bytes()),
        value: Bytes::copy_from_slice(value.as_bytes()),
        lease: None,
    }
}

fn all(at: Option<Revision>) -> Range {
    Range { start: Bytes::from_static(b"/"), end: Bytes::from_static(b"0"), limit: None, at }
}

async fn commit(store: &Embedded, op: Op) -> Revision {
    match store.txn(Txn { compares: vec![], ops: vec![op] }).await.unwrap() {
        Outcome::Committed(revision) => revision,
        refused => panic!("{refused:?}"),
    }
}

async fn values(store: &Embedded, at: Option<Revision>) -> Vec<String> {
    let page = store.range(all(at)).await.unwrap();
    page.entries.iter().map(|e| String::from_utf8_lossy(&e.value).into_owned()).collect()
}

#[tokio::test]
async fn a_compare_that_does_not_hold_refuses_with_what_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let store = Embedded::open(folder.path(), Config::default()).unwrap();
    let revision = commit(&store, put("/a", "1")).await;
    let absent = Compare { key: Bytes::from_static(b"/a"), mod_revision: 0 };
    let refused = store.txn(Txn { compares: vec![absent], ops: vec![put("/a", "2")] }).await.unwrap();
    let Outcome::Refused { current, .. } = refused else { panic!("committed") };
    assert_eq!(current[0].as_ref().unwrap().mod_revision, revision);
    let held = Compare { key: Bytes::from_static(b"/a"), mod_revision: revision };
    assert!(matches!(
        store.txn(Txn { compares: vec![held], ops: vec![put("/a", "2")] }).await.unwrap(),
        Outcome::Committed(next) if next == revision + 1
    ));
}

#[tokio::test]
async fn the_past_is_read_and_watched_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let store = Embedded::open(folder.path(), Config::default()).unwrap();
    let first = commit(&store, put("/a", "1")).await;
    commit(&store, put("/b", "2")).await;
    commit(&store, Op::Delete { key: Bytes::from_static(b"/a") }).await;
    assert_eq!(values(&store, Some(first)).await, ["1"]);
    drop(store);
    let store = Embedded::open(folder.path(), Config::default()).unwrap();
    assert_eq!(values(&store, None).await, ["2"]);
    assert_eq!(values(&store, Some(first)).await, ["1"]);
    let mut watch = store.watch(Bytes::from_static(b"/"), first).await.unwrap();
    assert_eq!(watch.next().await.unwrap().unwrap().revision, first + 1);
    let deleted = watch.next().await.unwrap().unwrap();
    assert!(matches!(&deleted.events[0], Event::Delete { previous: Some(p), .. } if p.value == "1"));
    let next = commit(&store, put("/c", "3")).await;
    assert_eq!(watch.next().await.unwrap().unwrap().revision, next);
}

#[tokio::test]
async fn segments_and_snapshots_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config { segment_bytes: 10_000, history_bytes: 1 << 20 };
    for round in 0..5 {
        let store = Embedded::open(folder.path(), config.clone()).unwrap();
        assert_eq!(values(&store, None).await.len(), round * 100);
        for i in 0..100 {
            commit(&store, put(&format!("/{:03}", round * 100 + i), &"x".repeat(300))).await;
        }
    }
    let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    let snapshots = names.iter().filter(|n| n.to_string_lossy().starts_with("snap-")).count();
    assert_eq!(snapshots, 2, "{names:?}");
}

#[tokio::test]
async fn what_was_compacted_is_said_to_be() {
    let folder = tempfile::tempdir().unwrap();
    let store = Embedded::open(folder.path(), Config::default()).unwrap();
    let first = commit(&store, put("/a", "1")).await;
    let second = commit(&store, put("/a", "2")).await;
    commit(&store, put("/a", "3")).await;
    store.compact(second).await.unwrap();
    assert!(matches!(store.range(all(Some(first - 1))).await, Err(StoreError::Compacted { .. })));
    assert!(matches!(store.watch(Bytes::new(), 0).await.err(), Some(StoreError::Compacted { .. })));
    assert_eq!(values(&store, Some(second)).await, ["2"]);
    assert!(matches!(store.range(all(Some(99))).await, Err(StoreError::Future { .. })));
}

#[tokio::test]
async fn a_lease_takes_its_keys_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = Embedded::open(folder.path(), Config::default()).unwrap();
    let lease = store.grant(1).await.unwrap();
    let op = Op::Put { key: Bytes::from_static(b"/e"), value: Bytes::from_static(b"x"), lease: Some(lease) };
    let revision = commit(&store, op).await;
    let mut watch = store.watch(Bytes::from_static(b"/"), revision).await.unwrap();
    let gone = tokio::time::timeout(Duration::from_secs(10), watch.next()).await.unwrap().unwrap().unwrap();
    assert!(matches!(gone.events[0], Event::Delete { .. }));
    assert!(matches!(store.keep_alive(lease).await, Err(StoreError::NoLease(_))));
}

#[tokio::test]
async fn one_process_holds_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let held = Embedded::open(folder.path(), Config::default()).unwrap();
    assert!(matches!(Embedded::open(folder.path(), Config::default()), Err(StoreError::Io { .. })));
    held.close();
    assert!(matches!(held.txn(Txn::default()).await, Err(StoreError::Closed(_))));
}

#[tokio::test]
async fn a_disk_that_refuses_a_write_closes_the_store_and_loses_nothing() {
    let disk = store::memory::Memory::default();
    let store = Embedded::open_on(Arc::new(disk.clone()), Config::default()).unwrap();
    let revision = commit(&store, put("/a", "x")).await;
    let mut watch = store.watch(Bytes::from_static(b"/"), revision).await.unwrap();
    disk.fail_after(0);
    let refused = |outcome: Result<_, StoreError>| match outcome {
        Err(StoreError::Closed(why)) => assert_eq!(why, "write memory: the power is gone"),
        other => panic!("{other:?}"),
    };
    refused(store.txn(Txn { ops: vec![put("/b", "x")], compares: vec![] }).await.map(drop));
    refused(store.txn(Txn { ops: vec![put("/c", "x")], compares: vec![] }).await.map(drop));
    refused(watch.next().await.unwrap().map(drop));
    refused(Err(store.ended().await));
    store.close();
    disk.crash(0, 0);
    let again = Embedded::open_on(Arc::new(disk), Config::default()).unwrap();
    assert_eq!(commit(&again, put("/d", "x")).await, revision + 1);
}
