//! `kubectl create`: from files, or by a generator for the most common kinds.

mod batch;
mod config;
mod docker;
mod ingress;
mod policy;
mod rbac;
mod service;
mod token;
mod workload;

pub use policy::quantities;
pub use rbac::subjects;
pub use workload::number;

use std::future::Future;
use std::pin::Pin;

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
    pub make: Make,
}

pub type Making<'a> = Pin<Box<dyn Future<Output = Result<Value>> + 'a>>;

/// How the object is made.
pub enum Make {
    /// Of the flags alone.
    Plain(fn(&ArgMatches) -> Result<Value>),
    /// Of what the server knows, too.
    Asking(for<'a> fn(&'a ArgMatches, &'a Session) -> Making<'a>),
}

const GENERATORS: &[Generator] = &[
    rbac::CLUSTER_ROLE,
    rbac::CLUSTER_ROLE_BINDING,
    config::CONFIG_MAP,
    batch::CRON_JOB,
    workload::DEPLOYMENT,
    ingress::INGRESS,
    batch::JOB,
    workload::NAMESPACE,
    policy::DISRUPTION_BUDGET,
    policy::PRIORITY_CLASS,
    policy::QUOTA,
    rbac::ROLE,
    rbac::ROLE_BINDING,
    docker::SECRET,
    config::SECRET_GENERIC,
    config::SECRET_TLS,
    service::CLUSTER_IP,
    service::EXTERNAL_NAME,
    service::LOAD_BALANCER,
    service::NODE_PORT,
    workload::SERVICE_ACCOUNT,
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
    let Some(generator) = GENERATORS.iter().find(|g| (g.build)().get_name() == full) else {
        return error(format!("unknown command {full:?}"));
    };
    let (mut tree, session) = match generator.make {
        Make::Plain(make) => (make(inner)?, Session::open(inner).await?),
        Make::Asking(make) => {
            let session = Session::open(inner).await?;
            (make(inner, &session).await?, session)
        }
    };
    blank_times(&mut tree);
    let report = Report::of(inner, MANAGER)?;
    if report.dry_run == DryRun::Client && session.is_namespace_given {
        let served =
            session.discovery().await?.of_kind(machinery::meta::api_version(&tree), machinery::meta::kind(&tree))?;
        if served.is_namespaced {
            tree["metadata"]["namespace"] = session.namespace.as_str().into();
        }
    }
    one(&session, inner, &report, tree, None).await
}

async fn from_files(matches: &ArgMatches) -> Result {
    let names = flags::all(matches, "filename");
    if names.is_empty() {
        return error("must specify one of -f and -k");
    }
    let given = files::read(&names, flags::is_set(matches, "recursive")).await?;
    let session = Session::open(matches).await?;
    let report = Report::of(matches, MANAGER)?;
    let mut failures = Vec::new();
    for given in given {
        if let Err(failure) = one(&session, matches, &report, given.tree, Some(&given.source)).await {
            failures.push(failure);
        }
    }
    Failure::all(failures)
}

/// What is made here has no time yet; upstream's objects say so.
pub fn blank_times(tree: &mut Value) {
    tree["metadata"]["creationTimestamp"] = Value::Null;
    for path in ["/spec/jobTemplate", "/spec/jobTemplate/spec/template", "/spec/template"] {
        if let Some(template) = tree.pointer_mut(path).filter(|template| template["spec"].is_object()) {
            template["metadata"]["creationTimestamp"] = Value::Null;
        }
    }
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
        if source.is_some() && !namespace.is_empty() {
            tree["metadata"]["namespace"] = namespace.as_str().into();
        }
        return report.say(served, &tree, "created");
    }
    let mut options = report.options();
    options.field_validation = validation(flags::of(matches, "validate"))?;
    let asked = tree.clone();
    let created = session.client.dynamic(served.resource()).create(&namespace, tree, options).await;
    let created = created.map_err(|status| match source {
        Some(source) => when("creating", source, status),
        None => match served.kind.as_str() {
            "Service" => {
                let kind = asked["spec"]["type"].as_str().unwrap_or_default();
                Failure::Here(format!("failed to create {kind} service: {}", status.message))
            }
            kind => generated(kind, status),
        },
    })?;
    report.say(served, &created.tree(), "created")
}

/// Some generators say what they could not make.
fn generated(kind: &str, status: machinery::status::Status) -> Failure {
    let what = match kind {
        "Namespace" | "Role" | "ClusterRole" => return Failure::Server(status),
        "PodDisruptionBudget" => "poddisruptionbudgets:".to_owned(),
        "ResourceQuota" => "quota:".to_owned(),
        "Secret" => "secret".to_owned(),
        other => format!("{}:", other.to_lowercase()),
    };
    Failure::Here(format!("failed to create {what} {}", status.message))
}
