//! Sets of fields in their JSON form, and the algebra on them.
//!
//! A key's value is `{}` for a member without anything below, and has `.` when the place itself is a member too.

use std::sync::LazyLock;

use serde_json::{Map, Value};

/// A set: FieldsV1's root, or what is below a path element.
pub type Fields = Map<String, Value>;

const SELF: &str = ".";

/// A member without members below.
pub fn leaf() -> Value {
    Value::Object(Fields::new())
}

/// The value under a path element for a place that is a member or not, with these members below.
pub fn place(member: bool, mut below: Fields) -> Option<Value> {
    match (member, below.is_empty()) {
        (false, true) => None,
        (true, false) => {
            below.insert(SELF.to_owned(), leaf());
            Some(Value::Object(below))
        }
        _ => Some(Value::Object(below)),
    }
}

/// Takes a place apart: whether it is a member, and what is below.
pub fn parts(value: Value) -> (bool, Fields) {
    match value {
        Value::Object(mut map) => {
            let member = map.is_empty() || map.remove(SELF).is_some();
            (member, map)
        }
        _ => (true, Fields::new()),
    }
}

fn is_member(value: &Value) -> bool {
    value.as_object().is_none_or(|map| map.is_empty() || map.contains_key(SELF))
}

static NOTHING: LazyLock<Fields> = LazyLock::new(Fields::new);

/// What is below a path element, the place's own membership included.
pub fn below<'a>(set: &'a Fields, element: &str) -> &'a Fields {
    set.get(element).and_then(Value::as_object).unwrap_or(&NOTHING)
}

/// Whether the place at this path element is a member.
pub fn has(set: &Fields, element: &str) -> bool {
    set.get(element).is_some_and(is_member)
}

/// `set ∪= other`.
pub fn unite(set: &mut Fields, other: Fields) {
    for (element, theirs) in other {
        let merged = match set.remove(&element) {
            None => Some(theirs),
            Some(ours) => {
                let ((our, mut below), (their, others)) = (parts(ours), parts(theirs));
                unite(&mut below, others);
                place(our || their, below)
            }
        };
        set.extend(merged.map(|value| (element, value)));
    }
}

/// `set −= other`: exactly the members of `other` go.
pub fn subtract(set: &mut Fields, other: &Fields) {
    if other.is_empty() || set.is_empty() {
        return;
    }
    for (element, theirs) in other.iter().filter(|(element, _)| *element != SELF) {
        let Some(ours) = set.remove(element) else { continue };
        let (member, mut below) = parts(ours);
        if let Value::Object(theirs) = theirs {
            subtract(&mut below, theirs);
        }
        let left = place(member && !is_member(theirs), below);
        set.extend(left.map(|value| (element.clone(), value)));
    }
}

/// `set − other`.
pub fn difference(set: &Fields, other: &Fields) -> Fields {
    let mut left = set.clone();
    subtract(&mut left, other);
    left
}

/// `a ∩ b`.
pub fn intersection(a: &Fields, b: &Fields) -> Fields {
    let mut both = Fields::new();
    for (element, ours) in a.iter().filter(|(element, _)| *element != SELF) {
        let Some(theirs) = b.get(element) else { continue };
        let deeper = match (ours, theirs) {
            (Value::Object(ours), Value::Object(theirs)) => intersection(ours, theirs),
            _ => Fields::new(),
        };
        both.extend(place(is_member(ours) && is_member(theirs), deeper).map(|value| (element.clone(), value)));
    }
    both
}

/// Every member's path as upstream prints it: `.spec.containers[name="a"].image`, in order.
pub fn paths(set: &Fields) -> Vec<String> {
    let mut all = Vec::new();
    collect(set, "", &mut all);
    all
}

/// As upstream: the members of a place before what is below them.
fn collect(set: &Fields, prefix: &str, all: &mut Vec<String>) {
    let elements = || set.iter().filter(|(element, _)| *element != SELF);
    let path = |element: &str| format!("{prefix}{}", shown(element));
    all.extend(elements().filter(|(_, value)| is_member(value)).map(|(element, _)| path(element)));
    for (element, value) in elements() {
        if let Value::Object(below) = value {
            collect(below, &path(element), all);
        }
    }
}

fn shown(element: &str) -> String {
    match element.split_once(':') {
        Some(("f", name)) => format!(".{name}"),
        Some(("k", keys)) => {
            let keys: Fields = serde_json::from_str(keys).unwrap_or_default();
            let pairs: Vec<_> = keys.iter().map(|(name, value)| format!("{name}={value}")).collect();
            format!("[{}]", pairs.join(","))
        }
        Some(("v", value)) => format!("[={value}]"),
        Some(("i", index)) => format!("[{index}]"),
        _ => format!(".{element}"),
    }
}

/// The path element of a field or map key.
pub fn field(name: &str) -> String {
    let mut element = String::with_capacity(name.len() + 2);
    element.push_str("f:");
    element.push_str(name);
    element
}
