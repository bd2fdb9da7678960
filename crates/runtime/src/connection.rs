//! One shim as the runtime sees it: calls with answers, and what happens on its own account.
//!
//! A task owns the socket. When it breaks the task connects again once, and asks for the state; if nobody listens, the
//! shim is gone. Not here: what a gone shim means.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::io::Errno;
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, oneshot};

use crate::shim::protocol::{Answer, Call, ContainerState, Exec, Message, Request, Stream, VERSION};
use crate::shim::{self, wire};

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("the pod's shim is gone")]
    Gone,
    #[error("{0}")]
    Refused(String),
}

/// What a shim tells on its own account.
#[derive(Debug)]
pub enum Heard {
    Exited(ContainerState),
    /// After a new connection: everything it has.
    State(Vec<ContainerState>),
    Gone,
}

pub type Answered = (Answer, Vec<OwnedFd>);
pub type Streams = Vec<(Stream, OwnedFd)>;
type Reply = oneshot::Sender<Result<Answered, CallError>>;

struct Outgoing {
    call: Call,
    reply: Reply,
    /// For an extra process: its name, and who hears its exit code.
    end: Option<(String, oneshot::Sender<i32>)>,
}

/// A handle; clones talk to the same shim.
#[derive(Clone)]
pub struct Shim {
    outgoing: mpsc::UnboundedSender<Outgoing>,
}

impl Shim {
    /// Takes over a connected socket. `heard` gets what the shim tells, each with `name`.
    pub fn new(
        name: String,
        path: PathBuf,
        socket: OwnedFd,
        heard: mpsc::UnboundedSender<(String, Heard)>,
    ) -> io::Result<Shim> {
        let flags = rustix::fs::fcntl_getfl(&socket)?;
        rustix::fs::fcntl_setfl(&socket, flags | rustix::fs::OFlags::NONBLOCK)?;
        let (outgoing, incoming) = mpsc::unbounded_channel();
        let socket = watched(socket)?;
        let task = Task { name, path, socket, heard, waiting: BTreeMap::new(), ends: BTreeMap::new(), next_id: 1 };
        tokio::spawn(task.run(incoming));
        Ok(Shim { outgoing })
    }

    /// Asks and waits for the answer.
    pub async fn call(&self, call: Call) -> Result<Answered, CallError> {
        self.ask(call, None).await
    }

    async fn ask(&self, call: Call, end: Option<(String, oneshot::Sender<i32>)>) -> Result<Answered, CallError> {
        let (reply, answer) = oneshot::channel();
        self.outgoing.send(Outgoing { call, reply, end }).map_err(|_| CallError::Gone)?;
        answer.await.unwrap_or(Err(CallError::Gone))
    }

    /// Starts an extra process. Its streams, and its exit code later.
    pub async fn exec(&self, exec: Exec) -> Result<(Streams, oneshot::Receiver<i32>), CallError> {
        let (sender, end) = oneshot::channel();
        let name = exec.exec.clone();
        let answered = self.ask(Call::Exec(exec), Some((name, sender))).await?;
        Ok((streams(answered), end))
    }

    pub async fn streams(&self, call: Call) -> Result<Streams, CallError> {
        Ok(streams(self.call(call).await?))
    }
}

fn streams((answer, descriptors): Answered) -> Streams {
    match answer {
        Answer::Streams { streams } => streams.into_iter().zip(descriptors).collect(),
        _ => Vec::new(),
    }
}

struct Task {
    name: String,
    path: PathBuf,
    socket: AsyncFd<OwnedFd>,
    heard: mpsc::UnboundedSender<(String, Heard)>,
    waiting: BTreeMap<u64, Reply>,
    ends: BTreeMap<String, oneshot::Sender<i32>>,
    next_id: u64,
}

impl Task {
    async fn run(mut self, mut incoming: mpsc::UnboundedReceiver<Outgoing>) {
        loop {
            let outcome = tokio::select! {
                outgoing = incoming.recv() => match outgoing {
                    Some(outgoing) => self.send(outgoing).await,
                    None => return,
                },
                received = receive(&self.socket) => match received {
                    Ok((bytes, descriptors)) => self.received(&bytes, descriptors),
                    Err(problem) => Err(problem),
                },
            };
            if outcome.is_err() && self.reconnect().await.is_err() {
                let _ = self.heard.send((self.name, Heard::Gone));
                return;
            }
        }
    }

    async fn send(&mut self, outgoing: Outgoing) -> io::Result<()> {
        let Outgoing { call, reply, end } = outgoing;
        let id = self.next_id;
        self.next_id += 1;
        let bytes = serde_json::to_vec(&Request { version: VERSION, id, call })?;
        self.waiting.insert(id, reply);
        self.ends.extend(end);
        loop {
            let mut ready = self.socket.writable().await?;
            match wire::send(self.socket.get_ref(), &bytes, &[]) {
                Err(Errno::AGAIN) => ready.clear_ready(),
                other => return Ok(other?),
            }
        }
    }

    fn received(&mut self, bytes: &[u8], descriptors: Vec<OwnedFd>) -> io::Result<()> {
        match serde_json::from_slice(bytes)? {
            Message::Reply { id, answer } => {
                if let Some(reply) = self.waiting.remove(&id) {
                    let answer = answer.map(|answer| (answer, descriptors)).map_err(CallError::Refused);
                    // A caller that stopped waiting closes the descriptors by dropping them.
                    let _ = reply.send(answer);
                }
            }
            Message::Exited(state) => {
                let _ = self.heard.send((self.name.clone(), Heard::Exited(state)));
            }
            Message::ExecExited { exec, code } => {
                if let Some(end) = self.ends.remove(&exec) {
                    let _ = end.send(code);
                }
            }
        }
        Ok(())
    }

    /// A broken connection may be ours alone: the shim closes one that does not read.
    async fn reconnect(&mut self) -> io::Result<()> {
        self.waiting.clear();
        self.ends.clear();
        self.socket = watched(shim::connect(&self.path)?)?;
        let (reply, _) = oneshot::channel();
        self.send(Outgoing { call: Call::State, reply, end: None }).await?;
        let (bytes, _) = receive(&self.socket).await?;
        if let Message::Reply { answer: Ok(Answer::State { containers, .. }), .. } = serde_json::from_slice(&bytes)? {
            let _ = self.heard.send((self.name.clone(), Heard::State(containers)));
        }
        Ok(())
    }
}

/// The other constructor is unsafe because of descriptors that change under it; an owned one does not.
#[allow(deprecated)]
fn watched(socket: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::new(socket)
}

/// The next packet; the end of the connection is an error.
async fn receive(socket: &AsyncFd<OwnedFd>) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
    loop {
        let mut ready = socket.readable().await?;
        match wire::receive(socket.get_ref()) {
            Err(Errno::AGAIN) => ready.clear_ready(),
            Err(Errno::INTR) => {}
            Ok((bytes, _)) if bytes.is_empty() => return Err(io::ErrorKind::UnexpectedEof.into()),
            other => return Ok(other?),
        }
    }
}
