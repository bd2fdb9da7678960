//! Objects from `-f`: files, folders, standard input and web addresses, YAML and JSON, lists taken apart.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::failure::{Failure, Result, error, go_words};

const EXTENSIONS: &[&str] = &["json", "yaml", "yml"];

/// An object and where it came from.
#[derive(Clone, Debug)]
pub struct Given {
    pub source: String,
    pub tree: Value,
}

/// The objects of all files, in order.
///
/// # Errors
/// A file that is not there, is no YAML or JSON, or holds something that is no object.
pub async fn read(names: &[&str], recursive: bool) -> Result<Vec<Given>> {
    let mut found = Vec::new();
    for name in names {
        if *name == "-" {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text)?;
            found.extend(objects("STDIN", &text)?);
        } else if name.starts_with("http://") || name.starts_with("https://") {
            let text = client::https::download::get(name).await.map_err(|status| Failure::Here(status.message))?;
            found.extend(objects(name, &String::from_utf8_lossy(&text))?);
        } else {
            let path = Path::new(name);
            if !path.exists() {
                return error(format!("the path \"{name}\" does not exist"));
            }
            for file in below(path, recursive, true)? {
                let text =
                    fs::read_to_string(&file).map_err(|e| Failure::Here(go_words("open", file.display(), &e)))?;
                found.extend(objects(&file.display().to_string(), &text)?);
            }
        }
    }
    if found.is_empty() { error("no objects passed to apply") } else { Ok(found) }
}

/// A file itself, or the manifests of a folder in the order of their names.
fn below(path: &Path, recursive: bool, is_named: bool) -> Result<Vec<PathBuf>> {
    if path.is_file() || !path.is_dir() {
        let fits = path.extension().is_some_and(|e| EXTENSIONS.iter().any(|known| e == *known));
        return Ok(if is_named || fits { vec![path.to_owned()] } else { Vec::new() });
    }
    let mut entries: Vec<PathBuf> = fs::read_dir(path)?.map(|e| Ok(e?.path())).collect::<std::io::Result<_>>()?;
    entries.sort();
    let mut found = Vec::new();
    for entry in entries {
        if entry.is_dir() && !recursive {
            continue;
        }
        found.extend(below(&entry, recursive, false)?);
    }
    Ok(found)
}

fn objects(source: &str, text: &str) -> Result<Vec<Given>> {
    let documents = machinery::yaml::parse_all(text)
        .map_err(|e| Failure::Here(format!("error parsing {source}: error converting YAML to JSON: yaml: {e}")))?;
    let mut found = Vec::new();
    for tree in documents.into_iter().filter(|tree| !tree.is_null()) {
        let kind = tree["kind"].as_str().unwrap_or_default();
        if kind.is_empty() || tree["apiVersion"].as_str().unwrap_or_default().is_empty() {
            let missing = if kind.is_empty() { "kind not set" } else { "apiVersion not set" };
            return error(format!(
                "error validating \"{source}\": error validating data: {missing}; if you choose to ignore these errors, turn validation off with --validate=false"
            ));
        }
        match tree["items"].as_array().filter(|_| kind.ends_with("List")) {
            Some(items) => found.extend(items.iter().map(|item| Given { source: source.into(), tree: item.clone() })),
            None => found.push(Given { source: source.into(), tree }),
        }
    }
    Ok(found)
}
