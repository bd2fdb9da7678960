//! The forked child that enters a container and starts an extra process there. Not here: what the shim keeps of it.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

use super::creator::Streams;
use super::protocol::Exec;
use super::replies::Outcome;
use super::{process, wire};

/// What went wrong is a few lines at most.
const FAILURE_LENGTH_MAX: usize = 4096;

/// Does everything, reports through `result`, and ends the process.
pub fn main(exec: &Exec, bundle: &Path, init: BorrowedFd, streams: Streams, result: OwnedFd) -> ! {
    let outcome = match enter(exec, bundle, init, streams, &result) {
        Ok(pid) => Outcome { pid: Some(pid), error: None },
        Err(problem) => Outcome { pid: None, error: Some(problem) },
    };
    let bytes = serde_json::to_vec(&outcome).unwrap_or_default();
    let sent = wire::send(&result, &bytes, &[]);
    process::exit(i32::from(sent.is_err()))
}

fn enter(exec: &Exec, bundle: &Path, init: BorrowedFd, streams: Streams, result: &OwnedFd) -> Result<i32, String> {
    let io = |problem: std::io::Error| problem.to_string();
    let null = || std::fs::File::options().read(true).write(true).open("/dev/null").map(OwnedFd::from);
    for (number, stream) in [streams.stdin, streams.stdout, streams.stderr].into_iter().enumerate() {
        let stream = stream.map_or_else(null, Ok).map_err(io)?;
        if unsafe { libc::dup2(std::os::fd::AsRawFd::as_raw_fd(&stream), number as i32) } < 0 {
            return Err(io(std::io::Error::last_os_error()));
        }
    }
    let (failure_read, failure_write) = process::pipe(false).map_err(io)?;
    let wanted = container::exec::Process { bundle, init, args: &exec.args, terminal: exec.tty };
    let send_master = |master: &OwnedFd| super::creator::hand_over(result, master);
    let pid = container::exec::run(&wanted, failure_write, send_master).map_err(|problem| problem.to_string())?;
    // The other end is closed when the program runs, or says why it does not.
    let mut failure = vec![0; FAILURE_LENGTH_MAX];
    match rustix::io::read(&failure_read, &mut failure) {
        Ok(0) => Ok(pid),
        Ok(length) => Err(String::from_utf8_lossy(&failure[..length]).into_owned()),
        Err(problem) => Err(problem.to_string()),
    }
}
