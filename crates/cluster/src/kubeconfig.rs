//! The user's kubeconfig: the cluster's entries merged in at `up`, as minikube does it, and taken out at `delete`.
//!
//! Everything else in the file is kept as data; comments are not, as with `kubectl config`.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Value, json};

use crate::turn;

/// The mode of a new file, which holds a key.
const PRIVATE: u32 = 0o600;
/// As the kernel follows.
const LINKS_MAX: usize = 40;

/// The file that `kubectl config` would write: the first of `$KUBECONFIG`, or `~/.kube/config`.
pub fn user_file() -> Result<PathBuf> {
    if let Some(list) = std::env::var_os("KUBECONFIG").filter(|v| !v.is_empty())
        && let Some(first) = std::env::split_paths(&list).find(|p| !p.as_os_str().is_empty())
    {
        return Ok(first);
    }
    let home = std::env::var_os("HOME")
        .ok_or_else(|| anyhow!("neither KUBECONFIG nor HOME is set: one of them must say where the kubeconfig is"))?;
    Ok(PathBuf::from(home).join(".kube/config"))
}

/// The user's file, readable and in form: asked before a cluster is started whose entry could not be written.
pub fn checked_user_file() -> Result<PathBuf> {
    let file = user_file()?;
    read(&file)?;
    Ok(file)
}

/// The context of a cluster: `kybern`, or `kybern-NAME` for other names.
pub fn context_name(cluster: &str) -> String {
    if cluster == "kybern" { cluster.into() } else { format!("kybern-{cluster}") }
}

/// Puts the administrator's entries of `from` in under `context` and makes it the current one.
pub fn merge(file: &Path, context: &str, from: &Path) -> Result<()> {
    let admin = read(from)?.ok_or_else(|| anyhow!("{} is not there", from.display()))?;
    let file = &resolved(file)?;
    let _turn = turn::take(folder(file))?;
    let mut config = read(file)?.unwrap_or_else(empty);
    let first = |list: &str, field: &str| admin[list][0][field].clone();
    set(&mut config, "clusters", json!({"name": context, "cluster": first("clusters", "cluster")}));
    set(&mut config, "users", json!({"name": context, "user": first("users", "user")}));
    set(&mut config, "contexts", json!({"name": context, "context": {"cluster": context, "user": context}}));
    config["current-context"] = context.into();
    write(file, &config)
}

/// Takes the entries of `context` out; a file that is not there has none.
pub fn remove(file: &Path, context: &str) -> Result<()> {
    if !file.exists() {
        return Ok(());
    }
    let file = &resolved(file)?;
    let _turn = turn::take(folder(file))?;
    let Some(mut config) = read(file)? else { return Ok(()) };
    let before = config.clone();
    for list in ["clusters", "users", "contexts"] {
        if let Some(entries) = config[list].as_array_mut() {
            entries.retain(|entry| entry["name"] != context);
        }
    }
    if config["current-context"] == context {
        config["current-context"] = "".into();
    }
    if config == before { Ok(()) } else { write(file, &config) }
}

/// Whether the file has the context, and whether it is the current one.
pub fn has(file: &Path, context: &str) -> Result<bool> {
    let config = read(file)?.unwrap_or_else(empty);
    Ok(config["contexts"].as_array().is_some_and(|all| all.iter().any(|entry| entry["name"] == context)))
}

fn empty() -> Value {
    json!({"apiVersion": "v1", "kind": "Config", "clusters": [], "contexts": [], "users": [], "preferences": {}})
}

fn set(config: &mut Value, list: &str, entry: Value) {
    if !config[list].is_array() {
        config[list] = json!([]);
    }
    let Some(entries) = config[list].as_array_mut() else { return };
    match entries.iter_mut().find(|known| known["name"] == entry["name"]) {
        Some(known) => *known = entry,
        None => entries.push(entry),
    }
}

