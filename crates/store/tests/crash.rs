//! Crashes: a disk that forgets all that was not synced, at every write; torn and flipped bytes.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use store::embedded::{Config, Embedded};
use store::memory::Memory;
use store::{Op, Outcome, Range, Store, StoreError, Txn};

fn config() -> Config {
    Config { segment_bytes: 2_000, history_bytes: 1 << 20 }
}

async fn contents(store: &Embedded) -> BTreeMap<Bytes, Bytes> {
    let range = Range { start: Bytes::from_static(b"/"), end: Bytes::from_static(b"0"), limit: None, at: None };
    store.range(range).await.unwrap().entries.into_iter().map(|e| (e.key, e.value)).collect()
}

/// Writes until the power goes; gives what was acknowledged and the write under way.
async fn write(store: &Embedded) -> (BTreeMap<Bytes, Bytes>, Option<(Bytes, Bytes)>) {
    let mut acknowledged = BTreeMap::new();
    for i in 0..60u8 {
        let (key, value) = (Bytes::from(format!("/{}", i % 7)), Bytes::from(vec![i; 150]));
        let op = Op::Put { key: key.clone(), value: value.clone(), lease: None };
        match store.txn(Txn { compares: vec![], ops: vec![op] }).await {
            Ok(Outcome::Committed(_)) => acknowledged.insert(key, value),
            _ => return (acknowledged, Some((key, value))),
        };
    }
    (acknowledged, None)
}

#[tokio::test]
async fn every_acknowledged_write_survives_a_crash_at_any_operation() {
    for torn in [0, 5, 100] {
        for budget in 3..160 {
            let disk = Memory::default();
            disk.fail_after(budget);
            let Ok(store) = Embedded::open_on(Arc::new(disk.clone()), config()) else { continue };
            let (acknowledged, under_way) = write(&store).await;
            store.close();
            disk.crash(torn, budget % 4);
            let store = Embedded::open_on(Arc::new(disk.clone()), config()).unwrap();
            let mut found = contents(&store).await;
            if let Some((key, value)) = under_way
                && found.get(&key) == Some(&value)
            {
                match acknowledged.get(&key) {
                    Some(before) => found.insert(key, before.clone()),
                    None => found.remove(&key),
                };
            }
            assert_eq!(found, acknowledged, "budget {budget}, torn {torn}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_flipped_bit_before_the_last_commit_stops_the_start(at in any::<prop::sample::Index>(), bit in 0..8u8) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let disk = Memory::default();
        let store = Embedded::open_on(Arc::new(disk.clone()), Config::default()).unwrap();
        let (acknowledged, _) = runtime.block_on(write(&store));
        store.close();
        let mut name = String::new();
        disk.damage(|files| {
            let (first, bytes) = files.iter_mut().next().unwrap();
            name = (*first).to_owned();
            let end = bytes.iter().rposition(|b| *b != 0).unwrap();
            let last = 190;
            bytes[at.index(end - last)] ^= 1 << bit;
        });
        match Embedded::open_on(Arc::new(disk.clone()), Config::default()) {
            Err(StoreError::Damaged { file, .. }) => prop_assert_eq!(file, name),
            Err(other) => prop_assert!(false, "{other}"),
            // Padding between frames means nothing; what was acknowledged is there.
            Ok(store) => prop_assert_eq!(runtime.block_on(contents(&store)), acknowledged),
        }
    }
}
