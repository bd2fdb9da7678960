//! `create configmap` and `create secret generic|tls`: from literals, files, folders and env files.

use std::fs;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::{ArgAction, ArgMatches, Command};
use serde_json::{Map, Value, json};

use super::workload::name;
use super::{Generator, Make};
use crate::failure::{Failure, Result, error, go_words};
use crate::flags;

pub const CONFIG_MAP: Generator = Generator { build: build_config_map, make: Make::Plain(config_map) };
pub const SECRET_GENERIC: Generator = Generator { build: build_generic, make: Make::Plain(generic) };
pub const SECRET_TLS: Generator = Generator { build: build_tls, make: Make::Plain(tls) };

fn sources(command: Command) -> Command {
    command
        .arg(
            flags::text("from-literal", "Specify a key and literal value to insert (i.e. mykey=somevalue)")
                .action(ArgAction::Append),
        )
        .arg(
            flags::text("from-file", "Key files can be specified using their file path, or a directory of them.")
                .action(ArgAction::Append),
        )
        .arg(
            flags::text("from-env-file", "Specify the path to a file to read lines of key=val pairs.")
                .action(ArgAction::Append),
        )
}

fn build_config_map() -> Command {
    sources(
        Command::new("configmap")
            .visible_alias("cm")
            .about("Create a config map based on a file, directory, or specified literal value.")
            .arg(name()),
    )
}

fn config_map(matches: &ArgMatches) -> Result<Value> {
    let (mut data, mut binary) = (Map::new(), Map::new());
    for (key, bytes) in pairs(matches)? {
        match String::from_utf8(bytes) {
            Ok(text) => data.insert(key, text.into()),
            Err(no_text) => binary.insert(key, STANDARD.encode(no_text.as_bytes()).into()),
        };
    }
    let mut tree = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": flags::of(matches, "name")}});
    if !data.is_empty() {
        tree["data"] = data.into();
    }
    if !binary.is_empty() {
        tree["binaryData"] = binary.into();
    }
    Ok(tree)
}

fn build_generic() -> Command {
    sources(
        Command::new("secret generic")
            .about("Create a secret based on a file, directory, or specified literal value.")
            .arg(name()),
    )
    .arg(flags::text("type", "The type of secret to create"))
}

fn generic(matches: &ArgMatches) -> Result<Value> {
    let data: Map<String, Value> =
        pairs(matches)?.into_iter().map(|(key, bytes)| (key, STANDARD.encode(bytes).into())).collect();
    let mut tree = secret(matches, data);
    let kind = flags::of(matches, "type");
    if !kind.is_empty() {
        tree["type"] = kind.into();
    }
    Ok(tree)
}

fn secret(matches: &ArgMatches, data: Map<String, Value>) -> Value {
    let mut tree = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": flags::of(matches, "name")}});
    if !data.is_empty() {
        tree["data"] = data.into();
    }
    tree
}

fn build_tls() -> Command {
    Command::new("secret tls")
        .about("Create a TLS secret from the given public/private key pair.")
        .arg(name())
        .arg(flags::text("cert", "Path to PEM encoded public key certificate.").required(true))
        .arg(flags::text("key", "Path to private key associated with given certificate.").required(true))
}

fn tls(matches: &ArgMatches) -> Result<Value> {
    let mut data = Map::new();
    for (key, flag) in [("tls.crt", "cert"), ("tls.key", "key")] {
        let path = flags::of(matches, flag);
        let failed = |e: &std::io::Error| Failure::Here(go_words(&format!("Cannot read file {path}, open"), path, e));
        let bytes = fs::read(path).map_err(|e| failed(&e))?;
        if !bytes.starts_with(b"-----BEGIN") {
            return error("tls: failed to find any PEM data in certificate input");
        }
        data.insert(key.into(), STANDARD.encode(bytes).into());
    }
    let mut tree = secret(matches, data);
    tree["type"] = "kubernetes.io/tls".into();
    Ok(tree)
}

fn read(path: &str) -> Result<Vec<u8>> {
    fs::read(path).map_err(|e| Failure::Here(go_words("error reading", path, &e)))
}

/// All keys with their values; a key that is given twice is refused.
fn pairs(matches: &ArgMatches) -> Result<Vec<(String, Vec<u8>)>> {
    let mut found: Vec<(String, Vec<u8>)> = Vec::new();
    let of_files = ["from-file", "from-literal"].iter().any(|flag| !flags::all(matches, flag).is_empty());
    if of_files && !flags::all(matches, "from-env-file").is_empty() {
        return error("from-env-file cannot be combined with from-file or from-literal");
    }
    for literal in flags::all(matches, "from-literal") {
        let Some((key, value)) = literal.split_once('=') else {
            return error(format!("invalid literal source {literal}, expected key=value"));
        };
        let value = value.trim_matches('"').trim_matches('\'');
        found.push((key.into(), value.as_bytes().to_vec()));
    }
    for source in flags::all(matches, "from-file") {
        from_file(source, &mut found)?;
    }
    for path in flags::all(matches, "from-env-file") {
        let text =
            String::from_utf8(read(path)?).map_err(|_| Failure::Here(format!("env file {path} is not UTF-8")))?;
        let lines = text.lines().map(str::trim_start).filter(|line| !line.is_empty() && !line.starts_with('#'));
        found.extend(lines.map(|line| {
            let (key, value) = line.split_once('=').unwrap_or((line, ""));
            (key.to_owned(), value.as_bytes().to_vec())
        }));
    }
    for (at, (key, _)) in found.iter().enumerate() {
        if found[..at].iter().any(|(other, _)| other == key) {
            return error(format!(
                "cannot add key \"{key}\", another key by that name already exists in Data for ConfigMap"
            ));
        }
    }
    Ok(found)
}

/// `path`, `key=path`, or a folder whose files are the keys.
fn from_file(source: &str, found: &mut Vec<(String, Vec<u8>)>) -> Result {
    let (key, path) = match source.split_once('=') {
        Some((key, path)) => (Some(key), path),
        None => (None, source),
    };
    let file = Path::new(path);
    if !file.is_dir() {
        let own = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        found.push((key.map_or(own, str::to_owned), read(path)?));
        return Ok(());
    }
    if key.is_some() {
        return error("cannot give a key name for a directory path");
    }
    let mut entries: Vec<_> = fs::read_dir(file)?.collect::<std::io::Result<_>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries.iter().filter(|entry| entry.path().is_file()) {
        found.push((entry.file_name().to_string_lossy().into_owned(), read(&entry.path().to_string_lossy())?));
    }
    Ok(())
}
