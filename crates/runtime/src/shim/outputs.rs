//! A running container as its shim sees it: state, streams, log, and who else listens. Not here: starting and waiting.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::io::Errno;

use super::log::{Log, Output};
use super::process;
use super::protocol::ContainerState;

const READ_LENGTH_MAX: usize = 16 << 10;
/// What a listener may be behind before it is dropped: a container never waits for one.
const TEE_LENGTH_MAX: usize = 1 << 20;

pub struct Container {
    pub state: ContainerState,
    pub bundle: PathBuf,
    pub cgroup: String,
    pub log: Log,
    /// The writing end of its standard input.
    pub stdin: Option<OwnedFd>,
    /// The master side of its terminal.
    pub terminal: Option<OwnedFd>,
    tees: Vec<Tee>,
}

/// Somebody attached: a copy of what the container prints.
struct Tee {
    output: Output,
    pipe: OwnedFd,
}

/// What a read found.
pub enum Drained {
    /// Nothing more for now.
    Empty,
    /// The other end is closed.
    End,
}

impl Container {
    pub fn new(state: ContainerState, bundle: PathBuf, cgroup: String, log: Log) -> Container {
        Container { state, bundle, cgroup, log, stdin: None, terminal: None, tees: Vec::new() }
    }

    /// Moves what is there from a stream into the log and to the listeners.
    pub fn pump(&mut self, output: Output, from: &OwnedFd) -> Drained {
        let mut buffer = [0; READ_LENGTH_MAX];
        loop {
            match rustix::io::read(from, &mut buffer) {
                // A terminal whose last process is gone answers EIO.
                Ok(0) | Err(Errno::IO) => return Drained::End,
                Ok(length) => {
                    self.log.append(output, &buffer[..length], process::now());
                    self.tees.retain(|tee| tee.output != output || copy(tee, &buffer[..length]));
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Drained::Empty,
                Err(_) => return Drained::End,
            }
        }
    }

    /// A pipe from which a copy of the output can be read from now on.
    pub fn tee(&mut self, output: Output) -> std::io::Result<OwnedFd> {
        let (read, write) = process::pipe(false)?;
        process::set_nonblocking(&write)?;
        // A refusal (the user's pipe quota) leaves a smaller pipe, which works.
        let _ = rustix::pipe::fcntl_setpipe_size(&write, TEE_LENGTH_MAX);
        self.tees.push(Tee { output, pipe: write });
        Ok(read)
    }

    /// Ends the log and tells listeners by closing their pipes.
    pub fn finish_streams(&mut self) {
        self.log.finish(Output::Stdout, process::now());
        self.log.finish(Output::Stderr, process::now());
        self.tees.clear();
        self.stdin = None;
        self.terminal = None;
    }
}

fn copy(tee: &Tee, bytes: &[u8]) -> bool {
    rustix::io::write(&tee.pipe, bytes).is_ok_and(|written| written == bytes.len())
}
