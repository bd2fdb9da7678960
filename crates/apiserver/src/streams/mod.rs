//! Streams that end in a kubelet, a pod or a service: logs, exec, attach, port-forward and proxy.
//!
//! ```text
//!   authorize ─▶ options ─▶ target (pod, node, endpoint) ─▶ dial ─▶ relay (bytes both ways, upgrade or not)
//! ```
//! Nothing in a stream is understood here: SPDY and WebSocket frames pass through as raw bytes, and the kubelet
//! at the other end speaks them with the client.

mod dial;
mod options;
mod proxy;
mod relay;
mod rewrite;
mod target;

use std::sync::Arc;

use http::{Method, Response};
use machinery::identity::User;
use machinery::status::Status;

pub use dial::{ByteStream, Dialer, Tls as TlsDialer};

use crate::authz::Attributes;
use crate::door::{Call, Door};
use crate::wire::intake::Came;
use crate::wire::path::ResourcePath;
use crate::wire::{Body, websocket};

/// How streams reach kubelets.
pub struct Streams {
    pub kubelets: Arc<dyn Dialer>,
}

const STREAMS: &[(&str, &str)] = &[
    ("pods", "log"),
    ("pods", "exec"),
    ("pods", "attach"),
    ("pods", "portforward"),
    ("pods", "proxy"),
    ("services", "proxy"),
    ("nodes", "proxy"),
];

/// Whether the path is one of the streams, which never reach the registry.
pub fn is_stream(path: &ResourcePath) -> bool {
    let this = (path.resource.as_str(), path.subresource.as_str());
    path.group.is_empty() && path.version == "v1" && !path.name.is_empty() && STREAMS.contains(&this)
}

/// Authorizes and connects.
///
/// # Errors
/// 403, and what keeps the stream from being opened.
pub async fn answer(
    door: &Arc<Door>,
    call: Call,
    path: ResourcePath,
    user: User,
    incoming: Came,
) -> Result<Response<Body>, Status> {
    authorize(door, &call, &path, &user).await?;
    match path.subresource.as_str() {
        "log" if matches!(call.method, Method::GET | Method::HEAD) => log(door, call, path, incoming).await,
        "exec" | "attach" | "portforward" if matches!(call.method, Method::GET | Method::POST) => {
            session(door, call, path, incoming).await
        }
        "proxy" => proxy::answer(door, call, path, incoming).await,
        _ => Err(Status::method_not_allowed()),
    }
}

/// A session begun by GET (a WebSocket) needs the permission to create it as well: reading must not be enough to
/// run commands.
async fn authorize(door: &Door, call: &Call, path: &ResourcePath, user: &User) -> Result<(), Status> {
    let mut verbs = vec![path.verb(&call.method, false)];
    let session = matches!(path.subresource.as_str(), "exec" | "attach" | "portforward");
    if session && verbs == ["get"] {
        verbs.push("create");
    }
    for verb in verbs {
        let rest = [path.namespace.as_str(), path.name.as_str(), path.subresource.as_str()];
        let asked = Attributes::resource(verb, &path.group, &path.resource, rest);
        door.front.authorizer.check(user, &asked).await?;
    }
    Ok(())
}

async fn log(door: &Arc<Door>, call: Call, path: ResourcePath, incoming: Came) -> Result<Response<Body>, Status> {
    let (asked, query) = options::log(&call.query, &path.name)?;
    let pod = target::pod(door, &path).await?;
    let container = target::container(&pod, &asked)?;
    let Some(node) = target::node_name(&pod) else {
        // Nothing was ever written.
        return Ok(crate::wire::answer::response(200, "text/plain", Body::empty()));
    };
    let kubelet = target::kubelet(door, &node).await?;
    let place = format!("/containerLogs/{}/{}/{container}", path.namespace, path.name);
    let stream = dial::kubelet(door, &kubelet).await?;
    let request = relay::request(&Method::GET, &place, &query, &kubelet.authority());
    let response = relay::send(stream, request).await?;
    let response = relay::as_log(relay::checked(response, "pods/log", &path.name).await?, &call.connection);
    if websocket::wanted(&call.headers) {
        let (messages, protocol) = websocket::of_log(&call.headers);
        return websocket::accept(incoming.take()?, response.into_body(), messages, protocol);
    }
    Ok(response)
}

async fn session(door: &Arc<Door>, call: Call, path: ResourcePath, incoming: Came) -> Result<Response<Body>, Status> {
    if !relay::wants_upgrade(&call.headers) {
        return Err(Status::bad_request("Upgrade request required"));
    }
    let pod = target::pod(door, &path).await?;
    let (container, query) = match path.subresource.as_str() {
        "portforward" => (None, options::port_forward(&call.query)?),
        sort => {
            let (asked, query) = options::session(&call.query, sort)?;
            (Some(target::container(&pod, &asked)?), query)
        }
    };
    let node = target::node_name(&pod);
    let node = node.ok_or_else(|| Status::bad_request(format!("pod {} does not have a host assigned", path.name)))?;
    let kubelet = target::kubelet(door, &node).await?;
    let verb = if path.subresource == "portforward" { "portForward" } else { &path.subresource };
    let mut place = format!("/{verb}/{}/{}", path.namespace, path.name);
    if let Some(container) = container {
        place = format!("{place}/{container}");
    }
    let stream = dial::kubelet(door, &kubelet).await?;
    let request = relay::request(&call.method, &place, &query, &kubelet.authority());
    relay::upgrade(stream, relay::with_headers(request, &call.headers), incoming.take()?, &call.connection).await
}
