//! The embedded log, whose writer has a thread of its own, as a part of the one thread: a caller waits for the
//! writer's answer where it stands. Otherwise the clock would move on while a commit is under way.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use store::embedded::{Config, Embedded};
use store::{Batch, LeaseId, Outcome, Page, Range, Revision, Store, StoreError, Txn};

use crate::disk::Memory;

/// So large that no snapshot is written beside the work, in another thread.
const SEGMENT_BYTES: u64 = 1 << 40;

pub struct Inline(Arc<Embedded>);

impl Inline {
    pub fn open() -> Result<Arc<Self>, StoreError> {
        let config = Config { segment_bytes: SEGMENT_BYTES, ..Config::default() };
        Ok(Arc::new(Self(Embedded::open_on(Arc::new(Memory::default()), config)?)))
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Stops the thread until the future has its answer.
fn wait<T>(future: impl Future<Output = T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let (mut future, mut context) = (pin!(future), Context::from_waker(&waker));
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(answer) => return answer,
            Poll::Pending => std::thread::park(),
        }
    }
}

impl Store for Inline {
    fn txn(&self, txn: Txn) -> BoxFuture<'_, Result<Outcome, StoreError>> {
        Box::pin(async move { wait(self.0.txn(txn)) })
    }

    fn range(&self, range: Range) -> BoxFuture<'_, Result<Page, StoreError>> {
        self.0.range(range)
    }

    fn watch(
        &self,
        prefix: Bytes,
        after: Revision,
    ) -> BoxFuture<'_, Result<BoxStream<'static, Result<Batch, StoreError>>, StoreError>> {
        self.0.watch(prefix, after)
    }

    fn compact(&self, revision: Revision) -> BoxFuture<'_, Result<(), StoreError>> {
        self.0.compact(revision)
    }

    fn grant(&self, ttl_seconds: u64) -> BoxFuture<'_, Result<LeaseId, StoreError>> {
        Box::pin(async move { wait(self.0.grant(ttl_seconds)) })
    }

    fn keep_alive(&self, lease: LeaseId) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move { wait(self.0.keep_alive(lease)) })
    }

    fn revoke(&self, lease: LeaseId) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move { wait(self.0.revoke(lease)) })
    }
}
