//! `kubectl logs`: what a container wrote.

use std::io::Write;

use clap::{Arg, ArgMatches, Command};
use futures::StreamExt;
use serde_json::Value;

use super::Entry;
use crate::failure::{Result, error};
use crate::flags;
use crate::pods;
use crate::session::Session;

pub const ENTRY: Entry = Entry { build, run: |matches| Box::pin(run(matches)) };

fn build() -> Command {
    Command::new("logs")
        .about("Print the logs for a container in a pod or specified resource.")
        .arg(Arg::new("pod").value_name("POD | TYPE/NAME"))
        .arg(Arg::new("positional-container").value_name("CONTAINER"))
        .arg(flags::selector())
        .arg(flags::pod_running_timeout("20s"))
        .arg(flags::text("container", "Print the logs of this container").short('c'))
        .arg(flags::switch("all-containers", "Get all containers' logs in the pod(s)."))
        .arg(flags::switch("follow", "Specify if the logs should be streamed.").short('f'))
        .arg(
            flags::switch(
                "previous",
                "If true, print the logs for the previous instance of the container in a pod if it exists.",
            )
            .short('p'),
        )
        .arg(flags::switch("timestamps", "Include timestamps on each line in the log output"))
        .arg(flags::switch("prefix", "Prefix each log line with the log source (pod name and container name)"))
        .arg(flags::text("tail", "Lines of recent log file to display.").default_value("-1").allow_hyphen_values(true))
        .arg(flags::text("since", "Only return logs newer than a relative duration like 5s, 2m, or 3h."))
        .arg(flags::text("since-time", "Only return logs after a specific date (RFC3339)."))
        .arg(flags::text("limit-bytes", "Maximum bytes of logs to return."))
}

async fn run(matches: &ArgMatches) -> Result {
    let session = Session::open(matches).await?;
    let selector = flags::of(matches, "selector");
    let word = flags::of(matches, "pod");
    if word.is_empty() == selector.is_empty() {
        return error(
            "expected 'logs [-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]'.\nPOD or TYPE/NAME is a required argument for the logs command\nSee 'kubectl logs -h' for help and examples",
        );
    }
    let patience = flags::duration(flags::of(matches, "pod-running-timeout"))?;
    let chosen = if selector.is_empty() {
        vec![pods::one_of(&session, word, patience).await?]
    } else {
        pods::selected(&session, selector).await?
    };
    let is_selected = !selector.is_empty();
    for pod in chosen {
        for container in containers(matches, &pod)? {
            print(&session, matches, &pod, &container, is_selected).await?;
        }
    }
    Ok(())
}

fn containers(matches: &ArgMatches, pod: &Value) -> Result<Vec<String>> {
    if flags::is_set(matches, "all-containers") {
        return Ok(pods::containers(pod));
    }
    let named = [flags::of(matches, "container"), flags::of(matches, "positional-container")];
    match named.iter().find(|name| !name.is_empty()) {
        Some(name) if pods::container(pod, name).is_none() => {
            error(format!("container {name} is not valid for pod {}", machinery::meta::name(pod)))
        }
        Some(name) if pods::container(pod, name).is_none() => {
            error(format!("container {name} is not valid for pod {}", machinery::meta::name(pod)))
        }
        Some(name) => Ok(vec![(*name).to_owned()]),
        None => {
            let (name, note) = pods::chosen(pod, "")?;
            note.iter().for_each(|note| eprintln!("{note}"));
            Ok(vec![name])
        }
    }
}

async fn print(session: &Session, matches: &ArgMatches, pod: &Value, container: &str, is_selected: bool) -> Result {
    let (namespace, name) = (machinery::meta::namespace(pod), machinery::meta::name(pod));
    let path = format!("/api/v1/namespaces/{namespace}/pods/{name}/log?{}", query(matches, container, is_selected)?);
    let mut body = session.https.stream(&path, "*/*").await?.boxed();
    let mut out = std::io::stdout().lock();
    let prefix = flags::is_set(matches, "prefix").then(|| format!("[pod/{name}/{container}] "));
    let mut at_start = true;
    while let Some(bytes) = body.next().await {
        let bytes = bytes?;
        match &prefix {
            None => out.write_all(&bytes)?,
            Some(prefix) => {
                for line in bytes.split_inclusive(|b| *b == b'\n') {
                    if at_start {
                        out.write_all(prefix.as_bytes())?;
                    }
                    out.write_all(line)?;
                    at_start = line.ends_with(b"\n");
                }
            }
        }
        out.flush()?;
    }
    Ok(())
}

fn query(matches: &ArgMatches, container: &str, is_selected: bool) -> Result<String> {
    let mut parts = vec![format!("container={}", client::https::escape(container))];
    for (flag, parameter) in [("follow", "follow"), ("previous", "previous"), ("timestamps", "timestamps")] {
        if flags::is_set(matches, flag) {
            parts.push(format!("{parameter}=true"));
        }
    }
    // Of selected pods only the last lines are shown unless more are asked for.
    let tail = match flags::of(matches, "tail") {
        "-1" if is_selected && !flags::given(matches, "tail") => "10",
        text => text,
    };
    match tail.parse::<i64>() {
        Ok(-1) => {}
        Ok(lines) if lines >= 0 => parts.push(format!("tailLines={lines}")),
        _ => return error("--tail must be greater than or equal to -1"),
    }
    if !flags::of(matches, "since").is_empty() {
        let seconds = flags::duration(flags::of(matches, "since"))?.as_secs_f64().ceil() as u64;
        parts.push(format!("sinceSeconds={}", seconds.max(1)));
    }
    for (flag, parameter) in [("since-time", "sinceTime"), ("limit-bytes", "limitBytes")] {
        let value = flags::of(matches, flag);
        if !value.is_empty() {
            parts.push(format!("{parameter}={}", client::https::escape(value)));
        }
    }
    Ok(parts.join("&"))
}
