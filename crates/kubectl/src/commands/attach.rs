//! `kubectl attach`: the streams of a container's own process.

use clap::{ArgMatches, Command};
use serde_json::Value;

use super::{Entry, exec};
use crate::failure::{Failure, Result, error};
use crate::flags;
use crate::pods;
use crate::remote::{self, Streams, Target};
use crate::session::Session;

pub const ENTRY: Entry = Entry { build, run: |matches| Box::pin(run(matches)) };

fn build() -> Command {
    exec::remote_flags(
        Command::new("attach").about("Attach to a process that is already running inside an existing container."),
    )
}

/// How somebody wants to be attached.
pub struct Wanted<'a> {
    pub container: &'a str,
    pub stdin: bool,
    pub tty: bool,
    pub is_quiet: bool,
}

async fn run(matches: &ArgMatches) -> Result {
    let words = flags::all(matches, "pod");
    let word = match words.as_slice() {
        [] => return error("at least 1 argument is required for attach"),
        [word] => (*word).to_owned(),
        [kind, name] => format!("{kind}/{name}"),
        more => {
            return error(format!(
                "expected POD, TYPE/NAME, or TYPE NAME, (at most 2 arguments) saw {}: [{}]",
                more.len(),
                more.join(" ")
            ));
        }
    };
    let session = Session::open(matches).await?;
    let patience = flags::duration(flags::of(matches, "pod-running-timeout"))?;
    if patience.is_zero() {
        return error("--pod-running-timeout must be higher than zero");
    }
    let pod = pods::one(&session, &word, patience).await?;
    let phase = pod["status"]["phase"].as_str().unwrap_or_default();
    if matches!(phase, "Succeeded" | "Failed") {
        return error(format!("cannot attach a container in a completed pod; current phase is {phase}"));
    }
    let wanted = Wanted {
        container: flags::of(matches, "container"),
        stdin: flags::is_set(matches, "stdin"),
        tty: flags::is_set(matches, "tty"),
        is_quiet: flags::is_set(matches, "quiet"),
    };
    attach(&session, &pod, &wanted).await
}

/// Attaches to a running pod until the session ends; its process goes on if it likes.
///
/// # Errors
/// No such container, or the connection breaks.
pub async fn attach(session: &Session, pod: &Value, wanted: &Wanted<'_>) -> Result {
    let (name, note) = pods::chosen(pod, wanted.container).map_err(|failure| match failure {
        Failure::Here(why) => Failure::Here(format!("cannot attach to the container: {why}")),
        other => other,
    })?;
    note.iter().filter(|_| !wanted.is_quiet).for_each(|note| eprintln!("{note}"));
    let has_terminal = pods::container(pod, &name).is_some_and(|container| container["tty"] == true);
    if wanted.tty && !has_terminal && !wanted.is_quiet {
        eprintln!("error: Unable to use a TTY - container {name} did not allocate one");
    }
    let streams = Streams::of(wanted.stdin, has_terminal, wanted.is_quiet);
    if !wanted.is_quiet {
        eprintln!("If you don't see a command prompt, try pressing enter.");
    }
    let path = Target { pod, container: name.clone() }.path("attach", &[], streams);
    remote::run(&session.https, &path, &streams).await?;
    let stays = pod["spec"]["restartPolicy"] == "Always";
    if !wanted.is_quiet && wanted.stdin && streams.tty && stays {
        println!(
            "Session ended, resume using 'kubectl attach {} -c {name} -i -t' command when the pod is running",
            machinery::meta::name(pod)
        );
    }
    Ok(())
}
