//! `kubectl logs`: a container's log file as the runtime writes it, whole or its end, once or followed.

pub(crate) mod line;
mod reader;
mod watch;

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use http::StatusCode;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use jiff::{SignedDuration, Timestamp};
use rpc::cri::{ContainerState, ContainerStatusRequest};
use tokio::sync::mpsc;
use tonic::Request;

use super::route::{Query, Target, first};
use super::{Answer, pods, text};
use crate::drive::context::Context;
use crate::plan::spec;
use line::Stream;

/// Chunks on their way to a slow client.
const CHUNKS_MAX: usize = 16;

/// What of a log is wanted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options {
    pub follow: bool,
    pub previous: bool,
    pub timestamps: bool,
    pub since: Option<Timestamp>,
    pub tail: Option<u64>,
    pub limit_bytes: Option<u64>,
    pub stream: Option<Stream>,
}

/// Reads the query's options.
///
/// # Errors
/// The answer's message: a value is not what it should be.
fn options(query: &Query, now: Timestamp) -> Result<Options, String> {
    let on = |key: &str| matches!(first(query, key), Some("true" | "1"));
    let number = |key: &str| match first(query, key).filter(|v| !v.is_empty()) {
        None => Ok(None),
        Some(v) => v.parse::<u64>().map(Some).map_err(|_| format!("{key} must be a number, not {v:?}")),
    };
    let ago =
        number("sinceSeconds")?.map(|s| now - SignedDuration::from_secs(i64::try_from(s).unwrap_or(i64::MAX / 4)));
    let at = match first(query, "sinceTime").filter(|v| !v.is_empty()) {
        None => None,
        Some(v) => Some(machinery::time::parse(v).map_err(|e| format!("sinceTime: {e}"))?),
    };
    let stream = match first(query, "stream") {
        Some("Stdout") => Some(Stream::Stdout),
        Some("Stderr") => Some(Stream::Stderr),
        None | Some("" | "All") => None,
        Some(other) => return Err(format!("stream must be All, Stdout or Stderr, not {other:?}")),
    };
    Ok(Options {
        follow: on("follow"),
        previous: on("previous"),
        timestamps: on("timestamps"),
        since: at.or(ago),
        tail: number("tailLines")?,
        limit_bytes: number("limitBytes")?,
        stream,
    })
}

/// Answers a request for a log.
pub async fn serve(cx: Arc<Context>, target: &Target, query: &Query) -> Answer {
    let options = match options(query, cx.now()) {
        Ok(options) => options,
        Err(e) => return text(StatusCode::BAD_REQUEST, e),
    };
    let Some(pod) = pods::find(&cx, target) else {
        return text(StatusCode::NOT_FOUND, format!("pod {:?} does not exist\n", target.pod));
    };
    if spec::find(&pod, &target.container).is_none() {
        let message = format!("container {:?} not found in pod {:?}\n", target.container, target.pod);
        return text(StatusCode::NOT_FOUND, message);
    }
    let id = match pods::log_id(&pod, &target.container, options.previous) {
        Ok(id) => id,
        Err(e) => return text(StatusCode::BAD_REQUEST, e),
    };
    let Some((path, _)) = log_of(&cx, &id).await else {
        return text(StatusCode::OK, format!("unable to retrieve container logs for {}://{id}", cx.runtime_name));
    };
    let (sender, chunks) = mpsc::channel::<Bytes>(CHUNKS_MAX);
    // Ends when the client goes (its channel closes) or the log ends.
    tokio::spawn(reader::send(cx, id, path, options, sender));
    let frames = futures::stream::unfold(chunks, |mut chunks| async move {
        chunks.recv().await.map(|chunk| (Ok::<_, std::io::Error>(Frame::data(chunk)), chunks))
    });
    let mut answer = text(StatusCode::OK, "");
    *answer.body_mut() = StreamBody::new(frames.boxed()).boxed_unsync();
    answer.headers_mut().remove("content-type");
    answer
}

/// The log file of a container, and whether the container still writes it; nothing when it is not known.
async fn log_of(cx: &Context, id: &str) -> Option<(PathBuf, bool)> {
    let request = ContainerStatusRequest { container_id: id.to_owned(), verbose: false };
    let status = cx.runtime.service.container_status(Request::new(request)).await.ok()?.into_inner().status?;
    let live = matches!(status.state(), ContainerState::ContainerRunning | ContainerState::ContainerCreated);
    Some((PathBuf::from(&status.log_path), live)).filter(|(path, _)| !path.as_os_str().is_empty())
}

#[cfg(test)]
mod tests {
    use super::super::route;
    use super::*;

    #[test]
    fn queries() {
        let query = route::query("follow=true&tailLines=3&sinceSeconds=10&stream=Stdout");
        let now = Timestamp::from_second(1000).unwrap();
        let made = options(&query, now).unwrap();
        assert!(made.follow && made.tail == Some(3) && made.since == Timestamp::from_second(990).ok());
        assert_eq!(made.stream, Some(Stream::Stdout));
        assert!(options(&route::query("tailLines=x"), now).is_err());
    }
}
