//! WebSocket connections: exec, attach and port-forward.
//!
//! Source: <https://kubernetes.io/docs/reference/using-api/> and upstream's
//! `apimachinery/pkg/util/{httpstream/wsstream,remotecommand}`.

use base64::Engine as _;
use bytes::{Bytes, BytesMut};
use futures::{SinkExt, StreamExt};
use http::{HeaderValue, Request as HttpRequest, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use hyper_util::rt::TokioIo;
use kube_client::client::Body;
use machinery::status::Status;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::{Https, chain};

/// exec and attach, newest first: v5 can close a channel.
pub const REMOTE_COMMAND: &[&str] = &["v5.channel.k8s.io", "v4.channel.k8s.io"];
/// Port-forward over plain channels.
pub const PORT_FORWARD: &[&str] = &["v4.channel.k8s.io"];
/// Port-forward as upstream's clients since 1.30 ask for it: SPDY inside the WebSocket.
pub const PORT_FORWARD_TUNNEL: &[&str] = &["SPDY/3.1+portforward.k8s.io"];

/// Of a plain refusal no more is read.
const REFUSAL_BYTES_MAX: usize = 64 << 10;

/// The channel number that closes another one (its number is the payload), since v5.
const CLOSE_CHANNEL: u8 = 255;

/// An open WebSocket with the protocol that the server chose.
pub struct Socket {
    pub protocol: String,
    pub stream: WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>,
}

/// One message on a channel of a `*.channel.k8s.io` protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    Data { channel: u8, data: Bytes },
    Close { channel: u8 },
}

impl Https {
    /// Sends a request for an upgrade. What a node says in plain words of its own is kept.
    async fn upgrade(&self, request: HttpRequest<Bytes>) -> Result<Response<Body>, Status> {
        let response = self.send_once(request).await?;
        if response.status().as_u16() < 400 {
            return Ok(response);
        }
        let code = response.status().as_u16();
        let is_plain =
            response.headers().get(header::CONTENT_TYPE).is_none_or(|kind| kind.as_bytes().starts_with(b"text/"));
        if !is_plain {
            return Err(super::answer::failure(response).await);
        }
        let body = Limited::new(response.into_body(), REFUSAL_BYTES_MAX).collect().await;
        let text = body.map(|body| String::from_utf8_lossy(&body.to_bytes()).trim().to_owned()).unwrap_or_default();
        Err(Status::failure(code, "", format!("unable to upgrade connection: {text}")))
    }

    /// Opens a WebSocket at a path with query; the server picks one of `protocols`.
    ///
    /// # Errors
    /// The server's `Status`; 503 when the upgrade does not come about.
    pub async fn connect(&self, path: &str, protocols: &[&str]) -> Result<Socket, Status> {
        let nonce = crate::World::real();
        let key = [(nonce.random)().to_ne_bytes(), (nonce.random)().to_ne_bytes()].concat();
        let key = base64::engine::general_purpose::STANDARD.encode(key);
        let request = HttpRequest::get(path)
            .header(header::CONNECTION, "Upgrade")
            .header(header::UPGRADE, "websocket")
            .header(header::SEC_WEBSOCKET_VERSION, "13")
            .header(header::SEC_WEBSOCKET_KEY, &key)
            .header(header::SEC_WEBSOCKET_PROTOCOL, protocols.join(", "))
            .body(Bytes::new())
            .map_err(|e| Status::bad_request(e.to_string()))?;
        let response = self.upgrade(request).await?;
        let accepted = response.headers().get(header::SEC_WEBSOCKET_ACCEPT).map(HeaderValue::as_bytes);
        if response.status() != StatusCode::SWITCHING_PROTOCOLS
            || accepted != Some(derive_accept_key(key.as_bytes()).as_bytes())
        {
            return Err(Status::unavailable(format!("the server did not switch to WebSocket: {}", response.status())));
        }
        let chosen = response.headers().get(header::SEC_WEBSOCKET_PROTOCOL).and_then(|v| v.to_str().ok());
        let protocol = chosen.unwrap_or_default().to_owned();
        if !protocols.contains(&protocol.as_str()) {
            return Err(Status::unavailable(format!(
                "the server chose the protocol {protocol:?}, not one of {protocols:?}"
            )));
        }
        let io = hyper::upgrade::on(response).await.map_err(|e| Status::unavailable(chain(&e)))?;
        let stream = WebSocketStream::from_raw_socket(TokioIo::new(io), Role::Client, None).await;
        Ok(Socket { protocol, stream })
    }
}

impl Socket {
    /// Whether a channel can be closed alone (stdin at its end).
    pub fn closes_channels(&self) -> bool {
        self.protocol.starts_with("v5.")
    }

    /// The next frame; `None` at the orderly end.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn receive(&mut self) -> Result<Option<Frame>, Status> {
        receive(&mut self.stream).await
    }

    /// Sends a frame; a close that the protocol does not know is left out.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn send(&mut self, frame: Frame) -> Result<(), Status> {
        if matches!(frame, Frame::Close { .. }) && !self.closes_channels() {
            return Ok(());
        }
        self.stream.send(Message::Binary(encode(&frame))).await.map_err(|e| Status::unavailable(chain(&e)))
    }
}

/// The next frame of any stream of WebSocket messages; `None` at the orderly end.
///
/// # Errors
/// The connection broke.
pub async fn receive<S>(stream: &mut S) -> Result<Option<Frame>, Status>
where
    S: futures::Stream<Item = Result<Message, tokio_tungstenite::tungstenite::Error>> + Unpin,
{
    loop {
        let data = match stream.next().await {
            None | Some(Ok(Message::Close(_))) => return Ok(None),
            Some(Err(error)) => return Err(Status::unavailable(chain(&error))),
            Some(Ok(Message::Binary(data))) => data,
            Some(Ok(Message::Text(text))) => Bytes::from(text),
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => continue,
        };
        if let Some(frame) = decode(data) {
            return Ok(Some(frame));
        }
    }
}

/// A frame as a message's payload: the channel's number, then the data.
pub fn encode(frame: &Frame) -> Bytes {
    match frame {
        Frame::Close { channel } => Bytes::copy_from_slice(&[CLOSE_CHANNEL, *channel]),
        Frame::Data { channel, data } => {
            let mut out = BytesMut::with_capacity(data.len() + 1);
            out.extend_from_slice(&[*channel]);
            out.extend_from_slice(data);
            out.freeze()
        }
    }
}

/// The frame in a message; an empty message is none.
pub fn decode(mut payload: Bytes) -> Option<Frame> {
    let channel = *payload.first()?;
    let data = payload.split_off(1);
    match (channel, data.first()) {
        (CLOSE_CHANNEL, Some(&closed)) => Some(Frame::Close { channel: closed }),
        _ => Some(Frame::Data { channel, data }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_survive_the_wire() {
        for frame in [Frame::Data { channel: 1, data: Bytes::from_static(b"x") }, Frame::Close { channel: 0 }] {
            assert_eq!(decode(encode(&frame)), Some(frame));
        }
        assert_eq!(decode(Bytes::new()), None);
    }
}
