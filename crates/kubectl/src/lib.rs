//! The command line: kubectl's commands, flags and output, for any Kubernetes.
//!
//! ```text
//!   words ─▶ clap (built from COMMANDS) ─▶ command's run(matches, session)
//!                                            session: kubeconfig, HTTPS, discovery, output
//! ```
//! To add a command: copy a file of `commands/`, add its line to [`commands::COMMANDS`], write its suite.
//! Behaviour and output are upstream's; what a server knows (tables, defaults, validity) is left to the server.

mod commands;
mod discovery;
mod failure;
mod files;
mod flags;
mod local;
mod pods;
mod print;
mod remote;
mod report;
mod select;
mod session;
mod transfer;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::ErrorKind;
use client::https::Dial;

pub use failure::Failure;

/// [`run`] against a server of this process that is reached through pipes: a simulated cluster's.
pub async fn run_through(dial: Dial, words: impl IntoIterator<Item = OsString>) -> ExitCode {
    session::PIPES.scope(dial, run(words)).await
}

/// Runs a command line, `words` being what follows the program's name.
pub async fn run(words: impl IntoIterator<Item = OsString>) -> ExitCode {
    let words = std::iter::once(OsString::from("kubectl")).chain(words);
    let words: Vec<OsString> = words.collect();
    let matches = match commands::root().try_get_matches_from(&words) {
        Ok(matches) => matches,
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            // A closed pipe is no reason to fail: the reader has seen enough.
            let _ = error.print();
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("{}", failure::usage(&commands::named(&words), &error));
            return ExitCode::FAILURE;
        }
    };
    match commands::dispatch(&matches).await.and_then(|()| session::warned(&matches)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
