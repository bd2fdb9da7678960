//! `kubectl exec`: a command in a container.

use clap::{Arg, ArgMatches, Command};

use super::Entry;
use crate::failure::{Result, error, misused};
use crate::flags;
use crate::pods;
use crate::remote::{self, Streams, Target};
use crate::session::Session;

pub const ENTRY: Entry = Entry { build, run: |matches| Box::pin(run(matches)) };

fn build() -> Command {
    remote_flags(Command::new("exec").about("Execute a command in a container."))
        .arg(Arg::new("command").last(true).num_args(0..).value_name("COMMAND"))
        .arg(flags::text("filename", "To use to exec into the resource").short('f'))
}

/// What `exec` and `attach` share.
pub fn remote_flags(command: Command) -> Command {
    command
        .arg(Arg::new("pod").num_args(0..).value_name("POD | TYPE/NAME"))
        .arg(flags::text("container", "Container name. If omitted, use the default container.").short('c'))
        .arg(flags::switch("stdin", "Pass stdin to the container.").short('i'))
        .arg(flags::switch("tty", "Stdin is a TTY.").short('t'))
        .arg(flags::switch("quiet", "Only print output from the remote session.").short('q'))
        .arg(flags::pod_running_timeout("1m0s"))
}

async fn run(matches: &ArgMatches) -> Result {
    let words = flags::all(matches, "pod");
    let command = flags::all(matches, "command");
    let filename = flags::of(matches, "filename");
    if words.is_empty() && filename.is_empty() {
        return error("pod, type/name or --filename must be specified");
    }
    if command.is_empty() {
        return match words.len() {
            0 | 1 => error("you must specify at least one command for the container"),
            _ => misused("exec", "exec [POD] [COMMAND] is not supported anymore. Use exec [POD] -- [COMMAND] instead"),
        };
    }
    let session = Session::open(matches).await?;
    let patience = flags::duration(flags::of(matches, "pod-running-timeout"))?;
    let pod = match filename {
        "" => pods::one(&session, words[0], patience).await?,
        file => pods::of_file(&session, file, patience).await?,
    };
    let phase = pod["status"]["phase"].as_str().unwrap_or_default();
    if matches!(phase, "Succeeded" | "Failed") {
        return error(format!("cannot exec into a container in a completed pod; current phase is {phase}"));
    }
    let is_quiet = flags::is_set(matches, "quiet");
    let (container, note) = pods::asked(&pod, flags::of(matches, "container"))?;
    note.iter().filter(|_| !is_quiet).for_each(|note| eprintln!("{note}"));
    let streams = Streams::of(flags::is_set(matches, "stdin"), flags::is_set(matches, "tty"), is_quiet);
    let path = Target { pod: &pod, container }.path("exec", &command, streams);
    remote::run(&session.https, &path, &streams).await
}
