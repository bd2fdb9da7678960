//! `kubectl apply`: three ways between what was applied last, what the file says and what is there; or by the server.
//!
//! Source: <https://kubernetes.io/docs/tasks/manage-kubernetes-objects/declarative-config/>.

use clap::{ArgMatches, Command};
use client::{Options, Patch};
use machinery::object::Object;
use machinery::patch;
use machinery::request::FieldValidation;
use serde_json::Value;

use super::Entry;
use crate::discovery::Served;
use crate::failure::{Failure, Result, error};
use crate::files::{self, Given};
use crate::flags::{self, DryRun};
use crate::print::{self, Format};
use crate::select;
use crate::session::Session;

pub const ENTRY: Entry = Entry { build, run: |matches| Box::pin(run(matches)) };

pub const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
const MANAGER: &str = "kubectl-client-side-apply";
const SERVER_SIDE_MANAGER: &str = "kubectl";
/// A conflict between reading and patching is tried again this often.
const TRIES_MAX: usize = 5;

fn build() -> Command {
    Command::new("apply")
        .about("Apply a configuration to a resource by file name or stdin.")
        .arg(flags::filenames())
        .arg(flags::recursive())
        .arg(flags::dry_run())
        .arg(flags::output("Output format. One of: (json, yaml, name, jsonpath, …)."))
        .arg(flags::validate())
        .arg(flags::field_manager())
        .arg(flags::switch("server-side", "If true, apply runs in the server instead of the client."))
        .arg(flags::switch("force-conflicts", "If true, server-side apply will force the changes against conflicts."))
        .arg(flags::switch("overwrite", "Automatically resolve conflicts between the modified and live configuration by using values from the modified configuration").default_value("true"))
}

async fn run(matches: &ArgMatches) -> Result {
    let names = flags::all(matches, "filename");
    if names.is_empty() {
        return error("must specify one of -f and -k");
    }
    let session = Session::open(matches).await?;
    let job = Job::of(matches)?;
    let mut failures = Vec::new();
    let mut printed = Vec::new();
    for given in files::read(&names, flags::is_set(matches, "recursive"))? {
        match job.apply(&session, &given).await {
            Ok(tree) => printed.push(tree),
            Err(failure) => failures.push(failure),
        }
    }
    job.print(printed)?;
    Failure::all(failures)
}

/// What the flags say, the same for all objects.
struct Job {
    dry_run: DryRun,
    server_side: bool,
    options: Options,
    format: Option<Format>,
}

impl Job {
    fn of(matches: &ArgMatches) -> Result<Self> {
        let dry_run = flags::dry_run_of(matches)?;
        let server_side = flags::is_set(matches, "server-side");
        let force = flags::is_set(matches, "force-conflicts");
        if force && !server_side {
            return error("--force-conflicts only works with --server-side");
        }
        if server_side && dry_run == DryRun::Client {
            return error("--dry-run=client doesn't work with --server-side (did you mean --dry-run=server instead?)");
        }
        let manager = match (flags::of(matches, "field-manager"), server_side) {
            ("", true) => SERVER_SIDE_MANAGER,
            ("", false) => MANAGER,
            (given, _) => given,
        };
        let options = Options {
            dry_run: dry_run == DryRun::Server,
            field_manager: manager.into(),
            field_validation: validation(flags::of(matches, "validate"))?,
            force,
            ..Options::default()
        };
        let format = match flags::of(matches, "output") {
            "" => None,
            text => Some(Format::parse(text)?),
        };
        Ok(Self { dry_run, server_side, options, format })
    }

    /// Applies one object; gives what is to be printed in a format.
    async fn apply(&self, session: &Session, given: &Given) -> Result<(Served, Value)> {
        let discovery = session.discovery().await?;
        let (version, kind) = (machinery::meta::api_version(&given.tree), machinery::meta::kind(&given.tree));
        let served = discovery.of_kind(version, kind).map_err(|f| located(f, &given.source))?.clone();
        let namespace = select::namespace_of(session, &served, &given.tree)?;
        let mut tree = given.tree.clone();
        if !namespace.is_empty() {
            machinery::tree::set(&mut tree, "metadata.namespace", namespace.clone());
        }
        let name = machinery::meta::name(&tree).to_owned();
        if name.is_empty() {
            return error(format!(
                "error when retrieving current configuration of:\nResource: \"{}\"\nfrom server for: \"{}\": resource name may not be empty",
                served.qualified(),
                given.source
            ));
        }
        let (said, result) = if self.server_side {
            ("serverside-applied", self.by_server(session, &served, &namespace, &name, tree).await?)
        } else {
            self.three_ways(session, &served, &namespace, &name, &tree, &given.source).await?
        };
        if self.format.is_none() {
            println!("{}/{name} {said}{}", served.singular_qualified(), self.suffix());
        }
        Ok((served, result))
    }

