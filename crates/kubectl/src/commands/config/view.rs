//! What kubeconfigs say.

use base64::Engine as _;
use clap::ArgMatches;
use serde_json::Value;

use super::file::{Files, LISTS, position};
use crate::failure::{Failure, Result, error};
use crate::flags;
use crate::print::{Format, table};

const SECRETS: [(&str, &str, &str, &str); 5] = [
    ("clusters", "cluster", "certificate-authority-data", "DATA+OMITTED"),
    ("users", "user", "client-certificate-data", "DATA+OMITTED"),
    ("users", "user", "client-key-data", "DATA+OMITTED"),
    ("users", "user", "token", "REDACTED"),
    ("users", "user", "password", "REDACTED"),
];
const FILES: [(&str, &str, &str); 3] = [
    ("clusters", "cluster", "certificate-authority"),
    ("users", "user", "client-certificate"),
    ("users", "user", "client-key"),
];

pub fn current_context(matches: &ArgMatches) -> Result {
    let whole = Files::read(matches)?.merged();
    match whole["current-context"].as_str().unwrap_or_default() {
        "" => error("current-context is not set"),
        context => {
            println!("{context}");
            Ok(())
        }
    }
}

pub fn names(matches: &ArgMatches, list: &str) -> Result {
    let whole = Files::read(matches)?.merged();
    println!("NAME");
    for entry in whole[list].as_array().into_iter().flatten() {
        println!("{}", entry["name"].as_str().unwrap_or_default());
    }
    Ok(())
}

pub fn contexts(matches: &ArgMatches) -> Result {
    let whole = Files::read(matches)?.merged();
    let wanted = flags::all(matches, "names");
    let missing = wanted.iter().filter(|name| position(&whole, "contexts", name).is_none());
    let failures = missing.map(|name| Failure::Here(format!("context {name} not found"))).collect();
    let is_name = match flags::of(matches, "output") {
        "" => false,
        "name" => true,
        other => {
            return error(format!(
                "--output {other} is not available in kubectl config get-contexts; resetting to default output format"
            ));
        }
    };
    let mut rows = Vec::new();
    if !is_name && !flags::is_set(matches, "no-headers") {
        rows.push(["CURRENT", "NAME", "CLUSTER", "AUTHINFO", "NAMESPACE"].map(str::to_owned).to_vec());
    }
    for entry in whole["contexts"].as_array().into_iter().flatten() {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let name = text(&entry["name"]);
        if !wanted.is_empty() && !wanted.contains(&name.as_str()) {
            continue;
        }
        let mark = if whole["current-context"] == entry["name"] { "*" } else { "" };
        let context = &entry["context"];
        rows.push(match is_name {
            true => vec![name],
            false => {
                vec![mark.into(), name, text(&context["cluster"]), text(&context["user"]), text(&context["namespace"])]
            }
        });
    }
    print!("{}", table::aligned(&rows));
    Failure::all(failures)
}

pub fn view(matches: &ArgMatches) -> Result {
    let files = Files::read(matches)?;
    let mut whole = files.merged();
    if flags::is_set(matches, "minify") {
        minify(&mut whole, flags::of(matches, "context"))?;
    }
    if flags::is_set(matches, "flatten") {
        flatten(&files, &mut whole)?;
    }
    if !flags::is_set(matches, "raw") {
        for (list, inner, field, shown) in SECRETS {
            for entry in whole[list].as_array_mut().into_iter().flatten() {
                if let Some(held) = entry[inner].get_mut(field) {
                    *held = shown.into();
                }
            }
        }
    }
    let format = match flags::of(matches, "output") {
        "" => Format::Yaml,
        text => Format::parse(text)?,
    };
    print!("{}", format.object(&whole)?);
    Ok(())
}

/// Keeps one context and what it names.
fn minify(whole: &mut Value, context: &str) -> Result {
    if !context.is_empty() {
        whole["current-context"] = context.into();
    }
    let name = whole["current-context"].as_str().unwrap_or_default().to_owned();
    if name.is_empty() {
        return error("current-context must exist in order to minify");
    }
    let Some(at) = position(whole, "contexts", &name) else {
        return error(format!("cannot locate context {name}"));
    };
    let context = whole["contexts"][at]["context"].clone();
    let kept = [context["cluster"].clone(), name.into(), context["user"].clone()];
    for (list, kept) in LISTS.iter().zip(kept) {
        if let Some(entries) = whole[*list].as_array_mut() {
            entries.retain(|entry| entry["name"] == kept);
        }
    }
    Ok(())
}

/// Puts the contents of named files in place of their names.
fn flatten(files: &Files, whole: &mut Value) -> Result {
    for (list, inner, field) in FILES {
        for entry in whole[list].as_array_mut().into_iter().flatten() {
            let name = entry["name"].as_str().unwrap_or_default().to_owned();
            let Some(body) = entry[inner].as_object_mut() else { continue };
            let Some(path) = body.remove(field) else { continue };
            let path = path.as_str().unwrap_or_default();
            let folder = files.of_entry(list, &name);
            let path = folder.parent().map(|folder| folder.join(path)).unwrap_or_else(|| path.into());
            let bytes = std::fs::read(&path).map_err(|e| Failure::Here(format!("{}: {e}", path.display())))?;
            let data = base64::engine::general_purpose::STANDARD.encode(bytes);
            body.entry(format!("{field}-data")).or_insert(data.into());
        }
    }
    Ok(())
}
