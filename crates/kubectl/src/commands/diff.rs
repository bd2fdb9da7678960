//! `kubectl diff`: what an apply would change, shown by `diff` or `$KUBECTL_EXTERNAL_DIFF`.

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use clap::{ArgMatches, Command};
use serde_json::Value;

use super::Entry;
use super::apply::Job;
use crate::discovery::Served;
use crate::failure::{Failure, Result, error};
use crate::session::Session;
use crate::{files, flags, print};

pub const ENTRY: Entry = Entry { build, run: |matches| Box::pin(run(matches)) };

const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

fn build() -> Command {
    Command::new("diff")
        .about("Diff the live version against a would-be applied version.")
        .arg(flags::filenames())
        .arg(flags::recursive())
        .arg(flags::selector())
        .arg(flags::field_manager())
        .arg(flags::switch("server-side", "If true, apply runs in the server instead of the client."))
        .arg(flags::switch("force-conflicts", "If true, server-side apply will force the changes against conflicts."))
        .arg(flags::switch("show-managed-fields", "If true, include managed fields in the diff."))
}

/// Differences end with 1, whatever fails with more, so that scripts can tell.
async fn run(matches: &ArgMatches) -> Result {
    match compare(matches).await {
        Err(Failure::Exit(code)) => Err(Failure::Exit(code)),
        Err(failure) => Err(Failure::Told(failure.to_string(), 2)),
        Ok(()) => Ok(()),
    }
}

async fn compare(matches: &ArgMatches) -> Result {
    let names = flags::all(matches, "filename");
    if names.is_empty() {
        return error("must specify one of -f and -k");
    }
    let session = Session::open(matches).await?;
    let job = Job::dry(matches)?;
    let folders = Folders::make()?;
    for given in super::apply::selected(matches, files::read(&names, flags::is_set(matches, "recursive")).await?)? {
        let (served, namespace, tree) = job.resolve(&session, &given).await?;
        let live = session.client.dynamic(served.resource()).get(&namespace, machinery::meta::name(&tree)).await;
        let live = match live {
            Ok(object) => Some(Value::clone(&object.tree())),
            Err(status) if status.is_not_found() => None,
            Err(status) => return Err(status.into()),
        };
        let (_, merged) = job.write(&session, &served, &namespace, tree, &given.source).await?;
        folders.put(matches, &served, live, merged)?;
    }
    folders.compare().await
}

/// Two folders of files by the same names; they are gone when this is.
struct Folders {
    live: PathBuf,
    merged: PathBuf,
}

impl Folders {
    fn make() -> Result<Self> {
        let make = |what: &str| {
            let path = std::env::temp_dir().join(format!("{what}-{}", std::process::id()));
            fs::DirBuilder::new().mode(FOLDER_MODE).create(&path).map(|()| path)
        };
        let live = make("LIVE")?;
        match make("MERGED") {
            Ok(merged) => Ok(Self { live, merged }),
            Err(why) => {
                fs::remove_dir(&live)?;
                Err(why.into())
            }
        }
    }

    fn put(&self, matches: &ArgMatches, served: &Served, live: Option<Value>, merged: Value) -> Result {
        let keeps = flags::is_set(matches, "show-managed-fields");
        let shown = |tree: Value| if keeps { tree } else { print::shown(&tree) };
        let (mut live, mut merged) = (live.map(shown), shown(merged));
        if served.kind == "Secret" && served.group.is_empty() {
            mask(live.as_mut(), &mut merged);
        }
        let (namespace, name) = (machinery::meta::namespace(&merged), machinery::meta::name(&merged));
        let group = if served.group.is_empty() { String::new() } else { format!("{}.", served.group) };
        let file = format!("{group}{}.{}.{namespace}.{name}", served.version, served.kind);
        let write = |folder: &Path, text: &str| -> Result {
            let mut options = fs::OpenOptions::new();
            let mut file = options.write(true).create_new(true).mode(FILE_MODE).open(folder.join(&file))?;
            Ok(file.write_all(text.as_bytes())?)
        };
        write(&self.live, &live.as_ref().map(machinery::yaml::emit).unwrap_or_default())?;
        write(&self.merged, &machinery::yaml::emit(&merged))
    }

    async fn compare(&self) -> Result {
        let own = std::env::var("KUBECTL_EXTERNAL_DIFF").unwrap_or_default();
        let mut words: Vec<OsString> = own.split_whitespace().map(OsString::from).collect();
        if words.is_empty() {
            words = ["diff", "-u", "-N"].map(OsString::from).into();
        }
        let program = words.remove(0);
        let mut command = tokio::process::Command::new(&program);
        command.args(words).arg(&self.live).arg(&self.merged);
        let ended = command.status().await;
        let ended =
            ended.map_err(|why| Failure::Here(format!("failed to run {:?}: {why}", program.display().to_string())))?;
        match ended.code() {
            Some(0) => Ok(()),
            Some(code) => Err(Failure::Exit(u8::try_from(code).unwrap_or(2))),
            None => error(format!("{:?} was killed: {ended}", program.display().to_string())),
        }
    }
}

impl Drop for Folders {
    fn drop(&mut self) {
        for folder in [&self.live, &self.merged] {
            // What cannot be removed is left to the system, as all temporary files are.
            let _ = fs::remove_dir_all(folder);
        }
    }
}

/// Values of Secrets are not shown, only that they differ.
fn mask(mut live: Option<&mut Value>, merged: &mut Value) {
    const SAME: &str = "***";
    let data = |tree: Option<&Value>| tree.and_then(|tree| tree["data"].as_object().cloned()).unwrap_or_default();
    let (before, after) = (data(live.as_deref()), data(Some(merged)));
    for (key, value) in &before {
        let words = if after.get(key).is_some_and(|other| other != value) { "*** (before)" } else { SAME };
        live.iter_mut().for_each(|live| live["data"][key] = words.into());
    }
    for (key, value) in &after {
        let words = if before.get(key).is_some_and(|other| other != value) { "*** (after)" } else { SAME };
        merged["data"][key] = words.into();
    }
    let annotation = super::apply::LAST_APPLIED;
    for tree in live.into_iter().chain([merged]) {
        if machinery::meta::annotation(tree, annotation).is_some() {
            machinery::meta::set_annotation(tree, annotation, SAME);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_show_only_that_they_differ() {
        let mut live = json!({"data": {"a": "1", "b": "2"}});
        let mut merged = json!({"data": {"a": "1", "b": "3", "c": "4"}});
        mask(Some(&mut live), &mut merged);
        assert_eq!(live, json!({"data": {"a": "***", "b": "*** (before)"}}));
        assert_eq!(merged, json!({"data": {"a": "***", "b": "*** (after)", "c": "***"}}));
    }
}
