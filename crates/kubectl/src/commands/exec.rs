//! `kubectl exec` and `attach`: a process in a container, over WebSocket.

use clap::{Arg, ArgMatches, Command};

use super::Entry;
use crate::failure::{Result, error};
use crate::flags;
use crate::pods;
use crate::remote::{self, Streams};
use crate::session::Session;

pub const EXEC: Entry = Entry { build: build_exec, run: |matches| Box::pin(exec(matches)) };
pub const ATTACH: Entry = Entry { build: build_attach, run: |matches| Box::pin(attach(matches)) };

fn shared(command: Command) -> Command {
    command
        .arg(Arg::new("pod").required(true).value_name("POD | TYPE/NAME"))
        .arg(flags::text("container", "Container name.").short('c'))
        .arg(flags::switch("stdin", "Pass stdin to the container.").short('i'))
        .arg(flags::switch("tty", "Stdin is a TTY.").short('t'))
        .arg(flags::switch("quiet", "Only print output from the remote session.").short('q'))
}

fn build_exec() -> Command {
    shared(Command::new("exec").about("Execute a command in a container."))
        .arg(Arg::new("command").last(true).num_args(0..).value_name("COMMAND"))
}

fn build_attach() -> Command {
    shared(Command::new("attach").about("Attach to a process that is already running inside an existing container."))
}

async fn exec(matches: &ArgMatches) -> Result {
    let command = flags::all(matches, "command");
    if command.is_empty() {
        return error("you must specify at least one command for the container");
    }
    run(matches, "exec", &command).await
}

async fn attach(matches: &ArgMatches) -> Result {
    run(matches, "attach", &[]).await
}

async fn run(matches: &ArgMatches, subresource: &str, command: &[&str]) -> Result {
    let session = Session::open(matches).await?;
    let pod = pods::one(&session, flags::of(matches, "pod")).await?;
    let phase = pod["status"]["phase"].as_str().unwrap_or_default();
    if matches!(phase, "Succeeded" | "Failed") {
        return error(format!("cannot exec into a container in a completed pod; current phase is {phase}"));
    }
    let container = match flags::of(matches, "container") {
        "" => pods::default_container(&pod),
        named => named.to_owned(),
    };
    let streams = Streams::of(flags::is_set(matches, "stdin"), flags::is_set(matches, "tty"));
    let (namespace, name) = (machinery::meta::namespace(&pod), machinery::meta::name(&pod));
    let mut path = format!(
        "/api/v1/namespaces/{namespace}/pods/{name}/{subresource}?container={}&stdin={}&stdout=true&stderr={}&tty={}",
        client::https::escape(&container),
        streams.stdin,
        !streams.tty,
        streams.tty
    );
    for word in command {
        path.push_str("&command=");
        path.push_str(&client::https::escape(word));
    }
    if subresource == "attach" && streams.tty && !flags::is_set(matches, "quiet") {
        eprintln!("If you don't see a command prompt, try pressing enter.");
    }
    remote::run(&session.https, &path, &streams).await
}
