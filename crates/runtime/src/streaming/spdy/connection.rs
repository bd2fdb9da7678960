//! The server's side of one SPDY connection: streams come in, data goes both ways.
//!
//! A reading task hands each stream's data to whoever took the stream; a writing task serializes frames. Both end with
//! the connection. Not here: which streams there should be.

use std::collections::BTreeMap;
use std::io;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::frame::{self, FLAG_FIN, Frame, Kind};
use super::headers::{Decoder, Encoder, Headers};

/// Frames under way in one direction, per stream or per connection.
const DEPTH: usize = 16;
/// Streams of one connection: a port-forward takes two for each of its connections.
const STREAMS_MAX: usize = 4_096;

/// What a stream brings.
#[derive(Debug)]
pub enum StreamEvent {
    Data(Bytes),
    /// The other side will send no more.
    End,
}

/// A stream that the client opened.
pub struct Incoming {
    pub headers: Headers,
    pub events: mpsc::Receiver<StreamEvent>,
    pub writer: Writer,
}

/// Writes to one stream. Cheap to clone.
#[derive(Clone)]
pub struct Writer {
    stream: u32,
    frames: mpsc::Sender<Vec<u8>>,
}

impl Writer {
    /// Sends data; `false` when the connection is gone.
    pub async fn data(&self, bytes: &[u8]) -> bool {
        self.frames.send(frame::data(self.stream, false, bytes)).await.is_ok()
    }

    /// Ends our half of the stream.
    pub async fn finish(&self) -> bool {
        self.frames.send(frame::data(self.stream, true, &[])).await.is_ok()
    }
}

/// A connection; dropping it ends both tasks once what was written is out.
pub struct Connection {
    pub streams: mpsc::Receiver<Incoming>,
    frames: mpsc::Sender<Vec<u8>>,
    writing: tokio::task::JoinHandle<()>,
    reading: tokio::task::JoinHandle<()>,
    ended: CancellationToken,
}

impl Connection {
    pub fn new<S: AsyncRead + AsyncWrite + Send + 'static>(transport: S) -> Connection {
        let (reader, writer) = tokio::io::split(transport);
        let (frames, to_write) = mpsc::channel(DEPTH);
        let (opened, streams) = mpsc::channel(DEPTH);
        let writing = tokio::spawn(write(writer, to_write));
        let task = Reading { opened, frames: frames.clone(), streams: BTreeMap::new(), decoder: Decoder::new() };
        let ended = CancellationToken::new();
        let at_end = ended.clone().drop_guard();
        let reading = tokio::spawn(async move {
            let _at_end = at_end;
            if let Err(problem) = task.run(reader).await {
                tracing::debug!(%problem, "a SPDY connection broke");
            }
        });
        Connection { streams, frames, writing, reading, ended }
    }

    /// Ends when the client's side of the connection does.
    pub fn ended(&self) -> impl Future<Output = ()> + use<> {
        let ended = self.ended.clone();
        async move { ended.cancelled().await }
    }

    /// Says good-bye, and waits until everything is written.
    pub async fn close(self) {
        let Connection { frames, writing, reading, streams, .. } = self;
        let _ = frames.send(frame::go_away(0)).await;
        reading.abort();
        drop((frames, streams));
        // The task's own end is all that is asked.
        let _ = writing.await;
    }
}

async fn write<S: AsyncRead + AsyncWrite>(mut transport: WriteHalf<S>, mut frames: mpsc::Receiver<Vec<u8>>) {
    while let Some(bytes) = frames.recv().await {
        if transport.write_all(&bytes).await.is_err() {
            return;
        }
        if frames.is_empty() && transport.flush().await.is_err() {
            return;
        }
    }
    // The client may have closed first.
    let _ = transport.shutdown().await;
}

struct Reading {
    opened: mpsc::Sender<Incoming>,
    frames: mpsc::Sender<Vec<u8>>,
    streams: BTreeMap<u32, mpsc::Sender<StreamEvent>>,
    decoder: Decoder,
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("SPDY: {what}"))
}

