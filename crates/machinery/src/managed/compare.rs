//! What changed between two trees, as sets of fields; and which fields a tree has.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::sets::{Fields, field, leaf, place};
use crate::schema::{Items, Node, Type};

/// Fields of `metadata` that the server keeps, and nobody manages.
const UNMANAGED: [&str; 8] =
    ["creationTimestamp", "generation", "managedFields", "name", "namespace", "resourceVersion", "selfLink", "uid"];

/// Added and modified together, since whoever did either owns them; and removed.
#[derive(Debug, Default)]
pub struct Comparison {
    pub touched: Fields,
    pub removed: Fields,
}

/// Compares two objects, without what nobody manages and without one top-level field.
pub fn compare(node: Node<'_>, old: &Value, new: &Value, ignored: &str) -> Comparison {
    let mut out = Comparison::default();
    let (Value::Object(old), Value::Object(new)) = (old, new) else { return out };
    for name in union(old, new) {
        let (l, r) = (old.get(name), new.get(name));
        if matches!(name, "apiVersion" | "kind") || name == ignored || l == r {
            continue;
        }
        let Some(child) = node.child(name) else { continue };
        if name == "metadata" {
            let below = children(child, l.and_then(Value::as_object), r.and_then(Value::as_object), &UNMANAGED);
            out.add(field(name), Change { member: None, below });
        } else {
            out.add(field(name), value(child, l, r));
        }
    }
    out
}

/// What happened to a place itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Happened {
    Touched,
    Removed,
}

/// What happened to a place and below it.
#[derive(Default)]
struct Change {
    member: Option<Happened>,
    below: Comparison,
}

impl Comparison {
    pub fn is_empty(&self) -> bool {
        self.touched.is_empty() && self.removed.is_empty()
    }

    fn add(&mut self, element: String, change: Change) {
        let touched = place(change.member == Some(Happened::Touched), change.below.touched);
        let removed = place(change.member == Some(Happened::Removed), change.below.removed);
        if let Some(touched) = touched {
            self.touched.insert(element.clone(), touched);
        }
        if let Some(removed) = removed {
            self.removed.insert(element, removed);
        }
    }
}

fn value(node: Node<'_>, old: Option<&Value>, new: Option<&Value>) -> Change {
    if is_leaf(node, old, new) {
        return Change { member: happened(old, new, true), below: Comparison::default() };
    }
    let below = match node.ty {
        Type::List(_) => match items(node, old, new) {
            Some(below) => below,
            // Items without their keys cannot be told apart: the list is one field.
            None => return Change { member: happened(old, new, true), below: Comparison::default() },
        },
        _ => children(node, old.and_then(Value::as_object), new.and_then(Value::as_object), &[]),
    };
    Change { member: happened(old, new, false), below }
}

fn happened(old: Option<&Value>, new: Option<&Value>, leaf: bool) -> Option<Happened> {
    match (old, new) {
        (None, Some(_)) => Some(Happened::Touched),
        (Some(_), None) => Some(Happened::Removed),
        (Some(old), Some(new)) if leaf && old != new => Some(Happened::Touched),
        _ => None,
    }
}

/// Scalars, atomic collections, and collections that are empty on both sides.
fn is_leaf(node: Node<'_>, old: Option<&Value>, new: Option<&Value>) -> bool {
    let empty = |side: Option<&Value>| match side {
        Some(Value::Array(items)) => items.is_empty(),
        Some(Value::Object(map)) => map.is_empty(),
        _ => true,
    };
    node.is_atomic() || empty(old) && empty(new)
}

/// The fields of two maps, but for some.
fn children(
    node: Node<'_>,
    old: Option<&Map<String, Value>>,
    new: Option<&Map<String, Value>>,
    without: &[&str],
) -> Comparison {
    let mut out = Comparison::default();
    let empty = Map::new();
    let (old, new) = (old.unwrap_or(&empty), new.unwrap_or(&empty));
    for name in union(old, new) {
        let (l, r) = (old.get(name), new.get(name));
        // Equal trees have nothing to tell; comparing them is cheaper than walking them.
        if without.contains(&name) || l == r {
            continue;
        }
        if let Some(child) = node.child(name) {
            out.add(field(name), value(child, l, r));
        }
    }
    out
}

/// The keys of both maps, each once.
fn union<'a>(a: &'a Map<String, Value>, b: &'a Map<String, Value>) -> impl Iterator<Item = &'a str> {
    let only_b = b.keys().filter(|key| !a.contains_key(*key));
    a.keys().chain(only_b).map(String::as_str)
}