    fn suffix(&self) -> &'static str {
        match self.dry_run {
            DryRun::None => "",
            DryRun::Client => " (dry run)",
            DryRun::Server => " (server dry run)",
        }
    }

    async fn by_server(
        &self,
        session: &Session,
        served: &Served,
        namespace: &str,
        name: &str,
        tree: Value,
    ) -> Result<Value> {
        let resource = session.client.dynamic(served.resource());
        let patch = Patch::Apply { tree, manager: self.options.field_manager.clone(), force: self.options.force };
        let applied = resource.patch(namespace, name, "", patch, self.options.clone()).await?;
        Ok(Value::clone(&applied.tree()))
    }

    async fn three_ways(
        &self,
        session: &Session,
        served: &Served,
        namespace: &str,
        name: &str,
        tree: &Value,
        source: &str,
    ) -> Result<(&'static str, Value)> {
        let wanted = with_annotation(tree);
        let resource = session.client.dynamic(served.resource());
        for _ in 0..TRIES_MAX {
            let current = match resource.get(namespace, name).await {
                Ok(current) => current,
                Err(status) if status.is_not_found() => {
                    if self.dry_run == DryRun::Client {
                        return Ok(("created", wanted));
                    }
                    let created = resource.create(namespace, wanted, self.options.clone()).await;
                    let created = created.map_err(|s| when("creating", source, s))?;
                    return Ok(("created", Value::clone(&created.tree())));
                }
                Err(status) => return Err(status.into()),
            };
            let patch = difference(served, tree, &wanted, &current)?;
            if is_empty(&patch) {
                return Ok(("unchanged", Value::clone(&current.tree())));
            }
            if self.dry_run == DryRun::Client {
                return Ok(("configured", Value::clone(&current.tree())));
            }
            match resource.patch(namespace, name, "", patch, self.options.clone()).await {
                Ok(patched) => return Ok(("configured", Value::clone(&patched.tree()))),
                Err(status) if status.is_conflict() => {}
                Err(status) => return Err(when("applying patch to", source, status)),
            }
        }
        error(format!("{}/{name} changed again and again while it was applied", served.singular_qualified()))
    }

    fn print(&self, printed: Vec<(Served, Value)>) -> Result {
        let Some(format) = &self.format else { return Ok(()) };
        if matches!(format, Format::Name) {
            printed.iter().for_each(|(served, tree)| {
                println!("{}/{}", served.singular_qualified(), machinery::meta::name(tree));
            });
            return Ok(());
        }
        let mut trees: Vec<Value> = printed.iter().map(|(_, tree)| print::shown(tree)).collect();
        match (trees.len(), trees.pop()) {
            (_, None) => Ok(()),
            (1, Some(only)) => {
                print!("{}", format.object(&only)?);
                Ok(())
            }
            (_, Some(last)) => {
                trees.push(last);
                print!("{}", format.object(&print::list(trees))?);
                Ok(())
            }
        }
    }
}

/// # Errors
/// Another word than upstream's.
pub fn validation(word: &str) -> Result<FieldValidation> {
    match word {
        "strict" | "true" => Ok(FieldValidation::Strict),
        "warn" => Ok(FieldValidation::Warn),
        "ignore" | "false" => Ok(FieldValidation::Ignore),
        other => error(format!("invalid - validate option \"{other}\"")),
    }
}

/// `error when creating "file": …` inside of the server's message.
pub fn when(doing: &str, source: &str, mut status: machinery::status::Status) -> Failure {
    if status.reason != "Invalid" {
        status.message = format!("error when {doing} \"{source}\": {}", status.message);
    }
    Failure::Server(status)
}

fn located(failure: Failure, source: &str) -> Failure {
    match failure {
        Failure::Here(message) => Failure::Here(message.replacen(
            "resource mapping not found: ",
            &format!("resource mapping not found for name: \"\" namespace: \"\" from \"{source}\": "),
            1,
        )),
        other => other,
    }
}

/// The object with its own text in the annotation, as the next apply will read it.
pub fn with_annotation(tree: &Value) -> Value {
    let mut plain = tree.clone();
    machinery::tree::remove(&mut plain, "metadata.creationTimestamp");
    let annotations = machinery::tree::map_mut(&mut plain, "metadata.annotations");
    annotations.remove(LAST_APPLIED);
    let text = format!("{plain}\n");
    machinery::meta::set_annotation(&mut plain, LAST_APPLIED, &text);
    plain
}

fn difference(served: &Served, tree: &Value, wanted: &Value, current: &Object) -> Result<Patch> {
    let current = current.tree();
    let original = match machinery::meta::annotation(&current, LAST_APPLIED) {
        Some(text) => serde_json::from_str(text)
            .map_err(|e| Failure::Here(format!("the annotation {LAST_APPLIED} is no JSON: {e}")))?,
        None => {
            eprintln!(
                "Warning: resource {}/{} is missing the {LAST_APPLIED} annotation which is required by kubectl apply. kubectl apply should only be used on resources created declaratively by either kubectl create --save-config or kubectl apply. The missing annotation will be patched automatically.",
                served.plural,
                machinery::meta::name(tree)
            );
            Value::Object(serde_json::Map::new())
        }
    };
    let definition = api::by_kind(&served.group, &served.version, &served.kind).map(|kind| kind.definition);
    match definition.and_then(|definition| api::schemas().get(definition)) {
        Some(schema) => Ok(Patch::Strategic(patch::three_way(schema, &original, wanted, &current)?)),
        None => Ok(Patch::Merge(patch::three_way_merge(&original, wanted, &current))),
    }
}

fn is_empty(patch: &Patch) -> bool {
    match patch {
        Patch::Strategic(tree) | Patch::Merge(tree) => tree.as_object().is_none_or(serde_json::Map::is_empty),
        _ => false,
    }
}
