//! A remote process without a terminal: bytes from a channel into it, its output into sinks.
//!
//! Its terminal sister is [`crate::remote`].

use std::io::Write;

use bytes::Bytes;
use client::https::Https;
use client::https::socket::{Frame, REMOTE_COMMAND, Socket};
use tokio::sync::mpsc;

use crate::failure::Result;
use crate::remote::{ENDED, Ended, STDERR, STDIN, STDOUT, Streams, Target};

/// Where output goes.
pub enum Sink {
    Stdout,
    Stderr,
    Nowhere,
    /// Dropped bytes when nobody reads any more.
    Channel(mpsc::Sender<Bytes>),
}

impl Sink {
    async fn take(&mut self, data: Bytes) -> Result {
        match self {
            Sink::Stdout => write(&mut std::io::stdout().lock(), &data)?,
            Sink::Stderr => write(&mut std::io::stderr().lock(), &data)?,
            Sink::Nowhere => {}
            Sink::Channel(sender) => {
                // A reader that has seen enough stops nothing: the process ends by itself.
                let _ = sender.send(data).await;
            }
        }
        Ok(())
    }
}

fn write(out: &mut impl Write, data: &[u8]) -> Result {
    out.write_all(data)?;
    Ok(out.flush()?)
}

/// What is connected to the process.
pub struct Pipes {
    pub input: Option<mpsc::Receiver<Bytes>>,
    pub output: Sink,
    pub errors: Sink,
}

/// Runs a command until it ends.
///
/// # Errors
/// The connection cannot be made or breaks; our own output cannot be written.
pub async fn run(https: &Https, target: &Target<'_>, command: &[&str], mut pipes: Pipes) -> Result<Ended> {
    let streams = Streams { stdin: pipes.input.is_some(), stdout: true, stderr: true, tty: false };
    let mut socket = https.connect(&target.path("exec", command, streams), REMOTE_COMMAND).await?;
    let mut ended = None;
    loop {
        tokio::select! {
            frame = socket.receive() => match frame? {
                None => return Ok(Ended::of(ended)),
                Some(Frame::Data { channel: STDOUT, data }) => pipes.output.take(data).await?,
                Some(Frame::Data { channel: STDERR, data }) => pipes.errors.take(data).await?,
                Some(Frame::Data { channel: ENDED, data }) => ended = serde_json::from_slice(&data).ok(),
                Some(_) => {}
            },
            more = next(&mut pipes.input), if pipes.input.is_some() => send(&mut socket, &mut pipes, more).await?,
        }
    }
}

async fn next(input: &mut Option<mpsc::Receiver<Bytes>>) -> Option<Bytes> {
    match input {
        Some(input) => input.recv().await,
        None => None,
    }
}

async fn send(socket: &mut Socket, pipes: &mut Pipes, more: Option<Bytes>) -> Result {
    let frame = match more {
        Some(data) => Frame::Data { channel: STDIN, data },
        None => {
            pipes.input = None;
            Frame::Close { channel: STDIN }
        }
    };
    Ok(socket.send(frame).await?)
}
