//! One HTTP/1.1 exchange with a kubelet or pod on a connection of its own, and the bytes after an upgrade.

use futures::StreamExt;
use http::header::{CONNECTION, HOST, HeaderName, SEC_WEBSOCKET_PROTOCOL, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use machinery::status::{Cause, Status};

use super::dial::ByteStream;
use crate::listen::Connection;
use crate::wire::{Body, BodyError};

const ERROR_BYTES_MAX: usize = 64 * 1024;
/// Headers that belong to one connection, and credentials, which are ours towards the kubelet.
const NOT_PASSED_ON: &[&str] = &[
    "authorization",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "content-length",
    "accept-encoding",
];

type Sent = http_body_util::combinators::BoxBody<bytes::Bytes, BodyError>;

/// A request without a body.
pub fn request(method: &Method, path: &str, query: &str, authority: &str) -> Request<Sent> {
    let place = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
    let mut request = Request::new(Empty::new().map_err(|never| match never {}).boxed());
    *request.method_mut() = method.clone();
    *request.uri_mut() = place.parse().unwrap_or_default();
    if let Ok(host) = HeaderValue::from_str(authority) {
        request.headers_mut().insert(HOST, host);
    }
    request
}

/// The client's headers on the request, without those of its connection and its credentials.
pub fn with_headers(mut request: Request<Sent>, headers: &HeaderMap) -> Request<Sent> {
    for (name, value) in headers {
        let ours = NOT_PASSED_ON.contains(&name.as_str()) || name.as_str().starts_with("impersonate-");
        let value = if name == SEC_WEBSOCKET_PROTOCOL { without_token(value) } else { value.clone() };
        if !ours && !value.is_empty() {
            request.headers_mut().append(name.clone(), value);
        }
    }
    request
}

/// WebSocket protocols without the one that is a bearer token.
fn without_token(protocols: &HeaderValue) -> HeaderValue {
    let parts = protocols.to_str().unwrap_or_default().split(',').map(str::trim);
    let kept: Vec<_> = parts.filter(|p| !p.starts_with(crate::door::PROTOCOL_TOKEN)).collect();
    HeaderValue::from_str(&kept.join(", ")).unwrap_or(HeaderValue::from_static(""))
}

/// The client's body on the request.
pub fn with_body(request: Request<Sent>, body: Incoming) -> Request<Sent> {
    request.map(|_| body.map_err(BodyError::from).boxed())
}

pub fn wants_upgrade(headers: &HeaderMap) -> bool {
    let named = |value: &HeaderValue| {
        value.to_str().is_ok_and(|v| v.split(',').any(|part| part.trim().eq_ignore_ascii_case("upgrade")))
    };
    headers.contains_key(UPGRADE) && headers.get_all(CONNECTION).iter().any(named)
}

/// Sends the request; the connection lives as long as the response's body or its upgrade.
///
/// # Errors
/// 500 when the other side does not speak HTTP.
pub async fn send(stream: Box<dyn ByteStream>, request: Request<Sent>) -> Result<Response<Incoming>, Status> {
    let broken = |e: hyper::Error| Status::internal(format!("error dialing backend: {e}"));
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "a relayed connection ended");
        }
    });
    sender.send_request(request).await.map_err(broken)
}

/// Refusals of the kubelet as a Status, as upstream turns them.
///
/// # Errors
/// Every answer that is no success.
pub async fn checked(response: Response<Incoming>, resource: &str, name: &str) -> Result<Response<Incoming>, Status> {
    let code = response.status();
    if code.is_success() {
        return Ok(response);
    }
    let text = text_of(response).await;
    Err(match code {
        StatusCode::INTERNAL_SERVER_ERROR => Status::internal(text),
        StatusCode::BAD_REQUEST => Status::bad_request(text),
        _ => generic(code, resource, name, &text),
    })
}

/// Upstream's `NewGenericServerResponse`, for an answer that came from behind the API server.
fn generic(code: StatusCode, resource: &str, name: &str, text: &str) -> Status {
    let (reason, message) = match code.as_u16() {
        404 => ("NotFound", "the server could not find the requested resource"),
        401 => ("Unauthorized", "the server has asked for the client to provide credentials"),
        403 => ("Forbidden", text),
        503 => ("ServiceUnavailable", text),
        _ => ("InternalError", "an error on the server has prevented the request from succeeding"),
    };
    let message = if message == text { text.to_owned() } else { format!("{message} ( {resource} {name})") };
    let mut status = Status::failure(code.as_u16(), reason, message).with_details("", resource, name);
    if let Some(details) = &mut status.details {
        let cause = Cause { reason: "UnexpectedServerResponse".into(), message: text.to_owned(), field: String::new() };
        details.causes.push(cause);
    }
    status
}

async fn text_of(response: Response<Incoming>) -> String {
    let body = Limited::new(response.into_body(), ERROR_BYTES_MAX).collect().await;
    body.map(|b| String::from_utf8_lossy(&b.to_bytes()).into_owned()).unwrap_or_default()
}

/// A log as the client gets it, flushed as it comes.
pub fn as_log(response: Response<Incoming>, connection: &Connection) -> Response<Body> {
    let mut out = crate::wire::answer::response(200, "text/plain", streamed(response.into_body(), connection));
    out.headers_mut().insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    out
}

/// A response passed on as it is.
pub fn passed_on(response: Response<Incoming>, connection: &Connection) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    for name in ["connection", "keep-alive", "proxy-connection", "trailer"] {
        parts.headers.remove(HeaderName::from_static(name));
    }
    parts.headers.remove(TRANSFER_ENCODING);
    Response::from_parts(parts, streamed(body, connection))
}

/// The body as it comes. It ends with the server: a followed log would keep it from stopping.
fn streamed(body: Incoming, connection: &Connection) -> Body {
    let frames = futures::stream::unfold(body, |mut body| async move {
        loop {
            match body.frame().await? {
                Ok(frame) => match frame.into_data() {
                    Ok(data) => return Some((Ok(data), body)),
                    // Trailers are not passed on.
                    Err(_) => continue,
                },
                Err(error) => return Some((Err(BodyError::from(error)), body)),
            }
        }
    });
    Body::Stream(Box::pin(frames.take_until(connection.stop.clone().cancelled_owned())))
}

/// Asks for the upgrade and, when it is granted, ties both connections together until one ends or the server
/// stops. A refusal is passed on.
///
/// # Errors
/// 500 when the other side does not speak HTTP.
pub async fn upgrade(
    stream: Box<dyn ByteStream>,
    request: Request<Sent>,
    incoming: Request<Incoming>,
    connection: &Connection,
) -> Result<Response<Body>, Status> {
    let mut response = send(stream, request).await?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(passed_on(response, connection));
    }
    let theirs = hyper::upgrade::on(&mut response);
    let ours = hyper::upgrade::on(incoming);
    let stop = connection.stop.clone();
    tokio::spawn(async move {
        let (Ok(theirs), Ok(ours)) = tokio::join!(theirs, ours) else {
            tracing::debug!("an upgrade was granted and then not made");
            return;
        };
        let (mut theirs, mut ours) = (TokioIo::new(theirs), TokioIo::new(ours));
        tokio::select! {
            () = stop.cancelled() => {}
            ended = tokio::io::copy_bidirectional(&mut theirs, &mut ours) => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a stream ended");
                }
            }
        }
    });
    let (parts, _) = response.into_parts();
    Ok(Response::from_parts(parts, Body::empty()))
}
