//! What becomes of a process that writes into a pipe that nobody reads any more.

/// It ends, as programs do by default; Rust's standard library would have the write fail instead.
pub fn end_when_closed() {
    // Sets a disposition that every program starts with; no handler of ours runs.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}
