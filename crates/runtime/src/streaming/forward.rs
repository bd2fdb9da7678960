//! Port-forward: connections to ports of a pod's loopback interface, carried over streams. Not here: how streams travel.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;

use super::remote::CHANNEL_DEPTH;
use super::server::Connection as Transport;
use super::spdy::{Connection, Incoming, StreamEvent};
use super::websocket::{self, Framing};
use crate::Runtime;
use crate::shim::protocol::{Call, Stream};

const READ_LENGTH: usize = 32 << 10;

/// Connects to a port of the pod: the shim opens the socket, since it lives in the pod's network.
async fn connect(runtime: &Runtime, sandbox: &str, port: u16) -> Result<TcpStream, String> {
    let shim = runtime.state().sandboxes.get(sandbox).and_then(|sandbox| sandbox.shim.clone());
    let shim = shim.ok_or_else(|| format!("sandbox container {sandbox:?} is not running"))?;
    let mut refusal = String::new();
    for ipv6 in [false, true] {
        let streams = shim.streams(Call::Connect { port, ipv6 }).await;
        match streams.map_err(|problem| problem.to_string()) {
            Ok(streams) => {
                let socket = streams.into_iter().find(|(stream, _)| *stream == Stream::Socket);
                match connected(socket.map(|(_, fd)| fd)).await {
                    Ok(socket) => return Ok(socket),
                    Err(problem) if refusal.is_empty() => refusal = problem.to_string(),
                    Err(_) => {}
                }
            }
            Err(problem) if refusal.is_empty() => refusal = problem,
            Err(_) => {}
        }
    }
    Err(format!("failed to connect to localhost:{port} inside namespace: {refusal}"))
}

/// Waits until a socket that is connecting is connected.
async fn connected(socket: Option<OwnedFd>) -> io::Result<TcpStream> {
    let socket = TcpStream::from_std(std::net::TcpStream::from(socket.ok_or(io::ErrorKind::NotFound)?))?;
    socket.writable().await?;
    match socket.take_error()? {
        Some(problem) => Err(problem),
        None => Ok(socket),
    }
}

/// Half of a pair, waiting for the other: clients open an error and a data stream for each connection.
#[derive(Default)]
struct Pair {
    data: Option<Incoming>,
    error: Option<Incoming>,
}

/// Serves until the client goes. Pairs belong together by `requestid`.
pub async fn over_spdy<S: AsyncRead + AsyncWrite + Send + 'static>(runtime: &Runtime, sandbox: &str, transport: S) {
    let mut connection = Connection::new(transport);
    let mut pairs: BTreeMap<String, Pair> = BTreeMap::new();
    let mut running = tokio::task::JoinSet::new();
    while let Some(stream) = connection.streams.recv().await {
        while running.try_join_next().is_some() {}
        let header = |name: &str| stream.headers.get(name).cloned().unwrap_or_default();
        let (id, port) = (header("requestid"), header("port"));
        let key = if id.is_empty() { port.clone() } else { id };
        let pair = pairs.entry(key.clone()).or_default();
        match header("streamtype").as_str() {
            "data" => pair.data = Some(stream),
            "error" => pair.error = Some(stream),
            _ => continue,
        }
        if let Some(Pair { data: Some(data), error: Some(error) }) =
            pairs.remove(&key).map(|pair| keep(&mut pairs, &key, pair))
        {
            running.spawn(forward(runtime.clone(), sandbox.to_string(), port, data, error));
        }
    }
    running.shutdown().await;
    connection.close().await;
}

/// Puts an incomplete pair back.
fn keep(pairs: &mut BTreeMap<String, Pair>, key: &str, pair: Pair) -> Pair {
    if pair.data.is_some() && pair.error.is_some() {
        return pair;
    }
    pairs.insert(key.to_string(), pair);
    Pair::default()
}

