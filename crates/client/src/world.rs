//! Clock and randomness as arguments, so that a simulation owns them. Waiting is tokio's, whose clock can be
//! paused.

use jiff::Timestamp;

/// What a client takes from outside. The real one is [`World::real`].
#[derive(Clone, Copy, Debug)]
pub struct World {
    pub now: fn() -> Timestamp,
    pub random: fn() -> u64,
}

impl World {
    /// The machine's clock and the kernel's random numbers.
    pub fn real() -> Self {
        Self { now: Timestamp::now, random: kernel_random }
    }

    /// A number from 0 to 1.
    pub fn fraction(&self) -> f64 {
        (self.random)() as f64 / u64::MAX as f64
    }
}

fn kernel_random() -> u64 {
    let mut bytes = [0; 8];
    // Eight bytes are always given whole once the pool is up, and it is up long before a user's process runs.
    let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    u64::from_ne_bytes(bytes)
}
