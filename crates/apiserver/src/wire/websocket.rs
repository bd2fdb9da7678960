//! Logs and watches over a WebSocket: what would be the body, as messages.
//!
//! Sessions (exec, attach, port-forward) are not here: their frames pass through to the kubelet.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use machinery::status::Status;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::Body;

const BINARY: &str = "binary.k8s.io";
const BASE64: &str = "base64.binary.k8s.io";

/// How the body becomes messages.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Messages {
    /// A text for each line.
    Lines,
    /// Bytes as they come.
    Binary,
    /// The same as base64 text.
    Base64,
}

/// Whether the client asks for a WebSocket.
pub fn wanted(headers: &HeaderMap) -> bool {
    let upgrade = headers.get(UPGRADE).and_then(|v| v.to_str().ok());
    upgrade.is_some_and(|v| v.eq_ignore_ascii_case("websocket")) && headers.contains_key(SEC_WEBSOCKET_KEY)
}

/// How a log is to be sent, by the first protocol offered that we have.
pub fn of_log(headers: &HeaderMap) -> (Messages, Option<&'static str>) {
    let offered = headers.get(SEC_WEBSOCKET_PROTOCOL).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let known = |name: &str| match name.trim() {
        BINARY => Some((Messages::Binary, Some(BINARY))),
        BASE64 => Some((Messages::Base64, Some(BASE64))),
        _ => None,
    };
    offered.split(',').find_map(known).unwrap_or((Messages::Binary, None))
}

/// Accepts the upgrade and sends the body of what would have been the response; the socket is closed at its end.
///
/// # Errors
/// 400 for a handshake without a key.
pub fn accept(
    incoming: Request<Incoming>,
    body: Body,
    messages: Messages,
    protocol: Option<&'static str>,
) -> Result<Response<Body>, Status> {
    let key = incoming.headers().get(SEC_WEBSOCKET_KEY).cloned();
    let key = key.ok_or_else(|| Status::bad_request("the WebSocket handshake has no key"))?;
    tokio::spawn(async move {
        match hyper::upgrade::on(incoming).await {
            Ok(upgraded) => {
                let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
                if let Err(error) = pump(socket, body, messages).await {
                    tracing::debug!(%error, "a WebSocket ended");
                }
            }
            Err(error) => tracing::debug!(%error, "a WebSocket was accepted and then not made"),
        }
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    let accepted = HeaderValue::from_str(&derive_accept_key(key.as_bytes()));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accepted.map_err(Status::internal)?);
    if let Some(protocol) = protocol {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
    }
    Ok(response)
}

type Socket = WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>;

/// Sends until the body or the client ends. What the client says is read for its pings and its close only.
async fn pump(socket: Socket, body: Body, messages: Messages) -> Result<(), tokio_tungstenite::tungstenite::Error> {
    let (mut sink, mut source) = socket.split();
    let mut chunks = body.into_stream();
    loop {
        tokio::select! {
            heard = source.next() => match heard {
                None | Some(Ok(Message::Close(_)) | Err(_)) => return Ok(()),
                Some(Ok(_)) => {}
            },
            chunk = chunks.next() => {
                let Some(Ok(chunk)) = chunk else { break };
                for message in framed(&chunk, messages) {
                    sink.send(message).await?;
                }
            }
        }
    }
    sink.close().await
}

fn framed(chunk: &Bytes, messages: Messages) -> Vec<Message> {
    match messages {
        Messages::Binary => vec![Message::Binary(chunk.clone())],
        Messages::Base64 => vec![Message::text(STANDARD.encode(chunk))],
        Messages::Lines => {
            let lines = chunk.split(|b| *b == b'\n').filter(|line| !line.is_empty());
            lines.map(|line| Message::text(String::from_utf8_lossy(line).into_owned())).collect()
        }
    }
}
