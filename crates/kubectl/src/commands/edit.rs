//! `kubectl edit`: an object in an editor, and what was changed as a patch of the server's object.

use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::{ArgMatches, Command};
use client::{Options, Patch};
use machinery::status::Status;
use serde_json::Value;

use super::Entry;
use super::apply::validation;
use crate::failure::{Failure, Result, error};
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
        .arg(flags::validate())
        .arg(flags::output("The format that is edited. One of: (json, yaml)."))
        .arg(flags::field_manager())
}

async fn run(matches: &ArgMatches) -> Result {
    let is_json = match flags::of(matches, "output") {
        "" | "yaml" => false,
        "json" => true,
        _ => return error("The flag 'output' must be one of yaml|json"),
    };
    let session = Session::open(matches).await?;
    let options = Options {
        field_manager: match flags::of(matches, "field-manager") {
            "" => "kubectl-edit".to_owned(),
            given => given.to_owned(),
        },
        field_validation: validation(flags::of(matches, "validate"))?,
        ..Options::default()
    };
    let found = select::objects(&session, matches).await?;
    if found.is_empty() {
        return error("edit cancelled, no objects found");
    }
    for found in found {
        let before = print::shown(&found.object.tree());
        let editing = Editing { session: &session, options: options.clone(), found, before, is_json };
        let path = editing.path();
        let outcome = editing.run(&path).await;
        match &outcome {
            Err(Failure::Here(_) | Failure::Plain(_)) if path.exists() => {
                eprintln!("A copy of your changes has been stored to {:?}", path.display().to_string());
            }
            // Nothing was written there, or what it holds is saved.
            _ => drop(fs::remove_file(&path)),
        }
        outcome?;
    }
    Ok(())
}

/// One object between editor and server.
struct Editing<'a> {
    session: &'a Session,
    options: Options,
    found: Found,
    before: Value,
    is_json: bool,
}

impl Editing<'_> {
    fn path(&self) -> PathBuf {
        let ending = if self.is_json { "json" } else { "yaml" };
        let unique = machinery::meta::uid(&self.before);
        std::env::temp_dir().join(format!("kubectl-edit-{unique}-{}.{ending}", std::process::id()))
    }

    /// Opens the editor, and again with the reasons for as long as the server refuses what it left.
    async fn run(&self, path: &Path) -> Result {
        let original =
            if self.is_json { print::json(&self.before) + "\n" } else { machinery::yaml::emit(&self.before) };
        let (mut text, mut refused) = (original.clone(), String::new());
        loop {
            write(&format!("{HEADER}{refused}{text}"), path)?;
            if let Err(failure) = open_editor(path).await {
                // Nothing of the user's is in a file that the server has not refused yet.
                if refused.is_empty() {
                    let _ = fs::remove_file(path);
                }
                return Err(failure);
            }
            let edited = without_comments(&fs::read_to_string(path)?);
            if !refused.is_empty() && edited == text {
                return error("Edit cancelled, no valid changes were saved.");
            }
            if edited == original {
                eprintln!("Edit cancelled, no changes made.");
                return Ok(());
            }
            if edited.trim().is_empty() {
                eprintln!("Edit cancelled, saved file was empty.");
                return Ok(());
            }
            match self.save(&edited).await {
                Ok(()) => return Ok(()),
                Err(reasons) => refused = reasons,
            }
            text = edited;
        }
    }

    /// Writes what was changed; an `Err` is what the editor shows of the refusal, as comments.
    async fn save(&self, edited: &str) -> std::result::Result<(), String> {
        let after = machinery::yaml::parse(edited).map_err(|why| {
            eprintln!("error: The edited file had a syntax error: error parsing edited-file: {why}");
            comment(&format!("The edited file had a syntax error: {why}"), &[])
        })?;
        let is_same = |field: &str| after[field] == self.before[field];
        if !is_same("apiVersion") || !is_same("kind") || after["metadata"]["name"] != self.before["metadata"]["name"] {
            eprintln!("error: At least one of apiVersion, kind and name was changed");
            return Err(comment("At least one of apiVersion, kind and name was changed", &[]));
        }
        let mut difference = machinery::patch::merge_diff(&self.before, &after);
        if difference.as_object().is_none_or(serde_json::Map::is_empty) {
            eprintln!("Edit cancelled, no changes made.");
            return Ok(());
        }
        // Lists are written whole: only over the version that was edited.
        difference["metadata"]["resourceVersion"] = machinery::meta::resource_version(&self.before).into();
        let resource = self.session.client.dynamic(self.found.served.resource());
        let (namespace, name) = (self.found.namespace(), self.found.name());
        match resource.patch(&namespace, &name, "", Patch::Merge(difference), self.options.clone()).await {
            Ok(_) => println!("{} edited", self.found.reference()),
            Err(status) => return Err(self.refused(&status)),
        }
        Ok(())
    }

    fn refused(&self, status: &Status) -> String {
        let named = format!("{} {:?}", self.found.served.qualified(), self.found.name());
        match status.reason.as_str() {
            "Invalid" => {
                eprintln!("error: {named} is invalid");
                let causes = status.details.iter().flat_map(|details| &details.causes);
                let causes: Vec<String> = causes.map(|cause| format!("{}: {}", cause.field, cause.message)).collect();
                comment(&format!("{named} was not valid"), &causes)
            }
            "NotFound" => {
                eprintln!("error: {named} could not be found on the server");
                comment(&format!("{named} could not be found on the server"), &[])
            }
            _ => {
                eprintln!("error: {named} could not be patched: {}", status.message);
                comment(&format!("{named} could not be patched: {}", status.message), &[])
            }
        }
    }
}

