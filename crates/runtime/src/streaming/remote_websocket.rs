//! Exec and attach over WebSocket channels: 0 to 2 are the standard streams, 3 says how it ended, 4 has sizes of the
//! terminal, and in version 5 channel 255 closes another. Not here: the process.

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;

use super::remote::{self, CHANNEL_DEPTH, Input, Output};
use super::server::Connection;
use super::websocket::{self, Framing};
use super::{Session, Wanted};
use crate::Runtime;

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ERROR: u8 = 3;
const RESIZE: u8 = 4;
const CLOSE: u8 = 255;

pub async fn run(runtime: &Runtime, session: Session, protocol: &str, connection: Connection) {
    let framing = Framing::named(protocol);
    let has_status = protocol.starts_with("v4.") || protocol.starts_with("v5.");
    let wanted = wanted(&session);
    let (mut sink, mut messages) = websocket::accept(connection).await.split();
    let (input, inputs) = mpsc::channel(CHANNEL_DEPTH);
    let (output, mut outputs) = mpsc::channel(CHANNEL_DEPTH);
    let reading = tokio::spawn(async move {
        while let Some(Ok(message)) = messages.next().await {
            if matches!(message, Message::Close(_)) {
                return;
            }
            let heard = framing.decode(message).and_then(|(channel, payload)| heard(channel, payload));
            if let Some(heard) = heard
                && input.send(heard).await.is_err()
            {
                return;
            }
        }
    });
    // One empty message says that the process is connected, on the lowest channel that there is. One on each would
    // reach clients before they know all of their channels.
    let lowest = if wanted.stdout {
        STDOUT
    } else if wanted.stderr {
        STDERR
    } else {
        ERROR
    };
    if sink.send(framing.encode(lowest, b"")).await.is_err() {
        return;
    }
    let writing = async {
        while let Some(output) = outputs.recv().await {
            let message = match output {
                Output::Stdout(bytes) => framing.encode(STDOUT, &bytes),
                Output::Stderr(bytes) => framing.encode(STDERR, &bytes),
            };
            if sink.send(message).await.is_err() {
                return;
            }
        }
    };
    let (ending, ()) = tokio::join!(remote::run(runtime, session, inputs, output), writing);
    let said = if has_status { ending.json().to_string() } else { ending.text() };
    let last = sink.send(framing.encode(ERROR, said.as_bytes())).await;
    if last.is_ok() {
        // The client may have closed first.
        let _ = sink.send(websocket::goodbye()).await;
    }
    reading.abort();
}

fn wanted(session: &Session) -> Wanted {
    match session {
        Session::Exec { streams, .. } | Session::Attach { streams, .. } => *streams,
        Session::Forward { .. } => Wanted::default(),
    }
}

fn heard(channel: u8, payload: Bytes) -> Option<Input> {
    match channel {
        STDIN => Some(Input::Stdin(payload)),
        RESIZE => remote::size(&payload),
        CLOSE if payload.first() == Some(&STDIN) => Some(Input::StdinEnd),
        _ => None,
    }
}
