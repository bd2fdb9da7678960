//! Reading and writing JSON trees by path: a cursor that knows where it is, and dotted accessors.
//!
//! Hooks walk objects with [`At`], so that a problem carries the path it was found at. Reading never fails:
//! what is absent or of another type reads as null, empty, zero or `None` (types were checked on decoding).

use serde_json::{Map, Value};

use crate::field::Path;

static NULL: Value = Value::Null;

/// A value and where it stands. Cheap to make; the path is text.
#[derive(Clone, Debug)]
pub struct At<'a> {
    pub value: &'a Value,
    pub path: Path,
}

impl<'a> At<'a> {
    pub fn root(value: &'a Value) -> Self {
        Self { value, path: Path::default() }
    }

    pub fn new(value: &'a Value, path: Path) -> Self {
        Self { value, path }
    }

    /// The field of this name; absent reads as null. Path: `spec.name`.
    pub fn get(&self, name: &str) -> At<'a> {
        At { value: self.value.get(name).unwrap_or(&NULL), path: self.path.child(name) }
    }

    /// The field at a dotted path below: `at("spec.template.spec")`.
    pub fn at(&self, dotted: &str) -> At<'a> {
        dotted.split('.').fold(self.clone(), |here, name| here.get(name))
    }

    /// The entry of a map. Path: `labels[name]`.
    pub fn key(&self, name: &str) -> At<'a> {
        At { value: self.value.get(name).unwrap_or(&NULL), path: self.path.key(name) }
    }

    /// The n-th item of a list. Path: `ports[0]`.
    pub fn index(&self, index: usize) -> At<'a> {
        At { value: self.value.get(index).unwrap_or(&NULL), path: self.path.index(index) }
    }

    /// Present and not null.
    pub fn is_set(&self) -> bool {
        !self.value.is_null()
    }

    /// The text, or `""`.
    pub fn str(&self) -> &'a str {
        self.value.as_str().unwrap_or("")
    }

    pub fn opt_str(&self) -> Option<&'a str> {
        self.value.as_str()
    }

    pub fn int(&self) -> Option<i64> {
        self.value.as_i64()
    }

    /// True only for `true`.
    pub fn bool(&self) -> bool {
        self.value.as_bool().unwrap_or(false)
    }

    pub fn opt_bool(&self) -> Option<bool> {
        self.value.as_bool()
    }

    /// The items of a list, none when it is not one.
    pub fn items(&self) -> impl Iterator<Item = At<'a>> + use<'a> {
        let path = self.path.clone();
        let items = self.value.as_array().map_or(&[][..], Vec::as_slice);
        items.iter().enumerate().map(move |(i, value)| At { value, path: path.index(i) })
    }

    /// The entries of a map, sorted by key, at `path[key]`.
    pub fn entries(&self) -> impl Iterator<Item = (&'a str, At<'a>)> + use<'a> {
        let path = self.path.clone();
        let entries = self.value.as_object().into_iter().flatten();
        entries.map(move |(key, value)| (key.as_str(), At { value, path: path.key(key) }))
    }

    /// Items of a list, entries of a map, bytes of a text; 0 for anything else.
    pub fn len(&self) -> usize {
        match self.value {
            Value::Array(items) => items.len(),
            Value::Object(map) => map.len(),
            Value::String(text) => text.len(),
            _ => 0,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The value at a dotted path (`spec.template.metadata`); absent reads as null.
pub fn get<'a>(tree: &'a Value, dotted: &str) -> &'a Value {
    dotted.split('.').try_fold(tree, |here, name| here.get(name)).unwrap_or(&NULL)
}

/// The text at a dotted path, or `""`.
pub fn str<'a>(tree: &'a Value, dotted: &str) -> &'a str {
    get(tree, dotted).as_str().unwrap_or("")
}

/// The items of the list at a dotted path, or none.
pub fn items<'a>(tree: &'a Value, dotted: &str) -> &'a [Value] {
    get(tree, dotted).as_array().map_or(&[], Vec::as_slice)
}

/// The value at a dotted path for change, `None` when any part is absent.
pub fn get_mut<'a>(tree: &'a mut Value, dotted: &str) -> Option<&'a mut Value> {
    dotted.split('.').try_fold(tree, |here, name| here.get_mut(name))
}

/// The items of the list at a dotted path for change, or none.
pub fn items_mut<'a>(tree: &'a mut Value, dotted: &str) -> &'a mut [Value] {
    match get_mut(tree, dotted) {
        Some(Value::Array(items)) => items,
        _ => &mut [],
    }
}

/// The map at a dotted path, made (with its parents) where it is absent or not a map.
pub fn map_mut<'a>(tree: &'a mut Value, dotted: &str) -> &'a mut Map<String, Value> {
    let mut here = tree;
    for name in dotted.split('.').filter(|n| !n.is_empty()) {
        here = as_map(here).entry(name).or_insert(Value::Null);
    }
    as_map(here)
}

/// Puts a value at a dotted path, making parents.
pub fn set(tree: &mut Value, dotted: &str, value: impl Into<Value>) {
    let (parent, name) = dotted.rsplit_once('.').unwrap_or(("", dotted));
    map_mut(tree, parent).insert(name.to_owned(), value.into());
}

/// Puts a value at a dotted path unless something other than null is there; parents are made. Says whether it did.
pub fn default(tree: &mut Value, dotted: &str, value: impl Into<Value>) -> bool {
    if !get(tree, dotted).is_null() {
        return false;
    }
    set(tree, dotted, value);
    true
}

/// Takes the value at a dotted path out.
pub fn remove(tree: &mut Value, dotted: &str) -> Option<Value> {
    let (parent, name) = dotted.rsplit_once('.').unwrap_or(("", dotted));
    let parent = if parent.is_empty() { Some(tree) } else { get_mut(tree, parent) };
    parent?.as_object_mut()?.remove(name)
}

fn as_map(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(map) => map,
        // The line above made it a map.
        _ => unreachable!("a map was just put here"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_cursor_knows_its_path() {
        let tree = json!({"spec": {"containers": [{"name": "a"}, {"name": "b"}], "sel": {"x": "1"}}});
        let containers = At::root(&tree).at("spec.containers");
        let names: Vec<_> = containers.items().map(|c| (c.get("name").path.to_string(), c.get("name").str())).collect();
        assert_eq!(names, [("spec.containers[0].name".into(), "a"), ("spec.containers[1].name".into(), "b")]);
        let (key, at) = At::root(&tree).at("spec.sel").entries().next().unwrap();
        assert_eq!((key, at.path.as_str()), ("x", "spec.sel[x]"));
    }

    #[test]
    fn set_and_default_make_parents() {
        let mut tree = json!({});
        set(&mut tree, "a.b", 1);
        assert!(!default(&mut tree, "a.b", 2));
        assert!(default(&mut tree, "a.c.d", "x"));
        assert_eq!(tree, json!({"a": {"b": 1, "c": {"d": "x"}}}));
        assert_eq!(remove(&mut tree, "a.b"), Some(json!(1)));
    }
}
