//! `kubectl patch`: strategic, merge or JSON.

use clap::{ArgMatches, Command};
use client::Patch;
use serde_json::Value;

use super::Entry;
use crate::failure::{Failure, Result, error};
use crate::flags::{self, DryRun};
use crate::local;
use crate::report::Report;
use crate::select;
use crate::session::Session;

pub const ENTRY: Entry = Entry { build, run: |matches| Box::pin(run(matches)) };

fn build() -> Command {
    Command::new("patch")
        .about("Update fields of a resource using strategic merge patch, a JSON merge patch, or a JSON patch.")
        .arg(flags::resources())
        .arg(flags::filenames())
        .arg(flags::recursive())
        .arg(flags::dry_run())
        .arg(flags::output("Output format. One of: (json, yaml, name, jsonpath, …)."))
        .arg(flags::field_manager())
        .arg(flags::text("patch", "The patch to be applied to the resource JSON file.").short('p'))
        .arg(flags::text("patch-file", "A file containing a patch to be applied to the resource."))
        .arg(flags::text("subresource", "If specified, patch will operate on the subresource of the requested object."))
        .arg(
            flags::text("type", "The type of patch being provided; one of [json merge strategic]")
                .default_value("strategic"),
        )
}

async fn run(matches: &ArgMatches) -> Result {
    let text = match (flags::of(matches, "patch"), flags::of(matches, "patch-file")) {
        ("", "") => return error("must specify --patch or --patch-file containing the contents of the patch"),
        ("", file) => std::fs::read_to_string(file)?,
        (text, _) => text.to_owned(),
    };
    let tree = machinery::yaml::parse(&text).map_err(|e| Failure::Here(format!("unable to parse \"{text}\": {e}")))?;
    let session = Session::open(matches).await?;
    let report = Report::of(matches, "kubectl-patch")?;
    for found in select::objects(&session, matches).await? {
        let before = found.object.tree();
        let patch = typed(flags::of(matches, "type"), tree.clone())?;
        if report.dry_run == DryRun::Client {
            let after = local::patched(&found.served, &before, &patch)?;
            let said = if *before == after { "patched (no change)" } else { "patched" };
            report.say(&found.served, &after, said)?;
            continue;
        }
        let resource = session.client.dynamic(found.served.resource());
        let subresource = flags::of(matches, "subresource");
        let after = resource.patch(&found.namespace(), &found.name(), subresource, patch, report.options()).await?;
        // The version alone does not tell: a patch that takes the last finalizer is the object's end and has no new one.
        let is_changed = *before != *after.tree();
        report.say(&found.served, &after.tree(), if is_changed { "patched" } else { "patched (no change)" })?;
    }
    Ok(())
}

fn typed(word: &str, tree: Value) -> Result<Patch> {
    match word {
        "strategic" => Ok(Patch::Strategic(tree)),
        "merge" => Ok(Patch::Merge(tree)),
        "json" => Ok(Patch::Json(tree)),
        other => error(format!("--type must be one of [json merge strategic], not \"{other}\"")),
    }
}
