//! Exec and attach over SPDY streams, one for each of error, stdin, stdout, stderr and resize. Not here: the process.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::mpsc;

use super::remote::{self, CHANNEL_DEPTH, Input, Output};
use super::server::Connection as Transport;
use super::spdy::{Connection, Incoming, StreamEvent, Writer};
use super::{Session, Wanted};
use crate::Runtime;

/// How long the client may take to open its streams.
const STREAMS_TIMEOUT_S: u64 = 30;

pub async fn run(runtime: &Runtime, session: Session, protocol: &str, transport: Transport) {
    let mut connection = Connection::new(transport);
    let wanted = match &session {
        Session::Exec { streams, .. } | Session::Attach { streams, .. } => *streams,
        Session::Forward { .. } => return,
    };
    // Sizes came with version 3.
    let resizes = wanted.tty && !matches!(protocol, "channel.k8s.io" | "v2.channel.k8s.io");
    let limit = Duration::from_secs(STREAMS_TIMEOUT_S);
    let Ok(Some(mut streams)) = tokio::time::timeout(limit, gather(&mut connection, wanted, resizes)).await else {
        return connection.close().await;
    };
    let (input, inputs) = mpsc::channel(CHANNEL_DEPTH);
    let (output, outputs) = mpsc::channel(CHANNEL_DEPTH);
    let mut carrying = tokio::task::JoinSet::new();
    for name in ["stdin", "resize"] {
        if let Some(stream) = streams.remove(name) {
            carrying.spawn(carry(stream.events, name == "stdin", input.clone()));
        }
    }
    // The session must hear that the client is gone, also when it had closed its input long before.
    let client = connection.ended();
    carrying.spawn(async move {
        let _held = input;
        client.await;
    });
    let writer = |name: &str| streams.get(name).map(|stream| stream.writer.clone());
    let (stdout, stderr, error) = (writer("stdout"), writer("stderr"), writer("error"));
    let writing = write(outputs, &stdout, &stderr);
    let (ending, ()) = tokio::join!(remote::run(runtime, session, inputs, output), writing);
    for stream in [stdout, stderr].iter().flatten() {
        stream.finish().await;
    }
    if let Some(error) = error {
        let has_status = matches!(protocol, "v4.channel.k8s.io" | "v5.channel.k8s.io");
        let said = if has_status { ending.json().to_string() } else { ending.text() };
        if !said.is_empty() {
            error.data(said.as_bytes()).await;
        }
        error.finish().await;
    }
    drop(carrying);
    drop(streams);
    connection.close().await;
}

/// The streams that the client opens, by type; `None` if it goes first.
async fn gather(connection: &mut Connection, wanted: Wanted, resizes: bool) -> Option<BTreeMap<String, Incoming>> {
    let count = 1 + [wanted.stdin, wanted.stdout, wanted.stderr, resizes].into_iter().filter(|wanted| *wanted).count();
    let mut streams = BTreeMap::new();
    while streams.len() < count {
        let stream = connection.streams.recv().await?;
        streams.insert(stream.headers.get("streamtype").cloned().unwrap_or_default(), stream);
    }
    Some(streams)
}

async fn carry(mut events: mpsc::Receiver<StreamEvent>, is_stdin: bool, input: mpsc::Sender<Input>) {
    while let Some(event) = events.recv().await {
        let heard = match event {
            StreamEvent::Data(bytes) if is_stdin => Some(Input::Stdin(bytes)),
            StreamEvent::Data(bytes) => remote::size(&bytes),
            StreamEvent::End => is_stdin.then_some(Input::StdinEnd),
        };
        if let Some(heard) = heard
            && input.send(heard).await.is_err()
        {
            return;
        }
    }
}

async fn write(mut outputs: mpsc::Receiver<Output>, stdout: &Option<Writer>, stderr: &Option<Writer>) {
    while let Some(output) = outputs.recv().await {
        let (writer, bytes) = match output {
            Output::Stdout(bytes) => (stdout, bytes),
            Output::Stderr(bytes) => (stderr, bytes),
        };
        if let Some(writer) = writer
            && !writer.data(&bytes).await
        {
            return;
        }
    }
}
