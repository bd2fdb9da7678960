//! `kubectl drain`: cordons nodes and evicts their pods, which disruption budgets may delay.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::{ArgMatches, Command};
use client::Options;
use futures::future::join_all;
use machinery::request::{Request, Verb};
use serde_json::{Value, json};

use super::{Entry, cordon, delete};
use crate::discovery::Served;
use crate::failure::{Failure, Result};
use crate::flags::{self, DryRun};
use crate::report::Report;
use crate::select::{self, Found};
use crate::session::Session;

pub const ENTRY: Entry = Entry { build, run: |matches| Box::pin(run(matches)) };

const MIRROR: &str = "kubernetes.io/config.mirror";
const TOO_MANY_REQUESTS: u16 = 429;
/// A refused eviction is asked for again; what makes it possible may be any pod of the budget.
const RETRY: Duration = Duration::from_secs(5);

fn build() -> Command {
    cordon::shared(Command::new("drain").about("Drain node in preparation for maintenance."))
        .arg(flags::switch("force", "Continue even if there are pods that do not declare a controller."))
        .arg(flags::switch("ignore-daemonsets", "Ignore DaemonSet-managed pods."))
        .arg(flags::switch("delete-emptydir-data", "Continue even if there are pods using emptyDir."))
        .arg(
            flags::text("grace-period", "Period of time in seconds given to each pod to terminate gracefully.")
                .default_value("-1")
                .allow_hyphen_values(true),
        )
        .arg(
            flags::text("timeout", "The length of time to wait before giving up, zero means infinite")
                .default_value("0s"),
        )
        .arg(flags::text("pod-selector", "Label selector to filter pods on the node"))
}

async fn run(matches: &ArgMatches) -> Result {
    let session = Session::open(matches).await?;
    let report = Report::of(matches, "kubectl-drain")?;
    let nodes = cordon::nodes(&session, matches, "drain").await?;
    for node in &nodes {
        cordon::set(&session, &report, node, true).await?;
    }
    let timeout = flags::duration(flags::of(matches, "timeout"))?;
    let mut pending = Vec::new();
    for node in &nodes {
        let draining = drain(&session, matches, &report, node);
        let ended = if timeout.is_zero() {
            draining.await
        } else {
            let late = || Failure::Here(format!("global timeout reached: {}s", timeout.as_secs()));
            tokio::time::timeout(timeout, draining).await.unwrap_or_else(|_| Err(late()))
        };
        match ended {
            Ok(()) => report.say(&node.served, &node.object.tree(), "drained")?,
            Err(failure) => {
                let why = failure.to_string();
                let why = why.strip_prefix("error: ").unwrap_or(&why);
                eprintln!("error: unable to drain node {:?} due to error: {why}, continuing command...", node.name());
                pending.push((node.name(), why.to_owned()));
            }
        }
    }
    if pending.is_empty() {
        return Ok(());
    }
    eprintln!("There are pending nodes to be drained:");
    pending.iter().for_each(|(name, _)| eprintln!(" {name}"));
    pending.iter().for_each(|(_, why)| eprintln!("{why}"));
    Err(Failure::Exit(1))
}

