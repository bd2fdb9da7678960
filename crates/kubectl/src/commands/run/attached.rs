//! The session of `kubectl run -i`: until the pod runs, with its process, until its exit code is known, and its removal.

use clap::ArgMatches;
use client::Options;
use futures::StreamExt;
use serde_json::Value;
use std::io::Write;

use crate::commands::attach::{self, Wanted};
use crate::commands::delete::from_namespace;
use crate::discovery::Served;
use crate::failure::{Failure, Result, error};
use crate::flags;
use crate::pods;
use crate::session::Session;

/// Attaches to a pod that was just made; gives its exit code when it does not start again.
///
/// # Errors
/// The pod does not run in time; its exit code.
pub async fn run(session: &Session, matches: &ArgMatches, pod: &Value) -> Result {
    let patience = flags::duration(flags::of(matches, "pod-running-timeout"))?;
    let pod = pods::until(session, pod, patience, |pod| is_over(pod) || is_ready(pod)).await?;
    let wanted = Wanted {
        container: "",
        stdin: flags::is_set(matches, "stdin"),
        tty: flags::is_set(matches, "tty"),
        is_quiet: flags::is_set(matches, "quiet"),
    };
    if is_over(&pod) {
        logs(session, &pod).await?;
    } else if let Err(failure) = attach::attach(session, &pod, &wanted).await {
        let why = failure.to_string();
        let why = why.strip_prefix("error: ").unwrap_or(&why);
        eprintln!(
            "warning: couldn't attach to pod/{}, falling back to streaming logs: {why}",
            machinery::meta::name(&pod)
        );
        logs(session, &pod).await?;
    }
    let restart = flags::of(matches, "restart");
    if flags::is_set(matches, "leave-stdin-open") || restart == "Always" {
        return Ok(());
    }
    let only_success = restart == "OnFailure";
    let is_done = |pod: &Value| if only_success { pod["status"]["phase"] == "Succeeded" } else { is_over(pod) };
    outcome(&pods::until(session, &pod, patience, is_done).await?)
}

fn is_over(pod: &Value) -> bool {
    matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"))
}

fn is_ready(pod: &Value) -> bool {
    let mut conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    pod["status"]["phase"] == "Running" && conditions.any(|c| c["type"] == "Ready" && c["status"] == "True")
}

/// What the container wrote, when it ended before anybody could attach.
async fn logs(session: &Session, pod: &Value) -> Result {
    let (container, _) = pods::chosen(pod, "")?;
    let (namespace, name) = (machinery::meta::namespace(pod), machinery::meta::name(pod));
    let path =
        format!("/api/v1/namespaces/{namespace}/pods/{name}/log?container={}", client::https::escape(&container));
    let mut body = session.https.stream(&path, "*/*").await?.boxed();
    let mut out = std::io::stdout().lock();
    while let Some(bytes) = body.next().await {
        out.write_all(&bytes?)?;
        out.flush()?;
    }
    Ok(())
}

/// The exit code of the pod's first container is ours.
fn outcome(pod: &Value) -> Result {
    let status = &pod["status"];
    if status["phase"] == "Succeeded" {
        return Ok(());
    }
    let named = format!("pod {}/{}", machinery::meta::namespace(pod), machinery::meta::name(pod));
    let ended = &status["containerStatuses"][0]["state"]["terminated"];
    let code = ended["exitCode"].as_i64().and_then(|code| u8::try_from(code).ok()).filter(|code| *code != 0);
    let Some(code) = code else { return error(format!("{named} failed with unknown exit code")) };
    let text = |field: &str| ended[field].as_str().unwrap_or_default();
    let message = format!("{named} terminated ({})\n{}", text("reason"), text("message"));
    Err(Failure::Told(message.strip_suffix('\n').unwrap_or(&message).to_owned(), code))
}

/// Deletes what the command made.
///
/// # Errors
/// The server refuses; what is gone already is no error.
pub async fn remove(session: &Session, matches: &ArgMatches, served: &Served, tree: &Value) -> Result {
    let (namespace, name) = (machinery::meta::namespace(tree), machinery::meta::name(tree));
    let options = Options { propagation: Some(machinery::request::Propagation::Background), ..Options::default() };
    match session.client.dynamic(served.resource()).delete(namespace, name, options).await {
        Err(status) if status.is_not_found() => return Ok(()),
        deleted => deleted?,
    };
    if !flags::is_set(matches, "quiet") {
        let from = from_namespace(namespace);
        println!("{} {name:?} deleted{from}", served.singular_qualified());
    }
    Ok(())
}