fn items(node: Node<'_>, old: Option<&Value>, new: Option<&Value>) -> Option<Comparison> {
    let element = node.element()?;
    let (old, new) = (indexed(node, element, old)?, indexed(node, element, new)?);
    let mut out = Comparison::default();
    for (path, l) in &old {
        let change = match (l.as_slice(), new.get(path).map(Vec::as_slice)) {
            ([l], Some([r])) => item(element, Some(l), Some(r)),
            ([l], None) => item(element, Some(l), None),
            (l, Some(r)) if l != r => Change { member: Some(Happened::Touched), below: Comparison::default() },
            (_, None) => Change { member: Some(Happened::Removed), below: Comparison::default() },
            _ => continue,
        };
        out.add(path.clone(), change);
    }
    for (path, r) in new.iter().filter(|(path, _)| !old.contains_key(*path)) {
        let change = match r.as_slice() {
            [r] => item(element, None, Some(r)),
            _ => Change { member: Some(Happened::Touched), below: Comparison::default() },
        };
        out.add(path.clone(), change);
    }
    Some(out)
}

fn item(element: Node<'_>, old: Option<&Value>, new: Option<&Value>) -> Change {
    if old == new { Change::default() } else { value(element, old, new) }
}

/// Items by path element. Several under one, where a key comes twice.
fn indexed<'a>(list: Node<'_>, element: Node<'_>, side: Option<&'a Value>) -> Option<BTreeMap<String, Vec<&'a Value>>> {
    let mut index: BTreeMap<String, Vec<&Value>> = BTreeMap::new();
    for item in side.and_then(Value::as_array).into_iter().flatten() {
        index.entry(path_element(list, element, item)?).or_default().push(item);
    }
    Some(index)
}

/// `k:{"containerPort":80,"protocol":"TCP"}` or `v:"x"`; `None` for an item without its keys.
pub fn path_element(list: Node<'_>, element: Node<'_>, item: &Value) -> Option<String> {
    match &list.merge.items {
        Items::Set => (!item.is_object() && !item.is_array() && !item.is_null()).then(|| format!("v:{item}")),
        Items::Map(keys) => {
            let mut key = Map::new();
            for name in keys {
                let value = match item.get(name.as_ref()).filter(|v| !v.is_null()) {
                    Some(value) => value.clone(),
                    None => default_of(element, name)?,
                };
                key.insert(name.clone().into_owned(), value);
            }
            Some(format!("k:{}", Value::Object(key)))
        }
        Items::Atomic => None,
    }
}

fn default_of(element: Node<'_>, name: &str) -> Option<Value> {
    let field = element.as_struct()?.field(name)?;
    (!field.key_default.is_empty()).then(|| field.key_default.clone().into_owned().into())
}

/// The fields that a tree has: what an applied configuration asks to own.
pub fn fields_of(node: Node<'_>, tree: &Value) -> Fields {
    let mut out = Fields::new();
    for (name, value) in tree.as_object().into_iter().flatten() {
        if matches!(name.as_str(), "apiVersion" | "kind") {
            continue;
        }
        let Some(child) = node.child(name) else { continue };
        if name == "metadata" {
            let mut meta = value.clone();
            if let Some(map) = meta.as_object_mut() {
                UNMANAGED.iter().for_each(|name| drop(map.remove(*name)));
            }
            out.extend(place(false, present(child, &meta)).map(|p| (field(name), p)));
        } else {
            out.extend(owned(child, value).map(|p| (field(name), p)));
        }
    }
    out
}

/// The value under a field's path element.
fn owned(node: Node<'_>, value: &Value) -> Option<Value> {
    if node.is_atomic() {
        return Some(leaf());
    }
    let empty = value.as_object().is_some_and(Map::is_empty);
    place(value.is_null() || empty, present(node, value))
}

/// The fields below a value that is not atomic.
fn present(node: Node<'_>, value: &Value) -> Fields {
    let mut out = Fields::new();
    match value {
        Value::Object(map) => {
            let of = node.as_struct();
            for (name, value) in map {
                let Some(child) = node.child(name) else { continue };
                // Keys of plain maps are members themselves, fields of structs only by what they hold.
                let at = if of.is_some() { owned(child, value) } else { place(true, present(child, value)) };
                out.extend(at.map(|p| (field(name), p)));
            }
        }
        Value::Array(items) => {
            let Some(element) = node.element() else { return out };
            for item in items {
                if let Some(path) = path_element(node, element, item) {
                    let below = if element.is_atomic() { Fields::new() } else { present(element, item) };
                    out.extend(place(true, below).map(|p| (path, p)));
                }
            }
        }
        _ => {}
    }
    out
}
