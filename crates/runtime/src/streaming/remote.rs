//! A session's process: its streams joined to what the client sends and hears. Not here: how that travels.
//!
//! ```text
//! client ──Input──▶ stdin, terminal      process ──Output──▶ client      the end: [`Ending`]
//! ```

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use bytes::Bytes;
use rustix::termios::Winsize;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::sync::{mpsc, oneshot};

use super::status::Ending;
use super::{Session, Wanted};
use crate::connection::{Shim, Streams};
use crate::shim::protocol::{Call, Exec, Stream};
use crate::{Runtime, exec_sync, new_id};

/// Messages under way in one direction: what is more waits, and so makes the sender wait.
pub const CHANNEL_DEPTH: usize = 16;
const READ_LENGTH: usize = 32 << 10;

#[derive(Debug)]
pub enum Input {
    Stdin(Bytes),
    /// Nothing more will come; output still may.
    StdinEnd,
    Resize {
        columns: u16,
        rows: u16,
    },
}

#[derive(Debug)]
pub enum Output {
    Stdout(Bytes),
    Stderr(Bytes),
}

/// Runs a session to its end. `input` is closed when the client is gone, and only then; the process notices by its closed
/// streams, or by its terminal hanging up.
pub async fn run(
    runtime: &Runtime,
    session: Session,
    input: mpsc::Receiver<Input>,
    output: mpsc::Sender<Output>,
) -> Ending {
    let ending = match session {
        Session::Exec { container, args, streams } => exec(runtime, container, args, streams, input, output).await,
        Session::Attach { container, stdin_once, streams } => {
            attach(runtime, container, stdin_once, streams, input, output).await
        }
        Session::Forward { .. } => Err("a port-forward has no process".to_string()),
    };
    ending.unwrap_or_else(Ending::Failed)
}

async fn exec(
    runtime: &Runtime,
    container: String,
    args: Vec<String>,
    wanted: Wanted,
    input: mpsc::Receiver<Input>,
    output: mpsc::Sender<Output>,
) -> Result<Ending, String> {
    let words = |problem: &dyn std::fmt::Display| format!("error executing command in container: {problem}");
    let (shim, _) = runtime.shim_of(&container).map_err(|problem| words(&problem.message()))?;
    let name = new_id().map_err(|problem| words(&problem.message()))?;
    let request = Exec { exec: name, container, args: args.clone(), stdin: wanted.stdin, tty: wanted.tty };
    let started = shim.exec(request).await;
    let (streams, end) = started.map_err(|problem| words(&format_args!("failed to exec in container: {problem}")))?;
    let joined = Joined::new(streams, wanted).map_err(|problem| words(&problem))?;
    let code = joined.until_ended(input, output, end).await;
    code.map(|code| Ending::Code { code, args }).ok_or_else(|| words(&"the pod's shim is gone"))
}

async fn attach(
    runtime: &Runtime,
    container: String,
    stdin_once: bool,
    wanted: Wanted,
    input: mpsc::Receiver<Input>,
    output: mpsc::Sender<Output>,
) -> Result<Ending, String> {
    let words = |problem: &dyn std::fmt::Display| format!("error attaching to container: {problem}");
    let (shim, _) = runtime.shim_of(&container).map_err(|problem| words(&problem.message()))?;
    let streams =
        shim.streams(Call::Attach { container: container.clone() }).await.map_err(|problem| words(&problem))?;
    let joined = Joined::new(streams, wanted).map_err(|problem| words(&problem))?;
    let close = stdin_once.then_some((shim, container));
    joined.until_output_ends(input, output, close).await;
    Ok(Ending::Success)
}

/// The process's side of a session.
struct Joined {
    stdin: Option<pipe::Sender>,
    stdout: Option<pipe::Receiver>,
    stderr: Option<pipe::Receiver>,
    terminal: Option<Arc<Terminal>>,
    /// The terminal's output is ours to read.
    reads_terminal: bool,
}

impl Joined {
    fn new(streams: Streams, wanted: Wanted) -> io::Result<Joined> {
        let mut joined = Joined { stdin: None, stdout: None, stderr: None, terminal: None, reads_terminal: false };
        for (stream, descriptor) in streams {
            match stream {
                Stream::Stdin if wanted.stdin => joined.stdin = Some(exec_sync::sender(descriptor)?),
                Stream::Stdout => joined.stdout = Some(exec_sync::receiver(descriptor)?),
                Stream::Stderr => joined.stderr = Some(exec_sync::receiver(descriptor)?),
                Stream::Terminal | Stream::TerminalInput => {
                    joined.reads_terminal = stream == Stream::Terminal;
                    joined.terminal = Some(Arc::new(Terminal::new(descriptor)?));
                }
                Stream::Stdin | Stream::Socket => {}
            }
        }
        Ok(joined)
    }

    /// For a process of our own: until its exit code is known, and its output was read.
    async fn until_ended(
        self,
        input: mpsc::Receiver<Input>,
        output: mpsc::Sender<Output>,
        end: oneshot::Receiver<i32>,
    ) -> Option<i32> {
        let Joined { stdin, stdout, stderr, terminal, reads_terminal } = self;
        let mut feeding = tokio::spawn(feed(input, stdin, terminal.clone(), None));
        let reading = tokio::spawn(read_all(stdout, stderr, terminal.filter(|_| reads_terminal), output));
        let code = tokio::select! {
            code = end => code.ok(),
            _ = &mut feeding => {
                reading.abort();
                return None;
            }
        };
        // A child of the process may hold the streams open for ever.
        let still_reading = reading.abort_handle();
        exec_sync::drain(reading).await;
        still_reading.abort();
        feeding.abort();
        code
    }

