//! `kubectl edit`: an object in an editor, and what was changed as a patch of the server's object.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::{ArgMatches, Command};
use client::Patch;

use super::Entry;
use crate::failure::{Failure, Result, error};
use crate::report::Report;
use crate::select::{self, Found};
use crate::session::Session;
use crate::{flags, print};

pub const ENTRY: Entry = Entry { build, run: |matches| Box::pin(run(matches)) };

const HEADER: &str = "# Please edit the object below. Lines beginning with a '#' will be ignored,\n\
                      # and an empty file will abort the edit. If an error occurs while saving this file will be\n\
                      # reopened with the relevant failures.\n#\n";
const MODE: u32 = 0o600;

fn build() -> Command {
    Command::new("edit")
        .about("Edit a resource on the server.")
        .arg(flags::resources())
        .arg(flags::filenames())
        .arg(flags::recursive())
        .arg(flags::selector())
        .arg(flags::output("Output format. One of: (json, yaml, name, jsonpath, …)."))
        .arg(flags::field_manager())
}

async fn run(matches: &ArgMatches) -> Result {
    let session = Session::open(matches).await?;
    let report = Report::of(matches, "kubectl-edit")?;
    for found in select::objects(&session, matches).await? {
        edit(&session, &report, &found).await?;
    }
    Ok(())
}

/// The file in the editor; removed unless what it holds could not be saved.
async fn edit(session: &Session, report: &Report, found: &Found) -> Result {
    let before = print::shown(&found.object.tree());
    let text = format!("{HEADER}{}", machinery::yaml::emit(&before));
    let path = write(&text, machinery::meta::uid(&before))?;
    let outcome = edited(session, report, found, &path, &text).await;
    match &outcome {
        Ok(()) => fs::remove_file(&path)?,
        Err(_) => eprintln!("A copy of your changes has been stored to {:?}", path.display().to_string()),
    }
    outcome
}

async fn edited(session: &Session, report: &Report, found: &Found, path: &Path, text: &str) -> Result {
    open_editor(path).await?;
    let changed = fs::read_to_string(path)?;
    if changed == text {
        eprintln!("Edit cancelled, no changes made.");
        return Ok(());
    }
    let is_empty = changed.lines().all(|line| line.trim().is_empty() || line.starts_with('#'));
    if is_empty {
        eprintln!("Edit cancelled, saved file was empty.");
        return Ok(());
    }
    let after = machinery::yaml::parse(&changed).map_err(|e| {
        Failure::Here(format!("The edited file had a syntax error: error converting YAML to JSON: yaml: {e}"))
    })?;
    let before = print::shown(&found.object.tree());
    for field in ["apiVersion", "kind"] {
        if after[field] != before[field] {
            return error("At least one of apiVersion, kind and name was changed");
        }
    }
    if after["metadata"]["name"] != before["metadata"]["name"] {
        return error("At least one of apiVersion, kind and name was changed");
    }
    let difference = machinery::patch::merge_diff(&before, &after);
    if difference.as_object().is_none_or(serde_json::Map::is_empty) {
        eprintln!("Edit cancelled, no changes made.");
        return Ok(());
    }
    // Lists are written whole: only over the version that was edited.
    let mut difference = difference;
    difference["metadata"]["resourceVersion"] = machinery::meta::resource_version(&before).into();
    let resource = session.client.dynamic(found.served.resource());
    let written =
        resource.patch(&found.namespace(), &found.name(), "", Patch::Merge(difference), report.options()).await?;
    report.say(&found.served, &written.tree(), "edited")
}

fn write(text: &str, unique: &str) -> Result<PathBuf> {
    let path = std::env::temp_dir().join(format!("kubectl-edit-{unique}-{}.yaml", std::process::id()));
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(MODE).open(&path)?;
    file.write_all(text.as_bytes())?;
    Ok(path)
}

/// `KUBE_EDITOR`, else `EDITOR`, else vi; through a shell when it is more than a word.
async fn open_editor(path: &Path) -> Result {
    let set = |name: &str| std::env::var(name).ok().filter(|editor| !editor.is_empty());
    let editor = set("KUBE_EDITOR").or_else(|| set("EDITOR")).unwrap_or_else(|| "vi".into());
    let mut command = if editor.contains([' ', '"', '\'']) {
        let mut shell = tokio::process::Command::new("sh");
        shell.arg("-c").arg(format!("{editor} \"$1\"")).arg("sh").arg(path);
        shell
    } else {
        let mut command = tokio::process::Command::new(&editor);
        command.arg(path);
        command
    };
    let status =
        command.status().await.map_err(|e| Failure::Here(format!("unable to launch the editor {editor:?}: {e}")))?;
    if status.success() {
        return Ok(());
    }
    error(format!("there was a problem with the editor {editor:?}: {status}"))
}
