//! A cursor into a tree that knows the way it came, for rules: reading is free, the path becomes text only
//! when there is a problem to report.
//!
//! Each step borrows the one before (`up`), so a walk over a valid object allocates nothing. This is why it is
//! not `machinery::tree::At`, which owns its path. Reading never fails: what is absent or of another type reads
//! as null, empty or zero (types were checked on decoding).

use machinery::field::{Path, Problems, Wrong};
use serde_json::Value;

static NULL: Value = Value::Null;

#[derive(Clone, Copy)]
enum Step<'p> {
    Root,
    /// A field, or several joined by dots: a path prints the same either way.
    Name(&'p str),
    Index(usize),
    Key(&'p str),
}

/// A value and the way to it: `'v` is the tree's lifetime, `'p` that of the steps above.
#[derive(Clone, Copy)]
pub struct Field<'v, 'p> {
    pub value: &'v Value,
    up: Option<&'p Field<'v, 'p>>,
    step: Step<'p>,
}

impl<'v, 'p> Field<'v, 'p> {
    /// The whole object; its path is empty.
    pub fn root(value: &'v Value) -> Self {
        Self { value, up: None, step: Step::Root }
    }

    /// A value that stands at this path although it is looked at alone.
    pub fn standing(value: &'v Value, path: &'p str) -> Self {
        Self { value, up: None, step: Step::Name(path) }
    }
}

// === walking ===

impl<'v, 'p> Field<'v, 'p> {
    /// The field of this name, or below it by a dotted path; absent reads as null.
    pub fn get<'s>(&'s self, dotted: &'s str) -> Field<'v, 's> {
        let mut value = self.value;
        for name in dotted.split('.') {
            value = value.get(name).unwrap_or(&NULL);
        }
        Field { value, up: Some(self), step: Step::Name(dotted) }
    }

    /// The entry of a map: path `labels[key]`.
    pub fn key<'s>(&'s self, key: &'s str) -> Field<'v, 's> {
        Field { value: self.value.get(key).unwrap_or(&NULL), up: Some(self), step: Step::Key(key) }
    }

    pub fn index(&self, index: usize) -> Field<'v, '_> {
        Field { value: self.value.get(index).unwrap_or(&NULL), up: Some(self), step: Step::Index(index) }
    }

    /// Another value at this place: the old one, or the part that is wrong.
    pub fn with<'w>(&self, value: &'w Value) -> Field<'w, '_>
    where
        'v: 'w,
    {
        Field { value, ..*self }
    }

    pub fn items(&self) -> impl Iterator<Item = Field<'v, '_>> {
        let items = self.value.as_array().map_or(&[][..], Vec::as_slice);
        items.iter().enumerate().map(|(i, value)| Field { value, up: Some(self), step: Step::Index(i) })
    }

    /// The entries of a map, sorted by key, at `path[key]`.
    pub fn entries(&self) -> impl Iterator<Item = (&'v str, Field<'v, '_>)> {
        self.value
            .as_object()
            .into_iter()
            .flatten()
            .map(|(key, value)| (key.as_str(), Field { value, up: Some(self), step: Step::Key(key) }))
    }
}

// === reading ===

impl<'v> Field<'v, '_> {
    pub fn is_set(&self) -> bool {
        !self.value.is_null()
    }

    /// The text, or `""`.
    pub fn str(&self) -> &'v str {
        self.value.as_str().unwrap_or("")
    }

    pub fn int(&self) -> Option<i64> {
        self.value.as_i64()
    }

    /// The number, or 0.
    pub fn num(&self) -> i64 {
        self.value.as_i64().unwrap_or(0)
    }

    /// True only for `true`.
    pub fn bool(&self) -> bool {
        self.value.as_bool().unwrap_or(false)
    }

    pub fn is_false(&self) -> bool {
        self.value.as_bool() == Some(false)
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

    pub fn path(&self) -> Path {
        let above = self.up.map(Field::path).unwrap_or_default();
        match self.step {
            Step::Root => above,
            Step::Name(name) => above.child(name),
            Step::Index(index) => above.index(index),
            Step::Key(key) => above.key(key),
        }
    }
}

// === reporting ===

impl Field<'_, '_> {
    pub fn wrong(&self, problems: &mut Problems, wrong: Wrong, detail: impl Into<String>) {
        problems.add(&self.path(), wrong, detail);
    }

    pub fn required(&self, problems: &mut Problems, detail: &str) {
        self.wrong(problems, Wrong::Required, detail);
    }

    pub fn invalid(&self, problems: &mut Problems, detail: impl Into<String>) {
        self.wrong(problems, Wrong::Invalid(self.value.clone()), detail);
    }

    /// Invalid, showing a value other than the one found here.
    pub fn invalid_as(&self, problems: &mut Problems, shown: impl Into<Value>, detail: impl Into<String>) {
        self.wrong(problems, Wrong::Invalid(shown.into()), detail);
    }

    pub fn forbidden(&self, problems: &mut Problems, detail: impl Into<String>) {
        self.wrong(problems, Wrong::Forbidden, detail);
    }

    pub fn duplicate(&self, problems: &mut Problems) {
        self.wrong(problems, Wrong::Duplicate(self.value.clone()), "");
    }

    pub fn not_found(&self, problems: &mut Problems) {
        self.wrong(problems, Wrong::NotFound(self.value.clone()), "");
    }

    /// An absent value is shown as the empty text that Go would hold.
    pub fn not_supported(&self, problems: &mut Problems, supported: &[&str]) {
        let value = if self.is_set() { self.value.clone() } else { Value::from("") };
        problems.not_supported(&self.path(), value, supported);
    }

    pub fn too_long(&self, problems: &mut Problems, max: usize) {
        self.wrong(problems, Wrong::TooLong { max }, "");
    }

    /// One problem per message.
    pub fn messages(&self, problems: &mut Problems, messages: impl IntoIterator<Item = String>) {
        for message in messages {
            self.invalid(problems, message);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_path_is_the_way_it_came() {
        let tree =
            json!({"spec": {"containers": [{"name": "a"}, {"ports": [{"containerPort": 0}]}], "sel": {"x": "1"}}});
        let root = Field::root(&tree);
        let containers = root.get("spec.containers");
        let second = containers.index(1);
        let ports = second.get("ports");
        let paths: Vec<_> = ports.items().map(|port| port.get("containerPort").path().to_string()).collect();
        assert_eq!(paths, ["spec.containers[1].ports[0].containerPort"]);
        assert_eq!(root.get("spec").get("sel").key("x").path().as_str(), "spec.sel[x]");
        assert_eq!(root.get("spec.nothing.here").value, &Value::Null);
    }

    #[test]
    fn values_outlive_the_steps() {
        let tree = json!({"names": ["a", "b"]});
        let mut seen = Vec::new();
        for name in Field::root(&tree).get("names").items() {
            seen.push(name.str());
        }
        assert_eq!(seen, ["a", "b"]);
    }
}
