//! Changes of kubeconfigs.

use base64::Engine as _;
use clap::ArgMatches;
use serde_json::{Value, json};

use super::file::{self, Files, position};
use crate::failure::{Failure, Result, error};
use crate::flags;

pub fn use_context(matches: &ArgMatches) -> Result {
    let (files, name) = (Files::read(matches)?, flags::of(matches, "name"));
    if position(&files.merged(), "contexts", name).is_none() {
        return error(format!("no context exists with the name: {name:?}"));
    }
    file::update(&files.of_current(), |tree| {
        tree["current-context"] = name.into();
        Ok(())
    })?;
    println!("Switched to context {name:?}.");
    Ok(())
}

pub fn delete(matches: &ArgMatches, list: &str, one: &str) -> Result {
    let (files, name) = (Files::read(matches)?, flags::of(matches, "name"));
    let (whole, path) = (files.merged(), files.of_entry(list, name));
    let missing = || error(format!("cannot delete {one} {name}, not in {}", path.display()));
    if position(&whole, list, name).is_none() {
        return missing();
    }
    if list == "contexts" && whole["current-context"] == name {
        eprintln!(
            "warning: this removed your active context, use \"kubectl config use-context\" to select a different one"
        );
    }
    file::update(&path, |tree| match position(tree, list, name) {
        None => missing(),
        Some(at) => {
            if let Some(entries) = tree[list].as_array_mut() {
                entries.remove(at);
            }
            Ok(())
        }
    })?;
    println!("deleted {one} {name} from {}", path.display());
    Ok(())
}

pub fn rename_context(matches: &ArgMatches) -> Result {
    let (files, old, new) = (Files::read(matches)?, flags::of(matches, "name"), flags::of(matches, "new"));
    let (whole, path) = (files.merged(), files.of_entry("contexts", old));
    let file = path.display();
    if position(&whole, "contexts", old).is_none() {
        return error(format!("cannot rename the context {old:?}, it's not in {file}"));
    }
    if position(&whole, "contexts", new).is_some() {
        return error(format!("cannot rename the context {old:?}, the context {new:?} already exists in {file}"));
    }
    file::update(&path, |tree| {
        if let Some(at) = position(tree, "contexts", old) {
            tree["contexts"][at]["name"] = new.into();
        }
        Ok(())
    })?;
    if whole["current-context"] == old {
        file::update(&files.of_current(), |tree| {
            tree["current-context"] = new.into();
            Ok(())
        })?;
    }
    println!("Context {old:?} renamed to {new:?}.");
    Ok(())
}

pub fn set_context(matches: &ArgMatches) -> Result {
    let files = Files::read(matches)?;
    let whole = files.merged();
    let name = match (flags::of(matches, "name"), flags::is_set(matches, "current")) {
        ("", true) => whole["current-context"].as_str().unwrap_or_default().to_owned(),
        ("", false) => return error("Unexpected args: []"),
        (_, true) => return error("you cannot specify both a context name and --current"),
        (name, false) => name.to_owned(),
    };
    if name.is_empty() {
        return error("no current context is set");
    }
    let is_new = put(&files, "contexts", "context", &name, |context| {
        for field in ["cluster", "user", "namespace"] {
            given(matches, field, &mut context[field]);
        }
        Ok(())
    })?;
    println!("Context {name:?} {}.", if is_new { "created" } else { "modified" });
    Ok(())
}

pub fn set_cluster(matches: &ArgMatches) -> Result {
    let (files, name) = (Files::read(matches)?, flags::of(matches, "name"));
    put(&files, "clusters", "cluster", name, |cluster| {
        for field in ["server", "tls-server-name", "proxy-url"] {
            given(matches, field, &mut cluster[field]);
        }
        if flags::given(matches, "insecure-skip-tls-verify") {
            cluster["insecure-skip-tls-verify"] = true.into();
        }
        certificate(matches, "certificate-authority", cluster)
    })?;
    println!("Cluster {name:?} set.");
    Ok(())
}

pub fn set_credentials(matches: &ArgMatches) -> Result {
    let (files, name) = (Files::read(matches)?, flags::of(matches, "name"));
    if flags::given(matches, "token") && flags::given(matches, "username") {
        return error(
            "you cannot specify more than one authentication method at the same time: --token, --username/--password",
        );
    }
    put(&files, "users", "user", name, |user| {
        for field in ["token", "username", "password"] {
            given(matches, field, &mut user[field]);
        }
        certificate(matches, "client-certificate", user)?;
        certificate(matches, "client-key", user)
    })?;
    println!("User {name:?} set.");
    Ok(())
}

/// Takes a flag over when it was given.
fn given(matches: &ArgMatches, flag: &str, field: &mut Value) {
    if flags::given(matches, flag) {
        *field = flags::of(matches, flag).into();
    }
}

/// A file by its absolute path, or its content.
fn certificate(matches: &ArgMatches, flag: &str, body: &mut Value) -> Result {
    let path = flags::of(matches, flag);
    if path.is_empty() {
        return Ok(());
    }
    let data = format!("{flag}-data");
    let failed = |e: std::io::Error| Failure::Here(format!("could not stat {flag} file {path}: {e}"));
    if flags::is_set(matches, "embed-certs") {
        let bytes = std::fs::read(path).map_err(failed)?;
        body[&data] = base64::engine::general_purpose::STANDARD.encode(bytes).into();
        body[flag] = Value::Null;
    } else {
        body[flag] = std::path::absolute(path).map_err(failed)?.display().to_string().into();
        body[&data] = Value::Null;
    }
    Ok(())
}

/// Changes an entry's body, or makes it; fields left null are dropped. True for a new one.
fn put(files: &Files, list: &str, inner: &str, name: &str, change: impl FnOnce(&mut Value) -> Result) -> Result<bool> {
    file::update(&files.of_entry(list, name), |tree| {
        let held = position(tree, list, name);
        let mut body = held.map_or_else(|| json!({}), |at| tree[list][at][inner].clone());
        if !body.is_object() {
            body = json!({});
        }
        change(&mut body)?;
        if let Some(fields) = body.as_object_mut() {
            fields.retain(|_, value| !value.is_null());
        }
        match held {
            Some(at) => tree[list][at][inner] = body,
            None => {
                let mut entry = json!({"name": name});
                entry[inner] = body;
                match tree[list].as_array_mut() {
                    Some(entries) => entries.push(entry),
                    None => tree[list] = json!([entry]),
                }
            }
        }
        Ok(held.is_none())
    })
}
