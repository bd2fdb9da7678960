//! Sessions with containers: exec, attach and port-forward over HTTP upgrades, as Kubernetes' clients speak them.
//!
//! ```text
//! CRI call ─▶ token in a URL ─▶ server ─upgrade─▶ websocket │ spdy ─▶ remote (streams of a process)
//!                                                                  └▶ forward (ports of a pod)
//! ```
//! A token is good once and for a minute. The server listens on the loopback interface only; who may use it was decided
//! by whoever got the URL. Not here: authentication.

mod forward;
mod remote;
mod remote_spdy;
mod remote_websocket;
mod server;
mod spdy;
mod status;
mod websocket;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use rpc::cri;
use tonic::Status;

use crate::record;
use crate::{Runtime, new_id};
pub use server::serve;

const TOKEN_LIFETIME_S: u64 = 60;
/// Sessions that were prepared and not begun.
const TOKENS_MAX: usize = 1_000;

/// What a token stands for.
#[derive(Clone, Debug)]
pub enum Session {
    Exec { container: String, args: Vec<String>, streams: Wanted },
    Attach { container: String, stdin_once: bool, streams: Wanted },
    Forward { sandbox: String, ports: Vec<u16> },
}

/// Which streams a session has.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
    pub tty: bool,
}

/// Sessions that wait to be begun, and where.
#[derive(Default)]
pub struct Sessions {
    waiting: Mutex<BTreeMap<String, (Instant, Session)>>,
    address: OnceLock<SocketAddr>,
}

impl Sessions {
    /// Remembers a session. The URL at which it begins.
    fn prepare(&self, kind: &str, session: Session) -> Result<String, Status> {
        let address = self.address.get().ok_or_else(|| Status::unavailable("the streaming server does not run"))?;
        let token = new_id()?;
        let mut waiting = self.waiting.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        waiting.retain(|_, (prepared, _)| prepared.elapsed() < Duration::from_secs(TOKEN_LIFETIME_S));
        if waiting.len() >= TOKENS_MAX {
            return Err(Status::resource_exhausted("maximum number of in-flight requests exceeded"));
        }
        waiting.insert(token.clone(), (Instant::now(), session));
        Ok(format!("http://{address}/{kind}/{token}"))
    }

    /// Takes a session by its token, which is no good afterwards.
    fn take(&self, token: &str) -> Option<Session> {
        let mut waiting = self.waiting.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let (prepared, session) = waiting.remove(token)?;
        (prepared.elapsed() < Duration::from_secs(TOKEN_LIFETIME_S)).then_some(session)
    }
}

impl Runtime {
    pub(crate) fn prepare_exec(&self, request: cri::ExecRequest) -> Result<String, Status> {
        let streams = Wanted { stdin: request.stdin, stdout: request.stdout, stderr: request.stderr, tty: request.tty };
        check(streams)?;
        let record = self.running(&request.container_id)?;
        self.0.sessions.prepare("exec", Session::Exec { container: record.id, args: request.cmd, streams })
    }

    pub(crate) fn prepare_attach(&self, request: cri::AttachRequest) -> Result<String, Status> {
        let streams = Wanted { stdin: request.stdin, stdout: request.stdout, stderr: request.stderr, tty: request.tty };
        check(streams)?;
        let record = self.running(&request.container_id)?;
        let session = Session::Attach { container: record.id, stdin_once: record.stdin_once, streams };
        self.0.sessions.prepare("attach", session)
    }

    pub(crate) fn prepare_port_forward(&self, request: cri::PortForwardRequest) -> Result<String, Status> {
        let id = self.state().sandbox_id(&request.pod_sandbox_id);
        let sandbox = id.ok_or_else(|| Status::not_found(format!("sandbox {:?} not found", request.pod_sandbox_id)))?;
        let ports = request.port.iter().map(|port| u16::try_from(*port)).collect::<Result<Vec<_>, _>>();
        let ports = ports.map_err(|_| Status::invalid_argument("a port is out of range"))?;
        self.0.sessions.prepare("portforward", Session::Forward { sandbox, ports })
    }

    fn running(&self, text: &str) -> Result<record::Container, Status> {
        let id = self.container_id(text)?;
        let (_, record) = self.shim_of(&id)?;
        match record.status {
            record::Status::Running { .. } => Ok(record),
            _ => Err(Status::failed_precondition(format!("container {id:?} is not running"))),
        }
    }
}

fn check(streams: Wanted) -> Result<(), Status> {
    if !(streams.stdin || streams.stdout || streams.stderr) {
        return Err(Status::invalid_argument("one of stdin, stdout, or stderr must be set"));
    }
    if streams.tty && streams.stderr {
        return Err(Status::invalid_argument("tty and stderr cannot both be true"));
    }
    Ok(())
}
