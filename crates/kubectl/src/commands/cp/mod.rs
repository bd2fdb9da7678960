//! `kubectl cp`: files and folders into and out of containers, by `tar` on the other side.
//!
//! ```text
//!   to a pod:    upload::pack (a thread) ─▶ channel ─▶ transfer ─▶ tar -xmf - -C FOLDER
//!   from a pod:  tar cf - PATH ─▶ transfer ─▶ channel ─▶ download::Unpacking (a thread)
//! ```

mod download;
mod path;
#[cfg(test)]
mod tests;
mod upload;

use clap::{Arg, ArgMatches, Command};
use serde_json::Value;
use tokio::sync::mpsc;

use super::Entry;
use crate::failure::{Failure, Result, error};
use crate::flags;
use crate::pods;
use crate::remote::{Ended, Target};
use crate::session::Session;
use crate::transfer::{self, Pipes, Sink};
use download::{FromChannel, Unpacking};
use upload::ToChannel;

pub const ENTRY: Entry = Entry { build, run: |matches| Box::pin(run(matches)) };

/// Blocks on their way between the network and the thread that packs or unpacks.
const BLOCKS_WAITING_MAX: usize = 16;

fn build() -> Command {
    Command::new("cp")
        .about("Copy files and directories to and from containers.")
        .arg(Arg::new("paths").num_args(0..).value_name("FILE_SPEC"))
        .arg(flags::text("container", "Container name. If omitted, use the default container.").short('c'))
        .arg(flags::switch("no-preserve", "The copied file/directory's ownership and permissions will not be preserved in the container"))
        .arg(
            flags::text("retries", "Set number of retries to complete a copy operation from a container. Specify 0 to disable or any negative value for infinite retrying.")
                .allow_hyphen_values(true)
                .default_value("0"),
        )
}

/// `[[namespace/]pod:]path`.
#[derive(Debug, PartialEq, Eq)]
struct Place<'a> {
    /// `None` is here.
    pod: Option<&'a str>,
    namespace: &'a str,
    path: String,
}

impl<'a> Place<'a> {
    fn parse(word: &'a str) -> Result<Self> {
        const FORM: &str = "filespec must match the canonical format: [[namespace/]pod:]file/path";
        let Some((pod, file)) = word.split_once(':') else {
            return Ok(Place { pod: None, namespace: "", path: path::unslashed(word).to_owned() });
        };
        let path = path::unslashed(file).replace('\\', "/");
        match pod.split('/').collect::<Vec<_>>().as_slice() {
            [pod] if !word.starts_with(':') => Ok(Place { pod: Some(pod), namespace: "", path }),
            [namespace, pod] => Ok(Place { pod: Some(pod), namespace, path }),
            _ => error(FORM),
        }
    }
}

async fn run(matches: &ArgMatches) -> Result {
    let words = flags::all(matches, "paths");
    let [from, to] = words.as_slice() else { return error("source and destination are required") };
    let (from, to) = (Place::parse(from)?, Place::parse(to)?);
    if from.pod.is_some() && to.pod.is_some() {
        return error("one of src or dest must be a local file specification");
    }
    if from.path.is_empty() || to.path.is_empty() {
        return error("filepath can not be empty");
    }
    let retries = flags::of(matches, "retries");
    let retries: i64 = retries.parse().map_err(|_| {
        Failure::Here(format!(
            "invalid argument {retries:?} for \"--retries\" flag: strconv.ParseInt: parsing {retries:?}: invalid syntax"
        ))
    })?;
    match (from.pod, to.pod) {
        (Some(pod), None) => {
            let pod = find(matches, pod, from.namespace).await?;
            download(&pod, &from, &to.path, retries).await
        }
        (None, Some(pod)) => {
            if std::fs::metadata(&from.path).is_err() {
                return error(format!("{} doesn't exist in local filesystem", from.path));
            }
            let pod = find(matches, pod, to.namespace).await?;
            upload(&pod, &from.path, &to.path, flags::is_set(matches, "no-preserve")).await
        }
        _ => error("one of src or dest must be a remote file specification"),
    }
}

/// The pod and container at the other end.
struct Remote {
    session: Session,
    pod: Value,
    container: String,
    note: Option<String>,
}

impl Remote {
    fn target(&self) -> Target<'_> {
        Target { pod: &self.pod, container: self.container.clone() }
    }
}

async fn find(matches: &ArgMatches, pod: &str, namespace: &str) -> Result<Remote> {
    let mut session = Session::open(matches).await?;
    if !namespace.is_empty() {
        session.namespace = namespace.to_owned();
    }
    let pods = client::Resource::new("", "v1", "pods", "Pod");
    let pod = Value::clone(&session.client.dynamic(pods).get(&session.namespace, pod).await?.tree());
    let phase = pod["status"]["phase"].as_str().unwrap_or_default();
    if matches!(phase, "Succeeded" | "Failed") {
        return error(format!("cannot exec into a container in a completed pod; current phase is {phase}"));
    }
    let (container, note) = pods::asked(&pod, flags::of(matches, "container"))?;
    Ok(Remote { session, pod, container, note })
}

