//! `kubectl apply`: three ways between what was applied last, what the file says and what is there; or by the server.
//!
//! Source: <https://kubernetes.io/docs/tasks/manage-kubernetes-objects/declarative-config/>.

mod prune;

use clap::{ArgAction, ArgMatches, Command};
use client::{Options, Patch};
use machinery::object::Object;
use machinery::patch;
use machinery::request::FieldValidation;
use machinery::selector::LabelSelector;
use serde_json::Value;

use super::Entry;
use super::delete::Plan;
use crate::discovery::Served;
use crate::failure::{Failure, Result, error};
use crate::files::{self, Given};
use crate::flags::{self, DryRun};
use crate::print::{self, Format};
use crate::select::{self, Found};
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
        .arg(flags::selector())
        .arg(flags::switch("all", "Select all resources in the namespace of the specified resource types."))
        .arg(flags::switch("prune", "Automatically delete resource objects, that do not appear in the configs and are created by either apply or create --save-config."))
        .arg(flags::text("prune-allowlist", "Overwrite the default allowlist with <group/version/kind> for --prune").action(ArgAction::Append))
        .arg(flags::switch("force", "If true, objects whose change is refused are deleted and made again."))
        .arg(flags::switch("wait", "If true, wait for resources to be gone before returning."))
        .arg(flags::text("cascade", "Must be \"background\", \"orphan\", or \"foreground\".").num_args(0..=1).require_equals(true).default_value("background").default_missing_value("background"))
        .arg(flags::text("grace-period", "Period of time in seconds given to the resource to terminate gracefully.").allow_hyphen_values(true).default_value("-1"))
        .arg(flags::text("timeout", "The length of time to wait before giving up on a delete, zero means determine a timeout from the size of the object"))
        .arg(flags::switch("overwrite", "Automatically resolve conflicts between the modified and live configuration by using values from the modified configuration").default_value("true"))
}

async fn run(matches: &ArgMatches) -> Result {
    let names = flags::all(matches, "filename");
    if names.is_empty() {
        return error("must specify one of -f and -k");
    }
    prune::check(matches)?;
    let session = Session::open(matches).await?;
    let job = Job::of(matches)?;
    let mut failures = Vec::new();
    let mut applied = Vec::new();
    for given in selected(matches, files::read(&names, flags::is_set(matches, "recursive")).await?)? {
        match job.apply(&session, matches, &given).await {
            Ok(tree) => applied.push(tree),
            Err(failure) => failures.push(failure),
        }
    }
    job.print(&applied)?;
    // Nothing is deleted while something could not be applied.
    Failure::all(failures)?;
    if flags::is_set(matches, "prune") {
        prune::run(&session, matches, &applied, job.dry_run).await?;
    }
    Ok(())
}

/// Those whose labels fit `--selector`.
///
/// # Errors
/// A selector that is none.
pub fn selected(matches: &ArgMatches, all: Vec<Given>) -> Result<Vec<Given>> {
    let selector = LabelSelector::parse(flags::of(matches, "selector")).map_err(Failure::Here)?;
    Ok(all.into_iter().filter(|given| selector.matches(machinery::meta::labels(&given.tree))).collect())
}

/// What a dry run adds to a message.
fn suffix(dry_run: DryRun) -> &'static str {
    match dry_run {
        DryRun::None => "",
        DryRun::Client => " (dry run)",
        DryRun::Server => " (server dry run)",
    }
}

