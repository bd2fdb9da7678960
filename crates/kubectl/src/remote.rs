//! A remote process on this terminal: channels of a WebSocket on one side, standard streams on the other.
//!
//! Channels: 0 stdin, 1 stdout, 2 stderr, 3 how it ended (a Status), 4 the terminal's size.

use std::io::{IsTerminal, Write};

use bytes::Bytes;
use client::https::Https;
use client::https::socket::{Frame, REMOTE_COMMAND, Socket};
use machinery::status::Status;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::signal::unix::{SignalKind, signal};

use crate::failure::{Failure, Result};

pub const STDIN: u8 = 0;
pub const STDOUT: u8 = 1;
pub const STDERR: u8 = 2;
pub const ENDED: u8 = 3;
const RESIZE: u8 = 4;
const CHUNK_BYTES: usize = 32 * 1024;

/// What is connected.
#[derive(Clone, Copy)]
pub struct Streams {
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
    pub tty: bool,
}

impl Streams {
    /// A terminal is used only when there is one.
    pub fn of(stdin: bool, tty: bool, is_quiet: bool) -> Self {
        let is_terminal = std::io::stdin().is_terminal();
        if tty && stdin && !is_terminal && !is_quiet {
            eprintln!("Unable to use a TTY - input is not a terminal or the right kind of file");
        }
        let tty = tty && stdin && is_terminal;
        Self { stdin, stdout: true, stderr: !tty, tty }
    }
}

/// A container in which a process is, or is to be.
pub struct Target<'a> {
    pub pod: &'a Value,
    pub container: String,
}

impl Target<'_> {
    /// The path of a session: `exec` with its command, or `attach`.
    pub fn path(&self, subresource: &str, command: &[&str], streams: Streams) -> String {
        let (namespace, name) = (machinery::meta::namespace(self.pod), machinery::meta::name(self.pod));
        let container = client::https::escape(&self.container);
        let Streams { stdin, stdout, stderr, tty } = streams;
        let mut path = format!(
            "/api/v1/namespaces/{namespace}/pods/{name}/{subresource}?container={container}&stdin={stdin}&stdout={stdout}&stderr={stderr}&tty={tty}"
        );
        for word in command {
            path.push_str("&command=");
            path.push_str(&client::https::escape(word));
        }
        path
    }
}

/// The terminal in raw mode; as it was when this is dropped.
struct Raw(Termios);

impl Raw {
    fn enter() -> Result<Self> {
        let before = tcgetattr(std::io::stdin()).map_err(std::io::Error::from)?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(std::io::stdin(), OptionalActions::Now, &raw).map_err(std::io::Error::from)?;
        Ok(Self(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // The process ends next; a terminal that is gone needs no restoring.
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.0);
    }
}

/// Runs until the remote process ends; its exit code is ours.
///
/// # Errors
/// The connection cannot be made or breaks; the process could not be started; its exit code.
pub async fn run(https: &Https, path: &str, streams: &Streams) -> Result {
    let mut socket = https.connect(path, REMOTE_COMMAND).await?;
    let raw = if streams.tty { Some(Raw::enter()?) } else { None };
    let ended = relay(&mut socket, streams).await;
    drop(raw);
    Ended::of(ended?).outcome()
}

async fn relay(socket: &mut Socket, streams: &Streams) -> Result<Option<Status>> {
    let mut resized = signal(SignalKind::window_change())?;
    let mut input = tokio::io::stdin();
    let mut reads = streams.stdin;
    let mut chunk = vec![0; CHUNK_BYTES];
    if streams.tty {
        send_size(socket).await?;
    }
    let mut ended = None;
    loop {
        tokio::select! {
            frame = socket.receive() => match frame? {
                None => return Ok(ended),
                Some(Frame::Data { channel: STDOUT, data }) => write(&mut std::io::stdout().lock(), &data)?,
                Some(Frame::Data { channel: STDERR, data }) => write(&mut std::io::stderr().lock(), &data)?,
                Some(Frame::Data { channel: ENDED, data }) => ended = serde_json::from_slice(&data).ok(),
                Some(_) => {}
            },
            read = input.read(&mut chunk), if reads => match read? {
                0 => {
                    reads = false;
                    socket.send(Frame::Close { channel: STDIN }).await?;
                }
                count => {
                    let data = Bytes::copy_from_slice(&chunk[..count]);
                    socket.send(Frame::Data { channel: STDIN, data }).await?;
                }
            },
            _ = resized.recv(), if streams.tty => send_size(socket).await?,
        }
    }
}

async fn send_size(socket: &mut Socket) -> Result {
    let size = tcgetwinsize(std::io::stdin()).map_err(std::io::Error::from)?;
    let data = json!({"Width": size.ws_col, "Height": size.ws_row}).to_string();
    Ok(socket.send(Frame::Data { channel: RESIZE, data: data.into() }).await?)
}

fn write(out: &mut impl Write, data: &[u8]) -> Result {
    out.write_all(data)?;
    Ok(out.flush()?)
}

/// How a remote process ended.
pub enum Ended {
    Success,
    Code(u8),
    /// It could not be started.
    Failed(String),
}

impl Ended {
    /// What the server said at the end; nothing is success.
    pub fn of(status: Option<Status>) -> Self {
        let Some(status) = status.filter(|status| status.status != "Success") else { return Ended::Success };
        if status.reason != "NonZeroExitCode" {
            return Ended::Failed(status.message);
        }
        let mut causes = status.details.iter().flat_map(|details| &details.causes);
        let code = causes.find(|cause| cause.reason == "ExitCode").and_then(|cause| cause.message.parse().ok());
        Ended::Code(code.unwrap_or(1))
    }

    /// Success, the exit code as ours, or why there is none.
    pub fn outcome(self) -> Result {
        match self {
            Ended::Success => Ok(()),
            Ended::Code(code) => {
                eprintln!("command terminated with exit code {code}");
                Err(Failure::Exit(code))
            }
            Ended::Failed(why) => Err(Failure::Here(format!(
                "Internal error occurred: {}",
                why.trim_start_matches("Internal error occurred: ")
            ))),
        }
    }
}
