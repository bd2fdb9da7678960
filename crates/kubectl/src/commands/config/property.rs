//! `kubectl config set` and `unset`: one property by its path, such as `clusters.NAME.server`.
//!
//! Names may hold dots: a name ends where the next part is a field of its kind, or at the end.

use base64::Engine as _;
use clap::ArgMatches;
use serde_json::{Value, json};

use super::file::{self, Files, position};
use crate::failure::{Failure, Result, error};
use crate::flags;

/// What a field holds.
#[derive(Clone, Copy, PartialEq)]
enum Holds {
    Text,
    Flag,
    /// Bytes, which files hold in base64.
    Bytes,
    List,
}
use Holds::{Bytes, Flag, List, Text};

const CLUSTER: &[Field] = &[
    ("server", Text),
    ("tls-server-name", Text),
    ("insecure-skip-tls-verify", Flag),
    ("certificate-authority", Text),
    ("certificate-authority-data", Bytes),
    ("proxy-url", Text),
    ("disable-compression", Flag),
];
const CONTEXT: &[Field] = &[("cluster", Text), ("user", Text), ("namespace", Text)];
const USER: &[Field] = &[
    ("client-certificate", Text),
    ("client-certificate-data", Bytes),
    ("client-key", Text),
    ("client-key-data", Bytes),
    ("token", Text),
    ("tokenFile", Text),
    ("act-as", Text),
    ("act-as-uid", Text),
    ("act-as-groups", List),
    ("username", Text),
    ("password", Text),
];
/// A field and what it holds.
type Field = (&'static str, Holds);

/// List, the field of its entries, and what those hold.
const LISTS: &[(&str, &str, &[Field])] =
    &[("clusters", "cluster", CLUSTER), ("contexts", "context", CONTEXT), ("users", "user", USER)];

/// What a path names.
#[derive(Debug, PartialEq)]
enum Place<'a> {
    CurrentContext,
    /// A whole list (`unset` only).
    List(&'static str),
    Entry {
        list: &'static str,
        inner: &'static str,
        name: String,
        field: Option<(&'a str, usize)>,
    },
}

fn parse(path: &str) -> Result<Place<'_>> {
    if path == "current-context" {
        return Ok(Place::CurrentContext);
    }
    let (head, rest) = path.split_once('.').unwrap_or((path, ""));
    let Some((list, inner, fields)) = LISTS.iter().find(|(list, ..)| *list == head) else {
        return error(format!("unable to parse {path} after [] at api.Config"));
    };
    if rest.is_empty() {
        return Ok(Place::List(list));
    }
    for (at, _) in rest.match_indices('.') {
        let (name, field) = (&rest[..at], &rest[at + 1..]);
        if let Some(known) = fields.iter().position(|(known, _)| *known == field) {
            return Ok(Place::Entry { list, inner, name: name.into(), field: Some((field, known)) });
        }
    }
    Ok(Place::Entry { list, inner, name: rest.into(), field: None })
}

pub fn set(matches: &ArgMatches) -> Result {
    let (path, text) = (flags::of(matches, "property"), flags::of(matches, "value"));
    if text.is_empty() {
        return error("you cannot use set to unset a property");
    }
    let files = Files::read(matches)?;
    match parse(path)? {
        Place::CurrentContext => file::update(&files.of_current(), |tree| {
            tree["current-context"] = text.into();
            Ok(())
        })?,
        Place::Entry { list, inner, name, field: Some((field, known)) } => {
            let value = value(list, known, text, flags::is_set(matches, "set-raw-bytes"))?;
            file::update(&files.of_entry(list, &name), |tree| {
                let at = match position(tree, list, &name) {
                    Some(at) => at,
                    None => {
                        let mut entries = tree[list].as_array().cloned().unwrap_or_default();
                        let mut entry = json!({"name": name});
                        entry[inner] = json!({});
                        entries.push(entry);
                        tree[list] = entries.into();
                        tree[list].as_array().map_or(0, |entries| entries.len() - 1)
                    }
                };
                tree[list][at][inner][field] = value;
                Ok(())
            })?;
        }
        Place::List(_) | Place::Entry { .. } => return error(format!("can't set a map to a value: {path}")),
    }
    println!("Property {path:?} set.");
    Ok(())
}

fn value(list: &str, known: usize, text: &str, raw: bool) -> Result<Value> {
    let fields = LISTS.iter().find(|(name, ..)| *name == list).map_or(CLUSTER, |(_, _, fields)| fields);
    let engine = base64::engine::general_purpose::STANDARD;
    match fields[known].1 {
        Text => Ok(text.into()),
        List => error("unrecognized slice type. string"),
        Flag => match text.parse::<bool>() {
            Ok(flag) => Ok(flag.into()),
            Err(_) => error(format!("error parsing {text:?} for bool: true or false is expected")),
        },
        Bytes if raw => Ok(engine.encode(text).into()),
        Bytes => match engine.decode(text) {
            Ok(_) => Ok(text.into()),
            Err(why) => Err(Failure::Here(format!("error decoding input value: {why}"))),
        },
    }
}

pub fn unset(matches: &ArgMatches) -> Result {
    let path = flags::of(matches, "property");
    let files = Files::read(matches)?;
    match parse(path)? {
        Place::CurrentContext => file::update(&files.of_current(), |tree| {
            tree["current-context"] = "".into();
            Ok(())
        })?,
        Place::List(list) => {
            for (path, _) in &files.all {
                file::update(path, |tree| {
                    tree[list] = Value::Null;
                    Ok(())
                })?;
            }
        }
        Place::Entry { list, inner, name, field } => {
            if field.is_some() && position(&files.merged(), list, &name).is_none() {
                return error(format!("current map key `{name}` is invalid"));
            }
            file::update(&files.of_entry(list, &name), |tree| {
                let Some(at) = position(tree, list, &name) else { return Ok(()) };
                match field {
                    Some((field, _)) => drop(tree[list][at][inner].as_object_mut().map(|body| body.remove(field))),
                    None => drop(tree[list].as_array_mut().map(|entries| entries.remove(at))),
                }
                Ok(())
            })?;
        }
    }
    println!("Property {path:?} unset.");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_hold_dots() {
        let entry = |list, inner, name: &str, field| Place::Entry { list, inner, name: name.into(), field };
        assert_eq!(
            parse("clusters.10.1.2.3.server").unwrap(),
            entry("clusters", "cluster", "10.1.2.3", Some(("server", 0)))
        );
        assert_eq!(parse("users.a.b").unwrap(), entry("users", "user", "a.b", None));
        assert_eq!(parse("contexts").unwrap(), Place::List("contexts"));
        assert!(parse("nothing.x").is_err());
    }
}