/// What is to be done with a pod.
enum Fate {
    Evict,
    /// With a warning.
    EvictThough(&'static str),
    Leave,
    LeaveThough(&'static str),
    Refuse(&'static str),
}

fn fate(pod: &Value, matches: &ArgMatches) -> Fate {
    let is_finished = matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
    let owner = machinery::meta::controller(pod);
    if machinery::meta::annotation(pod, MIRROR).is_some() {
        return Fate::Leave;
    }
    if is_finished {
        return Fate::Evict;
    }
    if owner.as_ref().is_some_and(|owner| owner.kind == "DaemonSet") {
        return match flags::is_set(matches, "ignore-daemonsets") {
            true => Fate::LeaveThough("ignoring DaemonSet-managed Pods"),
            false => Fate::Refuse("DaemonSet-managed Pods (use --ignore-daemonsets to ignore)"),
        };
    }
    let has_local = pod["spec"]["volumes"].as_array().into_iter().flatten().any(|v| !v["emptyDir"].is_null());
    if has_local && !flags::is_set(matches, "delete-emptydir-data") {
        return Fate::Refuse("Pods with local storage (use --delete-emptydir-data to override)");
    }
    match (owner.is_some(), flags::is_set(matches, "force")) {
        (true, _) if has_local => Fate::EvictThough("deleting Pods with local storage"),
        (true, _) => Fate::Evict,
        (false, true) => Fate::EvictThough("deleting Pods that declare no controller"),
        (false, false) => Fate::Refuse("cannot delete Pods that declare no controller (use --force to override)"),
    }
}

async fn drain(session: &Session, matches: &ArgMatches, report: &Report, node: &Found) -> Result {
    let served = session.discovery().await?.of_kind("v1", "Pod")?;
    let options = Options {
        field_selector: format!("spec.nodeName={}", node.name()),
        label_selector: flags::of(matches, "pod-selector").into(),
        ..Options::default()
    };
    let (mut chosen, mut refused, mut warned) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
    for object in select::list(session, served, "", options).await?.items {
        let pod = object.tree();
        let name = format!("{}/{}", machinery::meta::namespace(&pod), machinery::meta::name(&pod));
        let fate = fate(&pod, matches);
        match fate {
            Fate::Refuse(why) => refused.entry(why).or_insert_with(Vec::new).push(name),
            Fate::EvictThough(why) | Fate::LeaveThough(why) => warned.entry(why).or_insert_with(Vec::new).push(name),
            Fate::Evict | Fate::Leave => {}
        }
        if matches!(fate, Fate::Evict | Fate::EvictThough(_)) {
            chosen.push(Found { served: served.clone(), object: object.clone() });
        }
    }
    let texts = |all: BTreeMap<&str, Vec<String>>| {
        all.into_iter().map(|(why, names)| format!("{why}: {}", names.join(", "))).collect::<Vec<_>>()
    };
    if !refused.is_empty() {
        let refused: Vec<String> = texts(refused).into_iter().map(|text| format!("cannot delete {text}")).collect();
        let text = refused.join(", ");
        return Err(Failure::Here(if refused.len() > 1 { format!("[{text}]") } else { text }));
    }
    if !warned.is_empty() {
        eprintln!("Warning: {}", texts(warned).join("; "));
    }
    let evictions = chosen.iter().map(|pod| evict(session, matches, report, served, pod));
    Failure::all(join_all(evictions).await.into_iter().filter_map(Result::err).collect())
}

/// Until the pod is gone.
async fn evict(session: &Session, matches: &ArgMatches, report: &Report, served: &Served, pod: &Found) -> Result {
    let (namespace, name) = (pod.namespace(), pod.name());
    println!("evicting pod {namespace}/{name}{}", report.suffix());
    if report.dry_run == DryRun::Client {
        return Ok(());
    }
    let mut eviction = json!({
        "apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": namespace},
    });
    if let Some(seconds) = flags::of(matches, "grace-period").parse::<i64>().ok().filter(|seconds| *seconds >= 0) {
        eviction["deleteOptions"] = json!({"gracePeriodSeconds": seconds});
    }
    loop {
        let mut request = Request::new(Verb::Create, "", "v1", "pods").namespace(&namespace).name(&name);
        request = request.subresource("eviction").body(eviction.clone());
        request.options = report.options();
        match session.client.call(request).await {
            Ok(_) if report.dry_run == DryRun::Server => return Ok(()),
            Ok(_) => break,
            Err(status) if status.is_not_found() => break,
            Err(status) if status.code == TOO_MANY_REQUESTS => {
                eprintln!(
                    "error when evicting pods/{name:?} -n {namespace:?} (will retry after 5s): {}",
                    status.message
                );
                tokio::time::sleep(RETRY).await;
            }
            Err(status) => {
                let why = &status.message;
                return Err(Failure::Here(format!("error when evicting pods/{name:?} -n {namespace:?}: {why}")));
            }
        }
    }
    delete::gone(session, pod, None).await?;
    report.say(served, &pod.object.tree(), "evicted")
}