async fn upload(remote: &Remote, source: &str, destination: &str, no_preserve: bool) -> Result {
    let target = remote.target();
    let silent = Pipes { input: None, output: Sink::Nowhere, errors: Sink::Nowhere };
    let test = transfer::run(&remote.session.https, &target, &["test", "-d", destination], silent).await?;
    let destination = match test {
        Ended::Success => path::join(destination, &path::base(source)),
        _ => path::clean(destination),
    };
    remote.note.iter().for_each(|note| eprintln!("{note}"));
    let folder = path::dir(&destination);
    let mut command = vec!["tar"];
    if no_preserve {
        command.extend(["--no-same-permissions", "--no-same-owner"]);
    }
    command.extend(["-xmf", "-", "-C", &folder]);
    let (sender, input) = mpsc::channel(BLOCKS_WAITING_MAX);
    let (source, name) = (path::clean(source), path::base(&destination));
    let packing = tokio::task::spawn_blocking(move || upload::pack(&source, &name, ToChannel(sender)));
    let pipes = Pipes { input: Some(input), output: Sink::Stdout, errors: Sink::Stderr };
    let ended = transfer::run(&remote.session.https, &target, &command, pipes).await;
    match packing.await {
        // A process that ended early leaves the packer without a reader: what the process said is the reason then.
        Ok(Err(failure)) if matches!(ended, Ok(Ended::Success)) => Err(failure),
        Ok(_) => ended?.outcome(),
        Err(panicked) => error(format!("packing failed: {panicked}")),
    }
}

async fn download(remote: &Remote, from: &Place<'_>, destination: &str, retries: i64) -> Result {
    remote.note.iter().for_each(|note| println!("{note}"));
    let source = &from.path;
    let prefix = path::without_shortcuts(&path::clean(source.trim_start_matches(['/', '\\']))).to_owned();
    let hint = format!(
        " (consider using \"kubectl exec -n {:?} {:?} -- tar cf - {source:?} | tar xf -\")",
        from.namespace,
        from.pod.unwrap_or_default()
    );
    let unpacking = Unpacking { prefix, destination: destination.to_owned(), hint };
    let (sender, incoming) = mpsc::channel(BLOCKS_WAITING_MAX);
    let mut reader = FromChannel { incoming, left: bytes::Bytes::new(), is_drained: false };
    let unpacked = tokio::task::spawn_blocking(move || (unpacking.run(&mut reader), !reader.is_drained));
    let ended = stream(remote, source, retries, sender).await;
    let (unpacked, is_whole) = match unpacked.await {
        Ok(unpacked) => unpacked,
        Err(panicked) => (error(format!("unpacking failed: {panicked}")), false),
    };
    verdict(ended?, unpacked, is_whole)
}

/// An archive that came with its end is all that is wanted, as upstream has it: a `tar` that did not find a file has
/// said so, and its exit code does not count.
fn verdict(ended: Ended, unpacked: Result, is_whole: bool) -> Result {
    match ended {
        Ended::Success => unpacked,
        Ended::Code(_) if is_whole => unpacked,
        other => other.outcome(),
    }
}

/// Sends the archive into a channel; a connection that breaks is taken up where it broke, as often as is allowed.
async fn stream(remote: &Remote, source: &str, retries: i64, sender: mpsc::Sender<bytes::Bytes>) -> Result<Ended> {
    let (mut sent, mut tried) = (0u64, 0i64);
    loop {
        let resuming = format!("tar cf - '{}' | tail -c+{}", source.replace('\'', "'\\''"), sent + 1);
        let command = if retries == 0 { vec!["tar", "cf", "-", source] } else { vec!["sh", "-c", &resuming] };
        let (tap, mut tapped) = mpsc::channel(BLOCKS_WAITING_MAX);
        let pipes = Pipes { input: None, output: Sink::Channel(tap), errors: Sink::Stdout };
        let count = async {
            let mut count = 0u64;
            while let Some(bytes) = tapped.recv().await {
                count += bytes::Bytes::len(&bytes) as u64;
                // The unpacker stops at the archive's end; what follows is padding.
                let _ = sender.send(bytes).await;
            }
            count
        };
        let target = remote.target();
        let (ended, count) = tokio::join!(transfer::run(&remote.session.https, &target, &command, pipes), count);
        sent += count;
        match ended {
            Err(_) if retries < 0 || tried < retries => {
                tried += 1;
                println!("Resuming copy at {sent} bytes, retry {tried}/{retries}");
            }
            ended => return ended,
        }
    }
}
