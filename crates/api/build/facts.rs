//! Reads `facts/`: short tables of ours, one line per definition or field. Definitions are written short, from
//! the group on: `core.v1.Pod`, `meta.v1.ObjectMeta`.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::Path;

use machinery::schema::{Items, Merge};

/// How Go holds a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// `v`alue, `p`ointer, `l`ist, `m`ap, `b`ytes.
    pub how: char,
    /// Zero is left out.
    pub omit: bool,
    /// Zero is left out even for structs and times (`omitzero`).
    pub omit_zero: bool,
    /// The named Go type, or empty.
    pub go: String,
}

#[derive(Debug, Default)]
pub struct Facts {
    /// By definition and field.
    pub held: BTreeMap<(String, String), Held>,
    /// By definition and field; the field is empty for a whole struct.
    pub merges: BTreeMap<(String, String), Merge>,
    /// Defaults of list-map keys, by definition and field.
    pub key_defaults: BTreeMap<(String, String), String>,
}

/// `io.k8s.api.core.v1.Pod` → `core.v1.Pod`.
pub fn short(definition: &str) -> String {
    let parts: Vec<&str> = definition.split('.').collect();
    parts[parts.len().saturating_sub(3)..].join(".")
}

impl Facts {
    pub fn read(folder: &str) -> Result<Self, Box<dyn Error>> {
        let mut facts = Self::default();
        for line in lines(folder, "fields.facts")? {
            let (definition, fields) = line.split_once(": ").ok_or("a line of fields.facts has no colon")?;
            for field in fields.split(' ') {
                let (name, held) = field.split_once('=').ok_or_else(|| format!("no = in {field}"))?;
                let (how, go) = held.split_once(':').unwrap_or((held, ""));
                let letter = how.chars().next().ok_or("a field without a letter")?;
                let held = Held {
                    how: letter.to_ascii_lowercase(),
                    omit: letter.is_ascii_lowercase(),
                    omit_zero: how.ends_with('z'),
                    go: go.to_owned(),
                };
                facts.held.insert((definition.to_owned(), name.to_owned()), held);
            }
        }
        for line in lines(folder, "merges.facts")? {
            let words: Vec<&str> = line.split(' ').collect();
            let [place, kind, keys, strategy, key] = words[..] else {
                return Err(format!("not five words: {line}").into());
            };
            facts.merges.insert(split_place(place), merge(kind, keys, strategy, key));
        }
        for line in lines(folder, "key-defaults.facts")? {
            let (place, default) = line.split_once(' ').ok_or("a key default without value")?;
            facts.key_defaults.insert(split_place(place), default.to_owned());
        }
        Ok(facts)
    }
}

fn lines(folder: &str, name: &str) -> Result<Vec<String>, Box<dyn Error>> {
    let text = fs::read_to_string(Path::new(folder).join(name))?;
    Ok(text.lines().filter(|l| !l.starts_with('#') && !l.is_empty()).map(str::to_owned).collect())
}

/// `core.v1.Pod.spec` → definition and field; `core.v1.Pod` → the struct itself.
fn split_place(place: &str) -> (String, String) {
    let mut parts = place.splitn(4, '.');
    let definition: Vec<&str> = parts.by_ref().take(3).collect();
    (definition.join("."), parts.next().unwrap_or("").to_owned())
}

fn merge(kind: &str, keys: &str, strategy: &str, key: &str) -> Merge {
    let items = match kind {
        "set" => Items::Set,
        "map" => Items::Map(keys.split(',').map(|k| k.to_owned().into()).collect()),
        _ => Items::Atomic,
    };
    let has = |name: &str| strategy.split(',').any(|s| s == name);
    Merge {
        items,
        declared: matches!(kind, "set" | "map" | "atomic"),
        atomic: kind == "map:atomic",
        granular: kind == "map:granular",
        patch_merge: has("merge"),
        retain_keys: has("retainKeys"),
        patch_replace: has("replace"),
        merge_key: if key == "-" { "".into() } else { key.to_owned().into() },
    }
}
