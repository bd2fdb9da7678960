//! `kubectl logs`: what a container wrote.

use std::io::Write;

use clap::{Arg, ArgMatches, Command};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use serde_json::Value;

use super::Entry;
use crate::failure::{Failure, Result, error};
use crate::flags;
use crate::pods;
use crate::session::Session;

pub const ENTRY: Entry = Entry { build, run: |matches| Box::pin(run(matches)) };

/// So many logs are followed at once unless more are asked for.
const STREAMS_MAX: usize = 5;

const NANOS_A_SECOND: u64 = 1_000_000_000;

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
        .arg(flags::switch("all-pods", "Get logs from all pod(s). Sets prefix to true."))
        .arg(flags::switch(
            "ignore-errors",
            "If watching / following pod logs, allow for any errors that occur to be non-fatal",
        ))
        .arg(
            flags::text(
                "max-log-requests",
                "Specify maximum number of concurrent logs to follow when using by a selector.",
            )
            .default_value("5"),
        )
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
    let all_pods = flags::is_set(matches, "all-pods");
    let chosen = if all_pods && selector.is_empty() {
        pods::all_of(&session, word).await?
    } else if selector.is_empty() {
        vec![pods::one_of(&session, word, patience).await?]
    } else {
        pods::selected(&session, selector).await?
    };
    since(matches)?;
    let is_selected = !selector.is_empty() || all_pods;
    let mut sources = Vec::new();
    for pod in &chosen {
        for container in containers(matches, pod)? {
            sources.push(Source { pod, container });
        }
    }
    let is_followed = flags::is_set(matches, "follow");
    if !is_followed || sources.len() == 1 {
        for source in &sources {
            tolerated(matches, source.print(&session, matches, is_selected).await)?;
        }
        return Ok(());
    }
    let most = flags::of(matches, "max-log-requests").parse::<usize>().unwrap_or(STREAMS_MAX);
    if sources.len() > most {
        return error(format!(
            "you are attempting to follow {} log streams, but maximum allowed concurrency is {most}, use --max-log-requests to increase the limit",
            sources.len()
        ));
    }
    // All at once: the first of them may never end.
    let mut ends: FuturesUnordered<_> =
        sources.iter().map(|source| source.print(&session, matches, is_selected)).collect();
    while let Some(ended) = ends.next().await {
        tolerated(matches, ended)?;
    }
    Ok(())
}

/// With `--ignore-errors` what fails is said, and the others go on.
fn tolerated(matches: &ArgMatches, ended: Result) -> Result {
    match ended {
        Err(failure) if flags::is_set(matches, "ignore-errors") => {
            eprintln!("{failure}");
            Ok(())
        }
        ended => ended,
    }
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

/// One container's log.
struct Source<'a> {
    pod: &'a Value,
    container: String,
}

impl Source<'_> {
    /// Prints whole lines, so that those of several sources do not mix.
    async fn print(&self, session: &Session, matches: &ArgMatches, is_selected: bool) -> Result {
        let (namespace, name) = (machinery::meta::namespace(self.pod), machinery::meta::name(self.pod));
        let query = query(matches, &self.container, is_selected)?;
        let path = format!("/api/v1/namespaces/{namespace}/pods/{name}/log?{query}");
        let mut body = session.https.stream(&path, "*/*").await?.boxed();
        let is_prefixed = flags::is_set(matches, "prefix") || flags::is_set(matches, "all-pods");
        let prefix = if is_prefixed { format!("[pod/{name}/{}] ", self.container) } else { String::new() };
        let mut left: Vec<u8> = Vec::new();
        while let Some(bytes) = body.next().await {
            left.extend_from_slice(&bytes?);
            let whole = left.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            write(&prefix, &left[..whole])?;
            left.drain(..whole);
        }
        write(&prefix, &left)
    }
}

fn write(prefix: &str, text: &[u8]) -> Result {
    if text.is_empty() {
        return Ok(());
    }
    let mut out = std::io::stdout().lock();
    if prefix.is_empty() {
        out.write_all(text)?;
    } else {
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            out.write_all(prefix.as_bytes())?;
            out.write_all(line)?;
        }
    }
    Ok(out.flush()?)
}

/// The seconds of `--since`, which is not for `--since-time` to gainsay.
fn since(matches: &ArgMatches) -> Result<Option<u64>> {
    let text = flags::of(matches, "since");
    let nanos = if text.is_empty() { 0 } else { machinery::duration::parse(text).map_err(Failure::Here)? };
    if nanos != 0 && !flags::of(matches, "since-time").is_empty() {
        return error("at most one of `sinceTime` or `sinceSeconds` may be specified");
    }
    match u64::try_from(nanos) {
        Ok(0) => Ok(None),
        Ok(nanos) => Ok(Some(nanos.div_ceil(NANOS_A_SECOND))),
        Err(_) => error("--since must be greater than 0"),
    }
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
    if let Some(seconds) = since(matches)? {
        parts.push(format!("sinceSeconds={seconds}"));
    }
    for (flag, parameter) in [("since-time", "sinceTime"), ("limit-bytes", "limitBytes")] {
        let value = flags::of(matches, flag);
        if !value.is_empty() {
            parts.push(format!("{parameter}={}", client::https::escape(value)));
        }
    }
    Ok(parts.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_is_one_of_two_and_not_before_now() {
        let of = |words: &str| since(&build().try_get_matches_from(words.split(' ')).unwrap());
        assert_eq!(of("logs --since=1500ms").unwrap(), Some(2));
        assert_eq!(of("logs p").unwrap(), None);
        assert_eq!(of("logs --since=-1m").unwrap_err().to_string(), "error: --since must be greater than 0");
        assert_eq!(
            of("logs --since=1m --since-time=2020-01-01T00:00:00Z").unwrap_err().to_string(),
            "error: at most one of `sinceTime` or `sinceSeconds` may be specified"
        );
    }
}