/// Reasons as lines that are ignored when the file is read again.
fn comment(head: &str, reasons: &[String]) -> String {
    let end = if reasons.is_empty() { "" } else { ":" };
    let on = |text: &str| text.replace('\n', "\n# ");
    let reasons: String = reasons.iter().map(|reason| format!("# * {}\n", on(reason))).collect();
    format!("# {}{end}\n{reasons}#\n", on(head))
}

fn without_comments(text: &str) -> String {
    let kept = text.lines().filter(|line| !line.starts_with('#'));
    kept.map(|line| format!("{line}\n")).collect()
}

/// The file is made anew each time: one that somebody else put there is never written to.
fn write(text: &str, path: &Path) -> Result {
    // There is none the first time.
    let _ = fs::remove_file(path);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(MODE).open(path)?;
    Ok(file.write_all(text.as_bytes())?)
}

/// `KUBE_EDITOR`, else `EDITOR`, else vi; through a shell when it is more than a word.
async fn open_editor(path: &Path) -> Result {
    let set = |name: &str| std::env::var(name).ok().filter(|editor| !editor.is_empty());
    launch(&set("KUBE_EDITOR").or_else(|| set("EDITOR")).unwrap_or_else(|| "vi".into()), path).await
}

async fn launch(editor: &str, path: &Path) -> Result {
    let mut command = if editor.contains([' ', '"', '\'']) {
        let mut shell = tokio::process::Command::new("sh");
        shell.arg("-c").arg(format!("{editor} \"$1\"")).arg("sh").arg(path);
        shell
    } else {
        let mut command = tokio::process::Command::new(editor);
        command.arg(path);
        command
    };
    // Why is not said, as upstream does not say it: the editor has the terminal for its own words.
    match command.status().await {
        Ok(status) if status.success() => Ok(()),
        Err(why) if why.kind() == ErrorKind::NotFound => error(format!("unable to launch the editor {editor:?}")),
        _ => error(format!("there was a problem with the editor {editor:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_editor_that_fails_is_named_and_no_more() {
        let nowhere = Path::new("/nonexistent");
        for (editor, words) in [
            ("false", "error: there was a problem with the editor \"false\""),
            ("false x", "error: there was a problem with the editor \"false x\""),
            ("no-such-editor", "error: unable to launch the editor \"no-such-editor\""),
        ] {
            assert_eq!(launch(editor, nowhere).await.unwrap_err().to_string(), words);
        }
    }
}
