//! A command in a container, run to its end: what probes and `exec` hooks are. Not here: sessions with a person.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rpc::cri::{ExecSyncRequest, ExecSyncResponse};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::task::JoinSet;
use tonic::Status;

use crate::connection::CallError;
use crate::shim::protocol::{Call, Exec, Stream};
use crate::{Runtime, internal, new_id};

/// Output above this is dropped, as the CRI demands.
const OUTPUT_BYTES_MAX: usize = 16 << 20;
const READ_LENGTH: usize = 16 << 10;
/// How long output may still come after the command ended: a child of it can hold the pipe open.
const DRAIN_TIMEOUT_MS: u64 = 2_000;

impl Runtime {
    pub(crate) async fn run_exec_sync(&self, request: ExecSyncRequest) -> Result<ExecSyncResponse, Status> {
        let container = self.container_id(&request.container_id)?;
        let (shim, _) = self.shim_of(&container)?;
        let name = new_id()?;
        let exec = Exec { exec: name.clone(), container, args: request.cmd.clone(), stdin: false, tty: false };
        let (streams, end) = shim.exec(exec).await.map_err(|problem| refused(&problem))?;
        let kept = [Kept::default(), Kept::default()];
        let mut reading = JoinSet::new();
        for (stream, descriptor) in streams {
            let kept = kept[usize::from(stream == Stream::Stderr)].clone();
            reading.spawn(read_all(descriptor, kept));
        }
        let code = match limited(request.timeout, end).await {
            Some(code) => code.map_err(|_| internal("exec", CallError::Gone))?,
            None => {
                // A process that ended just now is signalled in vain.
                let _ = shim.call(Call::SignalExec { exec: name, signal: libc::SIGKILL }).await;
                return Err(Status::deadline_exceeded(format!("command {:?} timed out", request.cmd.join(" "))));
            }
        };
        drain(async { while reading.join_next().await.is_some() {} }).await;
        let [stdout, stderr] = kept.map(|kept| std::mem::take(&mut *lock(&kept)));
        Ok(ExecSyncResponse { stdout, stderr, exit_code: code })
    }
}

/// Output so far: what came before the end counts, also when a child of the command keeps the pipe open.
type Kept = Arc<Mutex<Vec<u8>>>;

fn lock(kept: &Kept) -> MutexGuard<'_, Vec<u8>> {
    kept.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// `None` when the time is over; zero seconds are without end.
async fn limited<T>(seconds: i64, work: impl Future<Output = T>) -> Option<T> {
    match u64::try_from(seconds) {
        Ok(seconds) if seconds > 0 => tokio::time::timeout(Duration::from_secs(seconds), work).await.ok(),
        _ => Some(work.await),
    }
}

/// Words that scripts look for: exit code 126 is kept for "cannot be executed".
pub(crate) fn refused(problem: &CallError) -> Status {
    Status::unknown(format!("failed to exec in container: {problem}"))
}

async fn read_all(descriptor: OwnedFd, kept: Kept) {
    let Ok(mut reader) = receiver(descriptor) else { return };
    let mut buffer = vec![0; READ_LENGTH];
    while let Ok(length @ 1..) = reader.read(&mut buffer).await {
        let mut kept = lock(&kept);
        let room = OUTPUT_BYTES_MAX.saturating_sub(kept.len());
        kept.extend_from_slice(&buffer[..length.min(room)]);
    }
}

/// The reading end of a pipe for async use.
pub(crate) fn receiver(descriptor: OwnedFd) -> io::Result<pipe::Receiver> {
    let flags = rustix::fs::fcntl_getfl(&descriptor)?;
    rustix::fs::fcntl_setfl(&descriptor, flags | rustix::fs::OFlags::NONBLOCK)?;
    pipe::Receiver::from_owned_fd(descriptor)
}

/// The writing end of a pipe for async use.
pub(crate) fn sender(descriptor: OwnedFd) -> io::Result<pipe::Sender> {
    let flags = rustix::fs::fcntl_getfl(&descriptor)?;
    rustix::fs::fcntl_setfl(&descriptor, flags | rustix::fs::OFlags::NONBLOCK)?;
    pipe::Sender::from_owned_fd(descriptor)
}

/// After the end of a command: waits for the rest of its output, but not for ever.
pub(crate) async fn drain<T>(output: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(Duration::from_millis(DRAIN_TIMEOUT_MS), output).await.ok()
}
