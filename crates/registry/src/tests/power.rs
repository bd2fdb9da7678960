//! The power goes at random operations of the disk, which forgets what was not synced, while several clients write
//! and one watches: what was answered holds, and the watch misses and repeats nothing.

use std::sync::Arc;

use futures::StreamExt;
use machinery::identity::User;
use machinery::request::{Change, Content, Options, Request, Verb};
use serde_json::Value;
use store::embedded::{self, Embedded};
use store::memory::Memory;
use suite::ledger::{Ledger, Seen};
use suite::writer::{Dice, Writer};

use super::{map, maps};
use crate::{Registry, World};

const HISTORIES: u64 = 10;
const CRASHES: u64 = 10;
const WRITERS: usize = 4;
/// Operations of the disk between two crashes, at most.
const OPERATIONS_MAX: u64 = 60;
/// Writes of each writer after the last crash.
const LAST_WRITES: usize = 20;

fn user() -> User {
    User::new("tester", ["system:masters"])
}

async fn open(disk: &Memory) -> (Arc<Embedded>, Arc<Registry>) {
    // Small segments: some crashes fall into a rotation or a snapshot.
    let config = embedded::Config { segment_bytes: 60_000, history_bytes: 1 << 20 };
    let store = Embedded::open_on(Arc::new(disk.clone()), config).unwrap();
    let registry = Registry::open(store.clone(), World::real()).await.unwrap();
    (store, registry)
}

/// Writes until the answers stop coming, or `count` writes are answered and nothing is unknown.
async fn write(registry: Arc<Registry>, mut writer: Writer, count: usize) -> Writer {
    let before = writer.ledger.answered();
    loop {
        if writer.is_sure() && writer.ledger.answered() - before >= count {
            return writer;
        }
        let answer = registry.call(&user(), writer.ask()).await;
        let gone = answer.as_ref().is_err_and(|status| status.code >= 500);
        writer.hear(answer);
        if gone {
            return writer;
        }
    }
}

/// What a watch shows from `after` until the store is gone or `until` was shown.
async fn watch(registry: Arc<Registry>, after: u64, until: impl Future<Output = u64>) -> Vec<Seen> {
    let mut request = maps(Verb::Watch);
    request.options.resource_version = after.to_string();
    let mut events = registry.watch(&user(), request).await.unwrap();
    let mut seen: Vec<Seen> = Vec::new();
    let mut until = std::pin::pin!(until);
    let mut end = u64::MAX;
    while seen.last().is_none_or(|last| last.revision < end) {
        let event = tokio::select! {
            event = events.next() => event,
            known = &mut until, if end == u64::MAX => {
                end = known;
                continue;
            }
        };
        let Some(Ok(event)) = event else { return seen };
        if event.change != Change::Bookmark {
            seen.push(Seen {
                change: event.change,
                revision: event.object.revision(),
                object: (*event.object.tree()).clone(),
            });
        }
    }
    seen
}

async fn list(registry: &Registry) -> Vec<Value> {
    let request = Request { options: Options::default(), ..maps(Verb::List) };
    let Content::List(list) = registry.call(&user(), request).await.unwrap().content else { panic!("no list") };
    list.items.iter().map(|object| (*object.tree()).clone()).collect()
}

/// One life of the store until the power goes.
async fn live(disk: &Memory, dice: &mut Dice, writers: Vec<Writer>, seen: &mut Vec<Seen>, start: u64) -> Vec<Writer> {
    let (store, registry) = open(disk).await;
    disk.fail_after(dice.roll(OPERATIONS_MAX) as usize);
    let after = seen.last().map_or(start, |last| last.revision);
    let watching = tokio::spawn(watch(registry.clone(), after, std::future::pending()));
    let writing = writers.into_iter().map(|writer| tokio::spawn(write(registry.clone(), writer, usize::MAX)));
    let writers = futures::future::join_all(writing).await.into_iter().map(Result::unwrap).collect();
    store.close();
    seen.extend(watching.await.unwrap());
    disk.crash(dice.roll(200) as usize, dice.roll(3) as usize);
    writers
}

async fn history(seed: u64) {
    let disk = Memory::default();
    let mut dice = Dice(seed);
    let mut writers: Vec<Writer> =
        (0..WRITERS).map(|who| Writer::new(&format!("w{who}"), "default", dice.roll(u64::MAX))).collect();
    let (store, registry) = open(&disk).await;
    let start = registry.revision();
    store.close();
    let mut seen = Vec::new();
    for _ in 0..CRASHES {
        writers = live(&disk, &mut dice, writers, &mut seen, start).await;
    }
    let (_store, registry) = open(&disk).await;
    let writing = writers.into_iter().map(|writer| write(registry.clone(), writer, LAST_WRITES));
    let writers = futures::future::join_all(writing).await;
    let end = list(&registry).await;
    let after = seen.last().map_or(start, |last| last.revision);
    // The last write: who has seen it has seen all.
    let mark = registry.call(&user(), maps(Verb::Create).body(map("mark", "1"))).await.unwrap();
    let Content::Object(mark) = mark.content else { panic!("no object") };
    seen.extend(watch(registry, after, std::future::ready(mark.revision())).await);
    seen.pop();
    let mut ledger = Ledger::default();
    writers.into_iter().for_each(|writer| ledger.join(writer.ledger));
    let problems = ledger.judge(&seen, &end);
    assert!(problems.is_empty(), "seed {seed}:\n{}", problems.join("\n"));
    assert!(ledger.answered() > WRITERS * LAST_WRITES && ledger.unknown() > 0, "seed {seed}: nothing was tried");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_survives_a_hundred_power_failures() {
    for seed in 0..HISTORIES {
        history(seed).await;
    }
}