impl Reading {
    async fn run<S: AsyncRead + AsyncWrite>(mut self, mut transport: ReadHalf<S>) -> io::Result<()> {
        let mut encoder = Encoder::new()?;
        while let Some(frame) = frame::read(&mut transport).await? {
            match frame {
                Frame::Data { stream, fin, payload } => self.data(stream, fin, payload).await,
                Frame::Control { kind: Kind::SynStream, flags, payload } => {
                    let headers = encoder.encode(&Headers::new())?;
                    self.open(flags, &payload, &headers).await?;
                }
                Frame::Control { kind: Kind::RstStream, payload, .. } => {
                    self.streams.remove(&stream_id(&payload)?);
                }
                Frame::Control { kind: Kind::Headers, payload, .. } => {
                    // Unused, but the zlib stream must see every block.
                    self.decoder.decode(payload.get(4..).ok_or_else(|| broken("short headers"))?)?;
                }
                Frame::Control { kind: Kind::Ping, payload, .. } => self.send(frame::ping(&payload)).await?,
                Frame::Control { kind: Kind::GoAway, .. } => return Ok(()),
                Frame::Control { kind: Kind::SynReply | Kind::Other, .. } => {}
            }
        }
        Ok(())
    }

    async fn send(&self, bytes: Vec<u8>) -> io::Result<()> {
        self.frames.send(bytes).await.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    async fn data(&mut self, stream: u32, fin: bool, payload: Bytes) {
        let Some(events) = self.streams.get(&stream) else { return };
        // A stream that nobody reads any more swallows its data.
        if !payload.is_empty() {
            let _ = events.send(StreamEvent::Data(payload)).await;
        }
        if fin {
            let _ = events.send(StreamEvent::End).await;
            self.streams.remove(&stream);
        }
    }

    async fn open(&mut self, flags: u8, payload: &Bytes, reply: &[u8]) -> io::Result<()> {
        let stream = stream_id(payload)?;
        let headers = self.decoder.decode(payload.get(10..).ok_or_else(|| broken("short SYN_STREAM"))?)?;
        if self.streams.len() >= STREAMS_MAX {
            return Err(broken("too many streams"));
        }
        let (events, receiver) = mpsc::channel(DEPTH);
        if flags & FLAG_FIN == 0 {
            self.streams.insert(stream, events);
        } else {
            let _ = events.send(StreamEvent::End).await;
        }
        self.send(frame::syn_reply(stream, reply)).await?;
        let writer = Writer { stream, frames: self.frames.clone() };
        let incoming = Incoming { headers, events: receiver, writer };
        self.opened.send(incoming).await.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

fn stream_id(payload: &Bytes) -> io::Result<u32> {
    let (head, _) = payload.split_first_chunk::<4>().ok_or_else(|| broken("no stream id"))?;
    Ok(u32::from_be_bytes(*head) & 0x7fff_ffff)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn a_stream_is_opened_answered_and_closed() {
        let (mut client, server) = tokio::io::duplex(1 << 16);
        let mut connection = Connection::new(server);
        let mut encoder = Encoder::new().unwrap();
        let headers: Headers = [("streamtype".to_string(), "data".to_string())].into();
        client.write_all(&frame::syn_stream(1, &encoder.encode(&headers).unwrap())).await.unwrap();
        client.write_all(&frame::data(1, true, b"hello")).await.unwrap();
        let mut stream = connection.streams.recv().await.unwrap();
        assert_eq!(stream.headers, headers);
        assert!(matches!(stream.events.recv().await, Some(StreamEvent::Data(bytes)) if bytes == "hello"));
        assert!(matches!(stream.events.recv().await, Some(StreamEvent::End)));
        stream.writer.data(b"back").await;
        stream.writer.finish().await;
        drop(stream);
        let ended = connection.ended();
        connection.close().await;
        ended.await;
        let mut said = Vec::new();
        client.read_to_end(&mut said).await.unwrap();
        let mut said = &said[..];
        let reply = frame::read(&mut said).await.unwrap().unwrap();
        assert!(matches!(reply, Frame::Control { kind: Kind::SynReply, .. }));
        let data = frame::read(&mut said).await.unwrap().unwrap();
        assert!(matches!(data, Frame::Data { stream: 1, fin: false, payload } if payload == "back"));
    }
}
