//! The canonical form: what Go's decode and encode would make of a tree.
//!
//! Nulls and zero values of fields held by value with omitempty are absent; fields without it are always there;
//! structs held by value are `{}` at least; quantities and times are written Go's way. Equality, generation,
//! hashes, managed fields and no-op detection see this form only.

use base64::Engine as _;
use serde_json::{Map, Value};

use super::types::{Absent, Node, Schema, Struct, Type, Zero};
use crate::{quantity, time};

/// Brings a tree into the canonical form, in place. Unknown fields go; values of a wrong type stay as they
/// are, since only [`check`](super::check) can refuse them.
pub fn canonicalize(schema: &Schema, tree: &mut Value) {
    value(schema.node(), tree);
}

fn value(node: Node<'_>, tree: &mut Value) {
    match (node.ty, &mut *tree) {
        (Type::List(_) | Type::OrList(_) | Type::OrStrings(_), Value::Array(items)) => {
            let Some(element) = node.element() else { return };
            items.iter_mut().for_each(|item| element_value(element, item));
        }
        (Type::Map(_), Value::Object(map)) => {
            let Some(element) = node.element() else { return };
            map.values_mut().for_each(|item| element_value(element, item));
        }
        (_, Value::Object(map)) => {
            if let Some(of) = node.as_struct() {
                structure(node, of, map);
            }
        }
        (Type::Quantity, Value::String(text)) => rewrite(text, |t| quantity::canonical(t).ok()),
        (Type::Time, Value::String(text)) => rewrite(text, |t| time::canonical(t).ok()),
        (Type::MicroTime, Value::String(text)) => rewrite(text, |t| time::canonical_micro(t).ok()),
        (Type::Quantity, Value::Number(number)) => {
            let text = number.to_string();
            if let Ok(text) = quantity::canonical(&text) {
                *tree = Value::String(text.into_owned());
            }
        }
        _ => {}
    }
}

/// Items of lists and values of maps are never absent: null is the zero value.
fn element_value(element: Node<'_>, item: &mut Value) {
    if item.is_null() && element.ty != Type::Any {
        *item = zero(element);
    }
    value(element, item);
}

fn rewrite(text: &mut String, canonical: impl Fn(&str) -> Option<std::borrow::Cow<'_, str>>) {
    let changed = match canonical(text) {
        Some(std::borrow::Cow::Owned(new)) => Some(new),
        _ => None,
    };
    if let Some(new) = changed {
        *text = new;
    }
}

fn structure(node: Node<'_>, of: &Struct, map: &mut Map<String, Value>) {
    let mut gone: Vec<String> = Vec::new();
    for (name, item) in map.iter_mut() {
        let Some(at) = of.position(name) else {
            if !of.keep_unknown {
                gone.push(name.clone());
            }
            continue;
        };
        let field = &of.fields[at];
        value(node.of(field), item);
        if item.is_null() || field.zero != Zero::Keep && is_zero(item) {
            gone.push(name.clone());
        }
    }
    for name in gone {
        map.remove(&name);
    }
    fill_absent(node, of, map);
}

/// Puts the fields that are always written where they are absent.
pub(super) fn fill_absent(node: Node<'_>, of: &Struct, map: &mut Map<String, Value>) {
    for at in &of.always {
        let field = &of.fields[usize::from(*at)];
        if !map.contains_key(field.name.as_ref()) {
            let absent = if field.absent == Absent::Zero { zero(node.of(field)) } else { Value::Null };
            map.insert(field.name.clone().into_owned(), absent);
        }
    }
}

/// `""`, 0, false, and empty lists and maps; a struct never is, but structs are kept by their fields' rule.
pub(super) fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
    }
}

/// The zero value of a type as Go writes it.
pub(super) fn zero(node: Node<'_>) -> Value {
    match node.ty {
        Type::String | Type::Bytes => Value::String(String::new()),
        Type::Bool => Value::Bool(false),
        Type::Int32 | Type::Int64 | Type::Float | Type::IntOrString => 0.into(),
        Type::Quantity => "0".into(),
        Type::Struct(_) => {
            let mut map = Map::new();
            if let Some(of) = node.as_struct() {
                fill_absent(node, of, &mut map);
            }
            Value::Object(map)
        }
        _ => Value::Null,
    }
}

/// Go writes a float without fraction as an integer.
pub(crate) fn float(value: f64) -> Option<Value> {
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() < EXACT_MAX {
        #[expect(clippy::cast_possible_truncation, reason = "it is whole and in range")]
        let whole = value as i64;
        return Some(whole.into());
    }
    serde_json::Number::from_f64(value).map(Value::Number)
}

/// Go's message for a text that is not base64.
pub(super) fn base64_error(text: &str) -> Option<String> {
    use base64::DecodeError::{InvalidByte, InvalidLastSymbol, InvalidLength, InvalidPadding};
    let at = match base64::engine::general_purpose::STANDARD.decode(text).err()? {
        InvalidByte(at, _) | InvalidLastSymbol(at, _) => at,
        InvalidLength(length) => length,
        InvalidPadding => text.len(),
    };
    Some(format!("illegal base64 data at input byte {at}"))
}