/// What the flags say, the same for all objects.
pub struct Job {
    dry_run: DryRun,
    server_side: bool,
    /// What is applied is kept in the object, for the next apply; what is only compared is not.
    annotates: bool,
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
        Ok(Self { dry_run, server_side, annotates: true, options, format })
    }

    /// What `diff` asks the server: as apply, written nowhere.
    ///
    /// # Errors
    /// Flags that do not go together.
    pub fn dry(matches: &ArgMatches) -> Result<Self> {
        let server_side = flags::is_set(matches, "server-side");
        let manager = match (flags::of(matches, "field-manager"), server_side) {
            ("", true) => SERVER_SIDE_MANAGER,
            ("", false) => MANAGER,
            (given, _) => given,
        };
        let force = flags::is_set(matches, "force-conflicts");
        let options = Options { dry_run: true, field_manager: manager.into(), force, ..Options::default() };
        Ok(Self { dry_run: DryRun::Server, server_side, annotates: false, options, format: None })
    }

    /// Applies one object; gives what is to be printed in a format.
    async fn apply(&self, session: &Session, matches: &ArgMatches, given: &Given) -> Result<(Served, Value)> {
        let (served, namespace, tree) = self.resolve(session, given).await?;
        let name = machinery::meta::name(&tree).to_owned();
        let written = self.write(session, &served, &namespace, tree.clone(), &given.source).await;
        let (said, result) = match written {
            Err(Failure::Server(status))
                if flags::is_set(matches, "force") && matches!(status.reason.as_str(), "Invalid" | "Conflict") =>
            {
                self.anew(session, matches, &served, &namespace, tree).await?
            }
            written => written?,
        };
        if self.format.is_none() {
            println!("{}/{name} {said}{}", served.singular_qualified(), suffix(self.dry_run));
        }
        Ok((served, result))
    }

    /// The resource, the namespace and the object with it.
    ///
    /// # Errors
    /// The server does not serve the kind; another namespace was asked for; no name.
    pub async fn resolve(&self, session: &Session, given: &Given) -> Result<(Served, String, Value)> {
        let discovery = session.discovery().await?;
        let (version, kind) = (machinery::meta::api_version(&given.tree), machinery::meta::kind(&given.tree));
        let served = discovery.of_kind(version, kind).map_err(|f| located(f, given))?.clone();
        let namespace = select::namespace_of(session, &served, &given.tree)?;
        let mut tree = given.tree.clone();
        if !namespace.is_empty() {
            machinery::tree::set(&mut tree, "metadata.namespace", namespace.clone());
        }
        if machinery::meta::name(&tree).is_empty() {
            return error(format!(
                "error when retrieving current configuration of:\nResource: \"{}\"\nfrom server for: \"{}\": resource name may not be empty",
                served.qualified(),
                given.source
            ));
        }
        Ok((served, namespace, tree))
    }

    /// Creates or changes it; says which, and gives the object as it is then.
    ///
    /// # Errors
    /// The server refuses.
    pub async fn write(
        &self,
        session: &Session,
        served: &Served,
        namespace: &str,
        tree: Value,
        source: &str,
    ) -> Result<(&'static str, Value)> {
        let name = machinery::meta::name(&tree).to_owned();
        match self.server_side {
            true => Ok(("serverside-applied", self.by_server(session, served, namespace, &name, tree).await?)),
            false => self.three_ways(session, served, namespace, &name, &tree, source).await,
        }
    }

    /// Deletes what cannot be changed, waits until it is gone, and makes it again.
    async fn anew(
        &self,
        session: &Session,
        matches: &ArgMatches,
        served: &Served,
        namespace: &str,
        tree: Value,
    ) -> Result<(&'static str, Value)> {
        let resource = session.client.dynamic(served.resource());
        let object = resource.get(namespace, machinery::meta::name(&tree)).await?;
        let found = Found { served: served.clone(), object };
        let plan = Plan::of(matches)?;
        resource.delete(namespace, machinery::meta::name(&tree), plan.options()).await?;
        super::delete::gone(session, &found, plan.timeout).await?;
        let created = resource.create(namespace, with_annotation(&tree), self.options.clone()).await?;
        Ok(("configured", Value::clone(&created.tree())))
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
        let wanted = if self.annotates { with_annotation(tree) } else { bare(tree) };
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
            if self.annotates && self.dry_run != DryRun::Client {
                warn_if_new(served, &current);
            }
            let patch = difference(served, &wanted, &current)?;
            // Upstream compares nothing in a dry run of the client.
            if is_empty(&patch) && self.dry_run != DryRun::Client {
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

    fn print(&self, printed: &[(Served, Value)]) -> Result {
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

fn located(failure: Failure, given: &Given) -> Failure {
    let (name, namespace) = (machinery::meta::name(&given.tree), machinery::meta::namespace(&given.tree));
    let source = &given.source;
    match failure {
        Failure::Here(message) => Failure::Here(message.replacen(
            "resource mapping not found: ",
            &format!("resource mapping not found for name: {name:?} namespace: {namespace:?} from {source:?}: "),
            1,
        )),
        other => other,
    }
}

/// The object with its own text in the annotation, as the next apply will read it.
pub fn with_annotation(tree: &Value) -> Value {
    let mut plain = bare(tree);
    let text = format!("{plain}\n");
    machinery::meta::set_annotation(&mut plain, LAST_APPLIED, &text);
    plain
}

/// The object as the annotation holds it: with annotations, even if there are none, or a comparison with an earlier
/// text would take all of them away.
fn bare(tree: &Value) -> Value {
    let mut plain = tree.clone();
    machinery::tree::remove(&mut plain, "metadata.creationTimestamp");
    machinery::tree::map_mut(&mut plain, "metadata.annotations").remove(LAST_APPLIED);
    plain
}

/// Objects that were not made by apply are taken over, and that is said.
fn warn_if_new(served: &Served, current: &Object) {
    let current = current.tree();
    if machinery::meta::annotation(&current, LAST_APPLIED).is_none() {
        eprintln!(
            "Warning: resource {}/{} is missing the {LAST_APPLIED} annotation which is required by kubectl apply. kubectl apply should only be used on resources created declaratively by either kubectl create --save-config or kubectl apply. The missing annotation will be patched automatically.",
            served.plural,
            machinery::meta::name(&current)
        );
    }
}

fn difference(served: &Served, wanted: &Value, current: &Object) -> Result<Patch> {
    let current = current.tree();
    let original = match machinery::meta::annotation(&current, LAST_APPLIED) {
        Some(text) => serde_json::from_str(text)
            .map_err(|e| Failure::Here(format!("the annotation {LAST_APPLIED} is no JSON: {e}")))?,
        None => Value::Object(serde_json::Map::new()),
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
