//! What the registry takes from outside: the time, randomness, tasks and timers. A simulator owns all four.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use jiff::Timestamp;

type Now = dyn Fn() -> Timestamp + Send + Sync;
type Random = dyn Fn(&mut [u8]) + Send + Sync;
type Spawn = dyn Fn(BoxFuture<'static, ()>) + Send + Sync;
type Sleep = dyn Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync;

/// Clock, random bytes, tasks and timers. Cheap to clone.
#[derive(Clone)]
pub struct World {
    pub now: Arc<Now>,
    pub random: Arc<Random>,
    pub spawn: Arc<Spawn>,
    pub sleep: Arc<Sleep>,
}

/// Upstream's alphabet for generated names: no vowels and no look-alikes, so that no word comes out.
const NAME_ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
const NAME_SUFFIX_CHARS: usize = 5;

impl World {
    /// The real world: the system's clock and randomness, tasks and timers of the running tokio runtime.
    pub fn real() -> Self {
        Self {
            now: Arc::new(Timestamp::now),
            random: Arc::new(fill_random),
            spawn: Arc::new(|task| {
                tokio::spawn(task);
            }),
            sleep: Arc::new(|duration| Box::pin(tokio::time::sleep(duration))),
        }
    }

    pub fn now(&self) -> Timestamp {
        (self.now)()
    }

    /// The time in whole seconds, as metadata holds it: `2026-01-02T03:04:05Z`.
    pub fn now_text(&self) -> String {
        second_text(self.now())
    }

    /// The end of a generated name: five characters.
    pub fn name_suffix(&self) -> String {
        let mut bytes = [0u8; NAME_SUFFIX_CHARS];
        (self.random)(&mut bytes);
        bytes.iter().map(|b| char::from(NAME_ALPHABET[usize::from(*b) % NAME_ALPHABET.len()])).collect()
    }

    /// A random UUID (version 4).
    pub fn uid(&self) -> String {
        let mut b = [0u8; 16];
        (self.random)(&mut b);
        b[6] = (b[6] & 0x0f) | 0x40;
        b[8] = (b[8] & 0x3f) | 0x80;
        let hex: String = b.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }

    /// A number below `bound` (0 for a bound of 0).
    pub fn below(&self, bound: u64) -> u64 {
        let mut bytes = [0u8; 8];
        (self.random)(&mut bytes);
        u64::from_le_bytes(bytes).checked_rem(bound).unwrap_or(0)
    }
}

/// A moment in whole seconds, in RFC 3339 with `Z`.
pub fn second_text(at: Timestamp) -> String {
    let seconds = Timestamp::from_second(at.as_second()).unwrap_or(at);
    seconds.to_string()
}

fn fill_random(out: &mut [u8]) {
    let mut filled = 0;
    while filled < out.len() {
        // The kernel's generator fails only while it is interrupted before its first seeding: ask again.
        filled += rustix::rand::getrandom(&mut out[filled..], rustix::rand::GetRandomFlags::empty()).unwrap_or(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_uids_have_upstreams_form() {
        let world = World::real();
        let suffix = world.name_suffix();
        assert_eq!(suffix.len(), 5);
        assert!(suffix.bytes().all(|b| NAME_ALPHABET.contains(&b)));
        let uid = world.uid();
        assert_eq!(uid.len(), 36);
        assert_eq!(&uid[14..15], "4");
        assert_ne!(uid, world.uid());
    }

    #[test]
    fn metadata_times_have_whole_seconds() {
        let at: Timestamp = "2026-01-02T03:04:05.678Z".parse().unwrap();
        assert_eq!(second_text(at), "2026-01-02T03:04:05Z");
    }
}
