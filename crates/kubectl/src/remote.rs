//! A remote process on this terminal: channels of a WebSocket on one side, standard streams on the other.
//!
//! Channels: 0 stdin, 1 stdout, 2 stderr, 3 how it ended (a Status), 4 the terminal's size.

use std::io::{IsTerminal, Write};

use bytes::Bytes;
use client::https::Https;
use client::https::socket::{Frame, REMOTE_COMMAND, Socket};
use machinery::status::Status;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::signal::unix::{SignalKind, signal};

use crate::failure::{Failure, Result};

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ENDED: u8 = 3;
const RESIZE: u8 = 4;
const CHUNK_BYTES: usize = 32 * 1024;

/// What is connected.
pub struct Streams {
    pub stdin: bool,
    pub tty: bool,
}

impl Streams {
    /// A terminal is used only when there is one.
    pub fn of(stdin: bool, tty: bool) -> Self {
        let is_terminal = std::io::stdin().is_terminal();
        if tty && !stdin {
            eprintln!("Unable to use a TTY - input is not requested (use -i)");
        } else if tty && !is_terminal {
            eprintln!("Unable to use a TTY - input is not a terminal or the right kind of file");
        }
        Self { stdin, tty: tty && stdin && is_terminal }
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
    outcome(ended?)
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

/// Success, an exit code, or why there is none.
fn outcome(ended: Option<Status>) -> Result {
    let Some(status) = ended.filter(|status| status.status != "Success") else { return Ok(()) };
    if status.reason == "NonZeroExitCode" {
        let causes = status.details.iter().flat_map(|details| &details.causes);
        let code = causes.filter(|cause| cause.reason == "ExitCode").find_map(|cause| cause.message.parse::<u8>().ok());
        let code = code.unwrap_or(1);
        eprintln!("command terminated with exit code {code}");
        return Err(Failure::Exit(code));
    }
    Err(Failure::Here(format!(
        "Internal error occurred: {}",
        status.message.trim_start_matches("Internal error occurred: ")
    )))
}