    /// For a container that runs anyway: until it ends, or the client goes.
    async fn until_output_ends(
        self,
        input: mpsc::Receiver<Input>,
        output: mpsc::Sender<Output>,
        close: Option<(Shim, String)>,
    ) {
        let Joined { stdin, stdout, stderr, terminal, .. } = self;
        let mut feeding = tokio::spawn(feed(input, stdin, terminal, close));
        tokio::select! {
            () = read_all(stdout, stderr, None, output) => {}
            _ = &mut feeding => {}
        }
        feeding.abort();
    }
}

/// Carries what the client sends. With `close` the container's input ends when the client's does.
async fn feed(
    mut input: mpsc::Receiver<Input>,
    mut stdin: Option<pipe::Sender>,
    terminal: Option<Arc<Terminal>>,
    close: Option<(Shim, String)>,
) {
    while let Some(input) = input.recv().await {
        match (input, &terminal) {
            (Input::Stdin(bytes), Some(terminal)) => terminal.write(&bytes).await,
            (Input::Stdin(bytes), None) => write_or_close(&mut stdin, &bytes).await,
            (Input::Resize { columns, rows }, Some(terminal)) => terminal.resize(columns, rows),
            (Input::StdinEnd, _) => {
                stdin = None;
                if let Some((shim, container)) = &close {
                    // A container that has ended has no input to close.
                    let _ = shim.call(Call::CloseInput { container: container.clone() }).await;
                }
            }
            _ => {}
        }
    }
}

/// A process that closed its input gets no more.
async fn write_or_close(stdin: &mut Option<pipe::Sender>, bytes: &[u8]) {
    let written = match stdin {
        Some(pipe) => pipe.write_all(bytes).await,
        None => Ok(()),
    };
    if written.is_err() {
        *stdin = None;
    }
}

async fn read_all(
    stdout: Option<pipe::Receiver>,
    stderr: Option<pipe::Receiver>,
    terminal: Option<Arc<Terminal>>,
    output: mpsc::Sender<Output>,
) {
    let out = read_pipe(stdout, output.clone(), Output::Stdout);
    let err = read_pipe(stderr, output.clone(), Output::Stderr);
    let screen = async {
        if let Some(terminal) = terminal {
            terminal.read(&output).await;
        }
    };
    tokio::join!(out, err, screen);
}

async fn read_pipe(pipe: Option<pipe::Receiver>, output: mpsc::Sender<Output>, wrap: fn(Bytes) -> Output) {
    let Some(mut pipe) = pipe else { return };
    let mut buffer = vec![0; READ_LENGTH];
    while let Ok(length @ 1..) = pipe.read(&mut buffer).await {
        if output.send(wrap(Bytes::copy_from_slice(&buffer[..length]))).await.is_err() {
            return;
        }
    }
}

/// The master side of a terminal.
struct Terminal(AsyncFd<OwnedFd>);

impl Terminal {
    #[allow(deprecated)]
    fn new(descriptor: OwnedFd) -> io::Result<Terminal> {
        let flags = rustix::fs::fcntl_getfl(&descriptor)?;
        rustix::fs::fcntl_setfl(&descriptor, flags | rustix::fs::OFlags::NONBLOCK)?;
        Ok(Terminal(AsyncFd::new(descriptor)?))
    }

    /// Writes all; a terminal that is gone swallows it.
    async fn write(&self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let Ok(mut ready) = self.0.writable().await else { return };
            match ready.try_io(|fd| Ok(rustix::io::write(fd, bytes)?)) {
                Ok(Ok(written)) => bytes = &bytes[written..],
                Ok(Err(_)) => return,
                Err(_) => {}
            }
        }
    }

    async fn read(&self, output: &mpsc::Sender<Output>) {
        let mut buffer = vec![0; READ_LENGTH];
        loop {
            let Ok(mut ready) = self.0.readable().await else { return };
            match ready.try_io(|fd| Ok(rustix::io::read(fd, &mut buffer)?)) {
                Ok(Ok(length @ 1..)) => {
                    if output.send(Output::Stdout(Bytes::copy_from_slice(&buffer[..length]))).await.is_err() {
                        return;
                    }
                }
                // The last process of the terminal is gone.
                Ok(_) => return,
                Err(_) => {}
            }
        }
    }

    fn resize(&self, columns: u16, rows: u16) {
        // A terminal that is gone has no size.
        let _ = rustix::termios::tcsetwinsize(
            &self.0,
            Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 },
        );
    }
}

/// A size as clients send it: `{"Width":80,"Height":24}`.
pub fn size(bytes: &[u8]) -> Option<Input> {
    let tree: serde_json::Value = serde_json::from_slice(bytes).ok()?;
    let number = |key: &str| tree[key].as_u64().and_then(|number| u16::try_from(number).ok());
    Some(Input::Resize { columns: number("Width")?, rows: number("Height")? })
}
