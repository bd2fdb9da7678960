//! The binary: chooses roles, wires, runs, shuts down; decides nothing.
//!
//! ```text
//!   kybern shim …         a pod's shim, before any thread
//!   kybern hello          the hello application
//!   kybern supervise      keeps a server running
//!   kybern server         control plane and node in one process
//!   kubectl … (by name)   the command line
//! ```

mod cli;
mod node;
mod server;
mod tls;

use std::ffi::OsString;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    // A shim is one small thread: it must be told from everything else before anything is set up.
    if words.get(1).is_some_and(|word| word == runtime::shim::ROLE) {
        runtime::shim::main(std::env::args().skip(1));
    }
    cli::run(words)
}
