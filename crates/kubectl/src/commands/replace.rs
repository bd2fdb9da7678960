//! `kubectl replace`: objects of files in place of those on the server.

use std::sync::Arc;

use clap::{ArgMatches, Command};
use machinery::object::Object;
use serde_json::Value;

use super::Entry;
use crate::discovery::Served;
use crate::failure::{Failure, Result, error};
use crate::files;
use crate::flags::{self, DryRun};
use crate::report::Report;
use crate::select;
use crate::session::Session;

pub const ENTRY: Entry = Entry { build, run: |matches| Box::pin(run(matches)) };

fn build() -> Command {
    Command::new("replace")
        .about("Replace a resource by file name or stdin.")
        .arg(flags::filenames())
        .arg(flags::recursive())
        .arg(flags::dry_run())
        .arg(flags::output("Output format. One of: (json, yaml, name, jsonpath, …)."))
        .arg(flags::field_manager())
        .arg(flags::text(
            "subresource",
            "If specified, replace will operate on the subresource of the requested object.",
        ))
}

async fn run(matches: &ArgMatches) -> Result {
    let names = flags::all(matches, "filename");
    if names.is_empty() {
        return error("must specify --filename to replace");
    }
    let subresource = flags::of(matches, "subresource");
    if !matches!(subresource, "" | "status" | "scale") {
        return error(format!("invalid subresource value: {subresource:?}. Must be one of [status scale]"));
    }
    let session = Session::open(matches).await?;
    let report = Report::of(matches, "kubectl-replace")?;
    let mut failures = Vec::new();
    for given in files::read(&names, flags::is_set(matches, "recursive"))? {
        let (version, kind) = (machinery::meta::api_version(&given.tree), machinery::meta::kind(&given.tree));
        let served = session.discovery().await?.of_kind(version, kind)?;
        let namespace = select::namespace_of(&session, served, &given.tree)?;
        if report.dry_run == DryRun::Client {
            report.say(served, &given.tree, "replaced")?;
            continue;
        }
        let mut tree = given.tree.clone();
        if !namespace.is_empty() {
            tree["metadata"]["namespace"] = namespace.as_str().into();
        }
        match write(&session, &report, served, tree, subresource).await {
            Ok(after) => report.say(served, &after.tree(), "replaced")?,
            Err(failure) => failures.push(failure),
        }
    }
    Failure::all(failures)
}

/// A file without a resourceVersion replaces whatever is there now; some kinds take no update without one.
async fn write(
    session: &Session,
    report: &Report,
    served: &Served,
    mut tree: Value,
    subresource: &str,
) -> Result<Arc<Object>> {
    let (namespace, name) = (machinery::meta::namespace(&tree).to_owned(), machinery::meta::name(&tree).to_owned());
    let resource = session.client.dynamic(served.resource());
    if machinery::meta::resource_version(&tree).is_empty() {
        let now = resource.get(&namespace, &name).await?;
        tree["metadata"]["resourceVersion"] = machinery::meta::resource_version(&now.tree()).into();
    }
    Ok(resource.update(&namespace, &name, subresource, tree, report.options()).await?)
}
