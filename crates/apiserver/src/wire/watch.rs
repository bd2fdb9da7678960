//! A watch as it is sent: one JSON line per event, the object's stored bytes in it.
//!
//! Events that are ready together go out together, in one TLS record where they fit; what is ready is never
//! held back for more to come.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::Stream;
use futures::stream::BoxStream;
use machinery::request::WatchEvent;
use machinery::status::Status;
use serde_json::Value;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::{Body, BodyError};

const CHUNK_BYTES: usize = 32 * 1024;

/// Turns an event's object into what the client asked for; `None` sends the stored bytes.
pub type Reshape = Box<dyn FnMut(&WatchEvent) -> Option<Value> + Send>;

struct Lines {
    events: BoxStream<'static, Result<WatchEvent, Status>>,
    reshape: Reshape,
    stop: Pin<Box<WaitForCancellationFutureOwned>>,
    over: bool,
}

/// The body of a watch, which ends with the events or with the server.
pub fn watch_body(
    events: BoxStream<'static, Result<WatchEvent, Status>>,
    reshape: Reshape,
    stop: CancellationToken,
) -> Body {
    Body::Stream(Box::pin(Lines { events, reshape, stop: Box::pin(stop.cancelled_owned()), over: false }))
}

impl Stream for Lines {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let mut chunk = Vec::new();
        while !this.over && chunk.len() < CHUNK_BYTES {
            match this.events.as_mut().poll_next(cx) {
                Poll::Ready(Some(Ok(event))) => write_event(&event, &mut this.reshape, &mut chunk),
                Poll::Ready(Some(Err(status))) => {
                    write_line("ERROR", status.to_tree().to_string().as_bytes(), &mut chunk);
                    this.over = true;
                }
                Poll::Ready(None) => this.over = true,
                Poll::Pending => {
                    this.over = this.stop.as_mut().poll(cx).is_ready();
                    break;
                }
            }
        }
        match (chunk.is_empty(), this.over) {
            (false, _) => Poll::Ready(Some(Ok(Bytes::from(chunk)))),
            (true, true) => Poll::Ready(None),
            (true, false) => Poll::Pending,
        }
    }
}

fn write_event(event: &WatchEvent, reshape: &mut Reshape, out: &mut Vec<u8>) {
    if let Some(tree) = reshape(event) {
        return write_line(event.change.name(), tree.to_string().as_bytes(), out);
    }
    out.reserve(event.object.written(true) + 64);
    out.extend_from_slice(b"{\"type\":\"");
    out.extend_from_slice(event.change.name().as_bytes());
    out.extend_from_slice(b"\",\"object\":");
    event.object.write(true, out);
    out.extend_from_slice(b"}\n");
}

fn write_line(change: &str, object: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"type\":\"");
    out.extend_from_slice(change.as_bytes());
    out.extend_from_slice(b"\",\"object\":");
    out.extend_from_slice(object);
    out.extend_from_slice(b"}\n");
}
