//! A limit on what is worked on at once: more requests wait in line, and too many are sent away.
//!
//! Streams and watches hold a place only until they have begun. Health checks do not stand in line.

use std::sync::atomic::{AtomicUsize, Ordering};

use machinery::status::Status;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Requests that are worked on at once; more wait in line, streams and watches only until they have begun.
const INFLIGHT_MAX: usize = 600;
/// Requests that wait in line; more are sent away.
const WAITING_MAX: usize = 10_000;
/// The line before the work.
pub struct Line {
    places: Semaphore,
    waiting: AtomicUsize,
}

impl Default for Line {
    fn default() -> Self {
        Self { places: Semaphore::new(INFLIGHT_MAX), waiting: AtomicUsize::new(0) }
    }
}

impl Line {
    /// A place among those that are worked on.
    ///
    /// # Errors
    /// 429 when the line is too long.
    pub async fn place(&self) -> Result<SemaphorePermit<'_>, Status> {
        let busy = || {
            let text = "Too many requests, please try again later.";
            let mut status = Status::failure(429, "TooManyRequests", text).with_details("", "", "");
            if let Some(details) = &mut status.details {
                details.retry_after_seconds = Some(1);
            }
            status
        };
        if let Ok(place) = self.places.try_acquire() {
            return Ok(place);
        }
        // The count goes down when this is dropped too: a client may leave while it waits.
        struct Waiting<'a>(&'a AtomicUsize);
        impl Drop for Waiting<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::Relaxed);
            }
        }
        let ahead = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.waiting);
        if ahead >= WAITING_MAX {
            return Err(busy());
        }
        self.places.acquire().await.map_err(|_| busy())
    }
}
