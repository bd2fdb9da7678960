//! Clock and randomness of a simulation: both belong to the thread that it runs on.

use std::cell::Cell;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// When every simulation begins: the first of January 2026.
const EPOCH_SECONDS: i64 = 1_767_225_600;

thread_local! {
    static BEGUN: Cell<Option<Instant>> = const { Cell::new(None) };
    /// Nanoseconds of virtual time that were told last.
    static TOLD: Cell<u64> = const { Cell::new(0) };
    static RANDOM: Cell<u64> = const { Cell::new(0) };
}

/// Begins the simulation of this thread.
pub fn begin(seed: u64) {
    BEGUN.set(Some(Instant::now()));
    TOLD.set(0);
    RANDOM.set(seed);
}

/// The epoch and the virtual time since the beginning. As on a real machine no two looks see the same nanosecond:
/// names of events are made of it.
pub fn now() -> Timestamp {
    let passed = BEGUN.get().map(|begun| begun.elapsed()).unwrap_or_default();
    let nanos = u64::try_from(passed.as_nanos()).unwrap_or(u64::MAX).max(TOLD.get() + 1);
    TOLD.set(nanos);
    let epoch = Timestamp::from_second(EPOCH_SECONDS).unwrap_or_default();
    epoch + SignedDuration::from_nanos(i64::try_from(nanos).unwrap_or(i64::MAX))
}

/// The next random number: splitmix64.
pub fn random() -> u64 {
    let state = RANDOM.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
    RANDOM.set(state);
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// What clients, runner and kubelets take from outside.
pub fn of_clients() -> client::World {
    client::World { now, random }
}

/// What the registry takes from outside.
pub fn of_registry() -> registry::World {
    registry::World {
        now: Arc::new(now),
        random: Arc::new(|out| out.fill_with(|| random() as u8)),
        spawn: Arc::new(|task| drop(tokio::spawn(task))),
        sleep: Arc::new(|duration| Box::pin(tokio::time::sleep(duration))),
    }
}