fn read(file: &Path) -> Result<Option<Value>> {
    let text = match fs::read_to_string(file) {
        Ok(text) if text.trim().is_empty() => return Ok(None),
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("read {}", file.display())),
    };
    let parsed = machinery::yaml::parse(&text).map_err(|error| anyhow!("{}: {error}", file.display()))?;
    let lists = ["clusters", "users", "contexts"];
    if !parsed.is_object() || lists.iter().any(|list| !parsed[list].is_array() && !parsed[list].is_null()) {
        bail!("{} is no kubeconfig: mend it, or choose another file with KUBECONFIG", file.display());
    }
    Ok(Some(parsed))
}

/// Where links lead, whether a file is there or not: the file is replaced, and a link to it stays.
fn resolved(file: &Path) -> Result<PathBuf> {
    let mut at = file.to_owned();
    for _ in 0..LINKS_MAX {
        match fs::read_link(&at) {
            Ok(target) => at = folder(&at).join(target),
            Err(_) => return Ok(at),
        }
    }
    bail!("{}: too many links", file.display())
}

/// Locked while the file is read and written: clusters that come up together must all be in it.
fn folder(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn write(file: &Path, config: &Value) -> Result<()> {
    let staged = file.with_extension("kybern-new");
    let opened = fs::OpenOptions::new().create(true).truncate(true).write(true).mode(PRIVATE).open(&staged);
    let mut out = opened.with_context(|| format!("create {}", staged.display()))?;
    if let Ok(before) = fs::metadata(file) {
        // With sudo it is often another user's.
        std::os::unix::fs::fchown(&out, Some(before.uid()), Some(before.gid())).context("keep the file's owner")?;
        out.set_permissions(before.permissions()).context("keep the file's mode")?;
    }
    out.write_all(machinery::yaml::emit(config).as_bytes()).with_context(|| format!("write {}", staged.display()))?;
    fs::rename(&staged, file).with_context(|| format!("rename {}", staged.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn links_stay_and_modes_too() {
        let root = std::env::temp_dir().join(format!("kybern-kubeconfig-link-{}", std::process::id()));
        fs::create_dir_all(root.join("real")).unwrap();
        let (link, middle, real) = (root.join("link"), root.join("real/middle"), root.join("real/config"));
        symlink("real/middle", &link).unwrap();
        symlink("config", &middle).unwrap();
        // First without, then with a file where the links lead.
        write(&resolved(&link).unwrap(), &empty()).unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
        let admin = root.join("admin");
        write(&admin, &empty()).unwrap();
        merge(&link, "one", &admin).unwrap();
        assert!(has(&link, "one").unwrap());
        remove(&link, "one").unwrap();
        assert!(!has(&real, "one").unwrap());
        assert!(link.is_symlink() && middle.is_symlink() && !real.is_symlink());
        assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn what_is_no_kubeconfig_is_refused() {
        let file = std::env::temp_dir().join(format!("kybern-kubeconfig-bad-{}", std::process::id()));
        for bad in ["text", "[]", "clusters: 3", "a: [", "users: {}"] {
            fs::write(&file, bad).unwrap();
            assert!(read(&file).is_err(), "{bad}");
        }
        fs::write(&file, "clusters: null").unwrap();
        assert!(read(&file).is_ok());
        fs::remove_file(&file).unwrap();
    }

    #[test]
    fn clusters_that_come_up_together_are_all_in_it() {
        let root = std::env::temp_dir().join(format!("kybern-kubeconfig-{}", std::process::id()));
        fs::create_dir_all(&root).unwrap();
        let (file, admin) = (root.join("config"), root.join("admin"));
        let of = |field: &str| json!([{"name": "x", field: {"a": "b"}}]);
        write(&admin, &json!({"clusters": of("cluster"), "users": of("user"), "contexts": of("context")})).unwrap();
        let names: Vec<String> = (0..16).map(|n| format!("kybern-{n}")).collect();
        std::thread::scope(|scope| {
            for name in &names {
                scope.spawn(|| merge(&file, name, &admin).unwrap());
            }
        });
        assert!(names.iter().all(|name| has(&file, name).unwrap()));
        std::thread::scope(|scope| {
            for name in &names[1..] {
                scope.spawn(|| remove(&file, name).unwrap());
            }
        });
        assert!(has(&file, &names[0]).unwrap());
        assert!(names[1..].iter().all(|name| !has(&file, name).unwrap()));
        fs::remove_dir_all(&root).unwrap();
    }
}
