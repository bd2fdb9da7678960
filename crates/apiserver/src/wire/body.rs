//! The body of a response: bytes, a rope, or a stream.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;

use futures::stream::{self, BoxStream};
use http_body::{Frame, SizeHint};

use super::list::ListBody;

pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

pub enum Body {
    /// Everything at once; taken when sent.
    Full(Bytes),
    /// A list, encoded piece by piece while it is sent.
    List(Box<ListBody>),
    /// As it comes: watches, logs, proxied bodies.
    Stream(BoxStream<'static, Result<Bytes, BodyError>>),
}

impl Body {
    pub fn empty() -> Self {
        Self::Full(Bytes::new())
    }
}

impl Body {
    /// The chunks, one after the other.
    pub fn into_stream(self) -> BoxStream<'static, Result<Bytes, BodyError>> {
        match self {
            Body::Stream(stream) => stream,
            Body::Full(bytes) => Box::pin(stream::iter((!bytes.is_empty()).then_some(Ok(bytes)))),
            Body::List(mut list) => Box::pin(stream::iter(std::iter::from_fn(move || list.next_chunk().map(Ok)))),
        }
    }
}

impl<T: Into<Bytes>> From<T> for Body {
    fn from(bytes: T) -> Self {
        Self::Full(bytes.into())
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Body::Full(bytes) if bytes.is_empty() => Poll::Ready(None),
            Body::Full(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Body::List(list) => Poll::Ready(list.next_chunk().map(|chunk| Ok(Frame::data(chunk)))),
            Body::Stream(stream) => stream.as_mut().poll_next(cx).map(|item| item.map(|data| data.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Body::Full(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Body::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Body::List(list) => list.remaining().map_or_else(SizeHint::default, SizeHint::with_exact),
            Body::Stream(_) => SizeHint::default(),
        }
    }
}
