//! WebSocket connections in the shapes that Kubernetes uses: channels by a first byte, plain or in base64, and a tunnel of
//! bytes. Not here: what the channels mean.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};

/// Bytes that a tunnel holds in each direction.
const TUNNEL_BYTES: usize = 64 << 10;

pub type Socket<S> = WebSocketStream<S>;

/// The answer to a client's key, by RFC 6455.
pub fn accept_key(key: &[u8]) -> String {
    tokio_tungstenite::tungstenite::handshake::derive_accept_key(key)
}

pub async fn accept<S: AsyncRead + AsyncWrite + Unpin>(connection: S) -> Socket<S> {
    WebSocketStream::from_raw_socket(connection, Role::Server, None).await
}

/// How channels are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// The first byte is the channel's number.
    Binary,
    /// The first character is the channel's digit, the rest base64.
    Base64,
}

impl Framing {
    pub fn named(protocol: &str) -> Framing {
        if protocol.contains("base64") { Framing::Base64 } else { Framing::Binary }
    }

    pub fn encode(self, channel: u8, payload: &[u8]) -> Message {
        match self {
            Framing::Binary => {
                let mut bytes = Vec::with_capacity(payload.len() + 1);
                bytes.push(channel);
                bytes.extend_from_slice(payload);
                Message::Binary(bytes.into())
            }
            Framing::Base64 => {
                Message::Text(format!("{}{}", char::from(b'0' + channel), STANDARD.encode(payload)).into())
            }
        }
    }

    /// Channel and payload; `None` for what is no channel message.
    pub fn decode(self, message: Message) -> Option<(u8, Bytes)> {
        let bytes: Bytes = match message {
            Message::Binary(bytes) => bytes,
            Message::Text(text) => text.into(),
            _ => return None,
        };
        let (first, rest) = bytes.split_first()?;
        match self {
            Framing::Binary => Some((*first, bytes.slice(1..))),
            Framing::Base64 => Some((first.wrapping_sub(b'0'), STANDARD.decode(rest).ok()?.into())),
        }
    }
}

/// The message that ends a stream in order: clients take a close without a code for a failure.
pub fn goodbye() -> Message {
    let frame = CloseFrame { code: CloseCode::Normal, reason: Default::default() };
    Message::Close(Some(frame))
}

/// The bytes inside of binary messages as one stream in each direction.
pub fn tunnel<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(connection: S) -> DuplexStream {
    let (inside, outside) = tokio::io::duplex(TUNNEL_BYTES);
    tokio::spawn(async move {
        let (mut sink, mut messages) = accept(connection).await.split();
        let (mut reader, mut writer) = tokio::io::split(inside);
        let inward = async {
            while let Some(Ok(message)) = messages.next().await {
                match message {
                    Message::Binary(bytes) if writer.write_all(&bytes).await.is_err() => return,
                    Message::Close(_) => return,
                    _ => {}
                }
            }
        };
        let outward = async {
            let mut buffer = vec![0; TUNNEL_BYTES / 2];
            while let Ok(length @ 1..) = reader.read(&mut buffer).await {
                if sink.send(Message::Binary(Bytes::copy_from_slice(&buffer[..length]))).await.is_err() {
                    return;
                }
            }
            // The other side may be gone already.
            let _ = sink.send(goodbye()).await;
        };
        tokio::select! { () = inward => {}, () = outward => {} }
    });
    outside
}
