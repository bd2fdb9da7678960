//! A watch's body: one JSON event per line.

use std::sync::Arc;

use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use http_body_util::BodyExt;
use kube_client::client::Body;
use machinery::object::Object;
use machinery::request::{Change, WatchEvent};
use machinery::status::Status;
use serde::Deserialize;
use serde_json::Value;
use tokio_util::codec::{FramedRead, LinesCodec, LinesCodecError};
use tokio_util::io::StreamReader;

/// A line longer than this ends the watch; objects are at most 3 MiB, more when encoded with managed fields.
const LINE_BYTES_MAX: usize = 16 << 20;

#[derive(Deserialize)]
struct Line {
    #[serde(rename = "type")]
    change: String,
    object: Value,
}

/// The events of a watch; an `Err` is the last item.
pub fn events(body: Body) -> impl Stream<Item = Result<WatchEvent, Status>> + Send + 'static {
    let bytes = body.into_data_stream().map_err(std::io::Error::other);
    let reader = StreamReader::new(bytes.map_ok(|data: Bytes| data));
    let lines = FramedRead::new(Box::pin(reader), LinesCodec::new_with_max_length(LINE_BYTES_MAX));
    let events = lines.map(|line| line.map_err(broken).and_then(|line| event(&line)));
    until_error(events)
}

fn until_error<S>(events: S) -> impl Stream<Item = Result<WatchEvent, Status>> + Send + 'static
where
    S: Stream<Item = Result<WatchEvent, Status>> + Send + Unpin + 'static,
{
    stream::unfold(Some(events), |events| async move {
        let mut events = events?;
        let item = events.next().await?;
        let rest = item.is_ok().then_some(events);
        Some((item, rest))
    })
}

/// A connection that breaks is an end like any other: the caller goes on from its last revision.
fn broken(error: LinesCodecError) -> Status {
    Status::unavailable(format!("the watch broke off: {error}"))
}

fn event(line: &str) -> Result<WatchEvent, Status> {
    let line: Line =
        serde_json::from_str(line).map_err(|e| Status::internal(format!("a watch event was no JSON: {e}")))?;
    let change = match line.change.as_str() {
        "ADDED" => Change::Added,
        "MODIFIED" => Change::Modified,
        "DELETED" => Change::Deleted,
        "BOOKMARK" => Change::Bookmark,
        "ERROR" => return Err(serde_json::from_value(line.object).unwrap_or_else(Status::internal)),
        other => return Err(Status::internal(format!("a watch event has the unknown type {other:?}"))),
    };
    let object: Arc<Object> = Object::from_tree(&line.object);
    Ok(WatchEvent { change, object })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_events_and_an_error_is_the_last() {
        let text = concat!(
            r#"{"type":"ADDED","object":{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a","resourceVersion":"5"}}}"#,
            "\n",
            r#"{"type":"ERROR","object":{"kind":"Status","status":"Failure","code":410,"reason":"Expired","message":"old"}}"#,
            "\n",
            r#"{"type":"BOOKMARK","object":{"kind":"Pod","apiVersion":"v1","metadata":{"resourceVersion":"9"}}}"#,
            "\n"
        );
        let all: Vec<_> = events(Body::from(text.as_bytes().to_vec())).collect().await;
        assert_eq!(all.len(), 2);
        assert_eq!(all[0].as_ref().unwrap().object.revision(), 5);
        assert!(all[1].as_ref().unwrap_err().is_expired());
    }
}
