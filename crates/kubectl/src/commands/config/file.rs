//! Kubeconfig files as trees: read, merged, and written back whole to the file that an entry came from.
//!
//! A file is changed under its lock file (`NAME.lock`, as upstream's), written beside and renamed, so that readers
//! never see half of it.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::ArgMatches;
use serde_json::{Value, json};

use crate::failure::{Failure, Result, error};
use crate::flags;

pub const LISTS: [&str; 3] = ["clusters", "contexts", "users"];
const MODE: u32 = 0o600;

/// The files in use, the first to set a name wins.
pub struct Files {
    pub all: Vec<(PathBuf, Value)>,
    /// Where new entries go.
    pub default: PathBuf,
}

impl Files {
    /// # Errors
    /// A file that cannot be read, or `--kubeconfig` names none.
    pub fn read(matches: &ArgMatches) -> Result<Self> {
        let paths = paths(matches)?;
        let existing = paths.iter().find(|path| path.exists());
        let Some(default) = existing.or(paths.last()).cloned() else { return error("no kubeconfig file is known") };
        let mut all = Vec::new();
        for path in paths.into_iter().filter(|path| path.exists()) {
            let tree = parse(&path)?;
            all.push((path, tree));
        }
        Ok(Self { all, default })
    }

    /// All files as one.
    pub fn merged(&self) -> Value {
        let mut whole = json!({"apiVersion": "v1", "kind": "Config", "preferences": {}, "current-context": ""});
        for list in LISTS {
            let mut entries: Vec<Value> = Vec::new();
            for entry in self.all.iter().flat_map(|(_, tree)| tree[list].as_array().into_iter().flatten()) {
                if !entries.iter().any(|held| held["name"] == entry["name"]) {
                    entries.push(entry.clone());
                }
            }
            entries.sort_by_key(|entry| entry["name"].as_str().unwrap_or_default().to_owned());
            whole[list] = if entries.is_empty() { Value::Null } else { entries.into() };
        }
        let contexts = self.all.iter().map(|(_, tree)| &tree["current-context"]);
        if let Some(current) = contexts.into_iter().find(|context| context.as_str().is_some_and(|c| !c.is_empty())) {
            whole["current-context"] = current.clone();
        }
        whole
    }

    /// The file that an entry is in, else the default one.
    pub fn of_entry(&self, list: &str, name: &str) -> PathBuf {
        let holder = self.all.iter().find(|(_, tree)| position(tree, list, name).is_some());
        holder.map_or_else(|| self.default.clone(), |(path, _)| path.clone())
    }

    /// The file that says which context is the current one, else the default one.
    pub fn of_current(&self) -> PathBuf {
        let says = |tree: &Value| tree["current-context"].as_str().is_some_and(|c| !c.is_empty());
        let holder = self.all.iter().find(|(_, tree)| says(tree));
        holder.map_or_else(|| self.default.clone(), |(path, _)| path.clone())
    }
}

/// Where a list of a kubeconfig has a name.
pub fn position(tree: &Value, list: &str, name: &str) -> Option<usize> {
    tree[list].as_array()?.iter().position(|entry| entry["name"] == name)
}

fn paths(matches: &ArgMatches) -> Result<Vec<PathBuf>> {
    let given = flags::of(matches, "kubeconfig");
    if !given.is_empty() {
        return Ok(vec![PathBuf::from(given)]);
    }
    match std::env::var_os("KUBECONFIG").filter(|listed| !listed.is_empty()) {
        Some(listed) => Ok(std::env::split_paths(&listed).filter(|path| !path.as_os_str().is_empty()).collect()),
        None => match std::env::var_os("HOME") {
            Some(home) => Ok(vec![Path::new(&home).join(".kube/config")]),
            None => error("neither KUBECONFIG nor HOME is set"),
        },
    }
}

fn parse(path: &Path) -> Result<Value> {
    let failed = |why: String| Failure::Here(format!("error loading config file \"{}\": {why}", path.display()));
    let text = fs::read_to_string(path).map_err(|e| failed(e.to_string()))?;
    match machinery::yaml::parse(&text).map_err(|e| failed(e.to_string()))? {
        Value::Null => Ok(json!({})),
        tree @ Value::Object(_) => Ok(tree),
        _ => Err(failed("it is no kubeconfig".into())),
    }
}

struct Lock(PathBuf);

impl Drop for Lock {
    fn drop(&mut self) {
        // One that stays behind is reported by the next writer.
        let _ = fs::remove_file(&self.0);
    }
}

/// Reads a file again under its lock, changes it and writes it.
///
/// # Errors
/// Somebody else changes it now, it cannot be written, or the change is refused.
pub fn update<T>(path: &Path, change: impl FnOnce(&mut Value) -> Result<T>) -> Result<T> {
    // A link stays a link: the file behind it is replaced.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder)?;
    }
    let beside = |ending: &str| PathBuf::from(format!("{}.{ending}", path.display()));
    let lock = beside("lock");
    OpenOptions::new().write(true).create_new(true).mode(MODE).open(&lock).map_err(|e| {
        Failure::Here(format!("open {}: {e}: another command changes the file, or one was killed", lock.display()))
    })?;
    let _lock = Lock(lock);
    let mut tree = if path.exists() { parse(&path)? } else { json!({"apiVersion": "v1", "kind": "Config"}) };
    let result = change(&mut tree)?;
    let new = beside("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(MODE).open(&new)?;
    file.write_all(machinery::yaml::emit(&tree).as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, &path)?;
    Ok(result)
}
