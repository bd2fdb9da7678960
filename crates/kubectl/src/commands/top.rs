//! `kubectl top`: what nodes and pods use, as the metrics API tells; refused where there is none.

use clap::{Arg, ArgMatches, Command};
use client::Options;
use machinery::quantity::Quantity;
use serde_json::Value;

use super::Entry;
use crate::failure::{Result, error};
use crate::print::table;
use crate::session::Session;
use crate::{flags, select};

pub const ENTRY: Entry = Entry { build, run: |matches| Box::pin(run(matches)) };

const VERSION: &str = "metrics.k8s.io/v1beta1";
const MEBIBYTE: i64 = 1024 * 1024;

fn build() -> Command {
    let named = |name: &'static str, about: &'static str| {
        Command::new(name)
            .about(about)
            .arg(Arg::new("name").value_name("NAME"))
            .arg(flags::selector())
            .arg(flags::switch("no-headers", "If present, print output without headers."))
    };
    Command::new("top")
        .about("Display resource (CPU/memory) usage.")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(named("node", "Display resource (CPU/memory) usage of nodes.").visible_aliases(["nodes", "no"]))
        .subcommand(
            named("pod", "Display resource (CPU/memory) usage of pods.")
                .visible_aliases(["pods", "po"])
                .arg(flags::all_namespaces()),
        )
}

async fn run(matches: &ArgMatches) -> Result {
    let Some((what, own)) = matches.subcommand() else { return Ok(()) };
    let session = Session::open(own).await?;
    let kind = if what == "node" { "NodeMetrics" } else { "PodMetrics" };
    let Ok(served) = session.discovery().await?.of_kind(VERSION, kind) else {
        return error("Metrics API not available");
    };
    let everywhere = what == "pod" && flags::is_set(own, "all-namespaces");
    let namespace = select::namespace(&session, served, everywhere);
    let name = flags::of(own, "name");
    let resource = session.client.dynamic(served.resource());
    let found = if name.is_empty() {
        let options = Options { label_selector: flags::of(own, "selector").into(), ..Options::default() };
        select::list(&session, served, &namespace, options).await?.items
    } else {
        vec![resource.get(&namespace, name).await?]
    };
    let mut rows = Vec::new();
    if !flags::is_set(own, "no-headers") {
        rows.push(["NAMESPACE", "NAME", "CPU(cores)", "MEMORY(bytes)"].map(str::to_owned).to_vec());
    }
    rows.extend(found.iter().map(|object| row(&object.tree())));
    if !everywhere {
        rows.iter_mut().for_each(|row| _ = row.remove(0));
    }
    print!("{}", table::aligned(&rows));
    Ok(())
}

/// A pod uses what its containers use; a node says it itself.
fn row(metrics: &Value) -> Vec<String> {
    let parts = match metrics["containers"].as_array() {
        Some(containers) => containers.iter().collect(),
        None => vec![metrics],
    };
    let sum = |name: &str| {
        let mut whole = Quantity::default();
        let amounts = parts.iter().filter_map(|part| Quantity::from_tree(&part["usage"][name]).ok());
        amounts.for_each(|amount| whole.add(&amount));
        whole
    };
    vec![
        machinery::meta::namespace(metrics).to_owned(),
        machinery::meta::name(metrics).to_owned(),
        format!("{}m", sum("cpu").milli_value()),
        format!("{}Mi", sum("memory").value() / MEBIBYTE),
    ]
}