async fn forward(runtime: Runtime, sandbox: String, port: String, data: Incoming, error: Incoming) {
    let socket = match port.parse() {
        Ok(port) => connect(&runtime, &sandbox, port).await,
        Err(_) => Err(format!("{port:?} is not a port")),
    };
    match socket {
        Ok(socket) => {
            let (mut reader, mut writer) = socket.into_split();
            let Incoming { mut events, writer: client, .. } = data;
            let inward = async {
                while let Some(StreamEvent::Data(bytes)) = events.recv().await {
                    if writer.write_all(&bytes).await.is_err() {
                        return;
                    }
                }
                // The pod's side may have closed first.
                let _ = writer.shutdown().await;
            };
            let outward = async {
                let mut buffer = vec![0; READ_LENGTH];
                while let Ok(length @ 1..) = reader.read(&mut buffer).await {
                    if !client.data(&buffer[..length]).await {
                        return;
                    }
                }
                client.finish().await;
            };
            tokio::join!(inward, outward);
        }
        Err(problem) => {
            let text = format!("error forwarding port {port} to pod {sandbox}, uid : {problem}");
            error.writer.data(text.as_bytes()).await;
            data.writer.finish().await;
        }
    }
    error.writer.finish().await;
}

/// The older way: two channels for each port of the request, data and error, each begun by the port's number.
pub async fn over_websocket(runtime: &Runtime, sandbox: &str, ports: &[u16], framing: Framing, transport: Transport) {
    let (mut sink, mut messages) = websocket::accept(transport).await.split();
    let (output, mut outputs) = mpsc::channel::<(u8, Bytes)>(CHANNEL_DEPTH);
    let mut inputs = BTreeMap::new();
    let mut running = tokio::task::JoinSet::new();
    for (index, port) in ports.iter().enumerate().take(usize::from(u8::MAX / 2)) {
        let channel = (index * 2) as u8;
        for number in [channel, channel + 1] {
            if sink.send(framing.encode(number, &port.to_le_bytes())).await.is_err() {
                return;
            }
        }
        let (input, from_client) = mpsc::channel(CHANNEL_DEPTH);
        inputs.insert(channel, input);
        running.spawn(channel_pair(runtime.clone(), sandbox.to_string(), *port, channel, from_client, output.clone()));
    }
    drop(output);
    let writing = async {
        while let Some((channel, bytes)) = outputs.recv().await {
            if sink.send(framing.encode(channel, &bytes)).await.is_err() {
                return;
            }
        }
        // The client may have closed first.
        let _ = sink.send(websocket::goodbye()).await;
    };
    let reading = async {
        while let Some(Ok(message)) = messages.next().await {
            if matches!(message, Message::Close(_)) {
                return;
            }
            let Some((channel, bytes)) = framing.decode(message) else { continue };
            if let Some(input) = inputs.get(&channel) {
                // A port whose connection has ended swallows the rest.
                let _ = input.send(bytes).await;
            }
        }
    };
    tokio::select! { () = writing => {}, () = reading => {} }
    running.shutdown().await;
}

async fn channel_pair(
    runtime: Runtime,
    sandbox: String,
    port: u16,
    channel: u8,
    mut input: mpsc::Receiver<Bytes>,
    output: mpsc::Sender<(u8, Bytes)>,
) {
    let socket = match connect(&runtime, &sandbox, port).await {
        Ok(socket) => socket,
        Err(problem) => {
            let text = format!("error forwarding port {port} to pod {sandbox}, uid : {problem}");
            let _ = output.send((channel + 1, text.into())).await;
            return;
        }
    };
    let (mut reader, mut writer) = socket.into_split();
    let inward = async {
        while let Some(bytes) = input.recv().await {
            if writer.write_all(&bytes).await.is_err() {
                return;
            }
        }
    };
    let outward = async {
        let mut buffer = vec![0; READ_LENGTH];
        while let Ok(length @ 1..) = reader.read(&mut buffer).await {
            if output.send((channel, Bytes::copy_from_slice(&buffer[..length]))).await.is_err() {
                return;
            }
        }
    };
    tokio::select! { () = inward => {}, () = outward => {} }
}
