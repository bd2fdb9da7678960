//! Requests for resources: from path, query and body to the front, and its answer to bytes.

use std::sync::Arc;

use api::Kind;
use futures::StreamExt;
use http::{Method, Response};
use machinery::identity::User;
use machinery::request::{Answer, Request, Verb};
use machinery::status::Status;
use registry::present::Include;

use crate::door::{Call, Door};
use crate::metrics::Labels;
use crate::wire::accept;
use crate::wire::answer::{self, Style};
use crate::wire::intake::Came;
use crate::wire::path::ResourcePath;
use crate::wire::websocket::{self, Messages};
use crate::wire::{Body, Reshape, intake, watch_body};
use crate::{paths, shape, streams};

/// Authorizes and answers.
///
/// # Errors
/// Any `Status` that upstream answers with.
pub async fn answer(
    door: &Arc<Door>,
    call: Call,
    path: ResourcePath,
    user: User,
    incoming: Came,
    labels: &mut Labels,
) -> Result<Response<Body>, Status> {
    label(labels, &call, &path);
    if streams::is_stream(&path) {
        return streams::answer(door, call, path, user, incoming).await;
    }
    // Nothing is below the path of an unknown group; below a known one is at least the API server.
    let is_served = api::KINDS.iter().any(|kind| kind.group == path.group);
    let verb = match intake::verb(&path, &call.method, &call.query, &call.headers) {
        Err(_) if !is_served => return Ok(paths::not_found()),
        verb => verb?,
    };
    let mut request = intake::request(path, verb, &call.query, &call.headers)?;
    door.front.authorize(&user, &request).await?;
    if !is_served {
        return Ok(paths::not_found());
    }
    let kind = api::by_plural(&request.group, &request.version, &request.resource);
    let wanted = accept::wanted_of(&call.headers, kind)?;
    let include = Include::parse(call.query.get("includeObject").unwrap_or_default())?;
    if verb == Verb::Watch {
        let reshape = shape::per_event(kind, wanted.shape, include, door.front.registry().world().clone());
        return watch(door, &call, user, request, reshape, incoming).await;
    }
    if !matches!(call.method, Method::GET | Method::HEAD) {
        let bytes = intake::read_body(incoming.take()?.into_body()).await?;
        intake::put_body(&mut request, bytes, &call.headers)?;
    }
    let answered = door.front.registry().call(&user, request).await?;
    let style = Style { wanted, ..call.style };
    send(door, kind, answered, style, include)
}

fn send(
    door: &Door,
    kind: Option<&'static Kind>,
    answered: Answer,
    style: Style,
    include: Include,
) -> Result<Response<Body>, Status> {
    match shape::reshaped(kind, &answered.content, style.wanted.shape, include, door.front.registry().world())? {
        None => Ok(answer::answer(answered, style, kind.is_none())),
        Some(tree) => {
            let mut response = answer::tree(answered.code, &tree, style);
            answer::warn(&mut response, &answered.warnings);
            Ok(response)
        }
    }
}

async fn watch(
    door: &Arc<Door>,
    call: &Call,
    user: User,
    request: Request,
    reshape: Reshape,
    incoming: Came,
) -> Result<Response<Body>, Status> {
    let events = door.front.registry().watch(&user, request).await?;
    let counted = Counted::new(door.clone());
    let events = events.map(move |event| {
        let _held = &counted;
        event
    });
    let body = watch_body(Box::pin(events), reshape, call.connection.stop.clone());
    if websocket::wanted(&call.headers) {
        return websocket::accept(incoming.take()?, body, Messages::Lines, None);
    }
    let mut response = answer::response(200, accept::JSON, body);
    let headers = response.headers_mut();
    headers.insert("x-accel-buffering", http::HeaderValue::from_static("no"));
    Ok(response)
}

/// Counts an open watch until its stream is dropped.
struct Counted(Arc<Door>);

impl Counted {
    fn new(door: Arc<Door>) -> Self {
        door.metrics.watch_begun();
        Self(door)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.metrics.watch_ended();
    }
}

fn label(labels: &mut Labels, call: &Call, path: &ResourcePath) {
    labels.verb = path.verb(&call.method, call.query.flag("watch")).to_owned();
    labels.group.clone_from(&path.group);
    labels.version.clone_from(&path.version);
    labels.resource.clone_from(&path.resource);
    labels.subresource.clone_from(&path.subresource);
}
