//! `kubectl create`: from files, or by a generator for the most common kinds.

mod config;
mod token;
mod workload;

pub use workload::number;

use clap::{Arg, ArgMatches, Command};
use serde_json::Value;

use super::Entry;
use super::apply::{validation, when, with_annotation};
use crate::failure::{Failure, Result, error};
use crate::flags::{self, DryRun};
use crate::report::Report;
use crate::session::Session;
use crate::{files, select};

pub const ENTRY: Entry = Entry { build, run: |matches| Box::pin(run(matches)) };

const MANAGER: &str = "kubectl-create";

/// A generator: how it is spelled, and the object that its flags make.
pub struct Generator {
    pub build: fn() -> Command,
    pub make: fn(&ArgMatches) -> Result<Value>,
}

const GENERATORS: &[Generator] = &[
    config::CONFIG_MAP,
    config::SECRET_GENERIC,
    config::SECRET_TLS,
    workload::DEPLOYMENT,
    workload::NAMESPACE,
    workload::SERVICE_ACCOUNT,
    workload::SERVICE_CLUSTER_IP,
    workload::SERVICE_NODE_PORT,
];

/// Generators below a word of their own: `create secret generic`.
const GROUPS: &[(&str, &str)] = &[
    ("secret", "Create a secret using a specified subcommand."),
    ("service", "Create a service using a specified subcommand."),
];

fn build() -> Command {
    let mut create = Command::new("create")
        .about("Create a resource from a file or from stdin.")
        .args(shared())
        .arg(flags::filenames())
        .arg(flags::recursive())
        .subcommand(token::build());
    for (name, about) in GROUPS {
        let inner = GENERATORS.iter().filter_map(|g| grouped(g).filter(|(group, _)| group == name));
        let group = Command::new(*name).about(*about).subcommand_required(true);
        create = create.subcommand(inner.fold(group, |group, (_, command)| group.subcommand(command.args(shared()))));
    }
    for generator in GENERATORS.iter().filter(|g| grouped(g).is_none()) {
        create = create.subcommand((generator.build)().args(shared()));
    }
    create
}

/// `secret generic` is the command `generic` below `secret`.
fn grouped(generator: &Generator) -> Option<(String, Command)> {
    let command = (generator.build)();
    let (group, name) = command.get_name().split_once(' ').map(|(g, n)| (g.to_owned(), n.to_owned()))?;
    Some((group, command.name(name)))
}

fn shared() -> Vec<Arg> {
    vec![
        flags::dry_run(),
        flags::output("Output format. One of: (json, yaml, name, jsonpath, …)."),
        flags::validate(),
        flags::field_manager(),
        flags::save_config(),
    ]
}

async fn run(matches: &ArgMatches) -> Result {
    let Some((name, inner)) = matches.subcommand() else { return from_files(matches).await };
    if name == "token" {
        return token::run(inner).await;
    }
    let (full, inner) = match inner.subcommand() {
        Some((below, own)) => (format!("{name} {below}"), own),
        None => (name.to_owned(), inner),
    };
    match GENERATORS.iter().find(|g| (g.build)().get_name() == full) {
        Some(generator) => create(inner, vec![(generator.make)(inner)?], None).await,
        None => error(format!("unknown command {full:?}")),
    }
}

async fn from_files(matches: &ArgMatches) -> Result {
    let names = flags::all(matches, "filename");
    if names.is_empty() {
        return error("must specify one of -f and -k");
    }
    let given = files::read(&names, flags::is_set(matches, "recursive"))?;
    let source = given.first().map(|given| given.source.clone());
    create(matches, given.into_iter().map(|given| given.tree).collect(), source.as_deref()).await
}

async fn create(matches: &ArgMatches, trees: Vec<Value>, source: Option<&str>) -> Result {
    let session = Session::open(matches).await?;
    let report = Report::of(matches, MANAGER)?;
    let mut failures = Vec::new();
    for tree in trees {
        if let Err(failure) = one(&session, matches, &report, tree, source).await {
            failures.push(failure);
        }
    }
    Failure::all(failures)
}

async fn one(
    session: &Session,
    matches: &ArgMatches,
    report: &Report,
    mut tree: Value,
    source: Option<&str>,
) -> Result {
    let discovery = session.discovery().await?;
    let served = discovery.of_kind(machinery::meta::api_version(&tree), machinery::meta::kind(&tree))?;
    let namespace = select::namespace_of(session, served, &tree)?;
    if flags::is_set(matches, "save-config") {
        tree = with_annotation(&tree);
    }
    if report.dry_run == DryRun::Client {
        return report.say(served, &tree, "created");
    }
    let mut options = report.options();
    options.field_validation = validation(flags::of(matches, "validate"))?;
    let created = session.client.dynamic(served.resource()).create(&namespace, tree, options).await;
    let created = created.map_err(|status| match source {
        Some(source) => when("creating", source, status),
        None => generated(served.kind.to_lowercase(), status),
    })?;
    report.say(served, &created.tree(), "created")
}

/// Generators say what they could not make.
fn generated(kind: String, status: machinery::status::Status) -> Failure {
    match status.reason.as_str() {
        "Invalid" => Failure::Server(status),
        _ => Failure::Here(format!("failed to create {kind}: {}", status.message)),
    }
}
