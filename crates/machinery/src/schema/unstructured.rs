//! Go's words for a tree that does not fit a struct, where a map is converted and not JSON decoded: strategic
//! patches. It only finds the first mismatch; what fits is made canonical by [`check`](super::check).
//!
//! Source: upstream's `apimachinery/pkg/runtime/converter.go`.

use serde_json::Value;

use super::canonical::base64_error;
use super::go::{cannot_unmarshal, type_name};
use super::types::{Node, Schema, Struct, Type};
use crate::{quantity, time};

/// Why the tree is no object of this schema; `None` when it is one (unknown fields are not looked at).
pub fn mismatch(schema: &Schema, tree: &Value) -> Option<String> {
    value(schema.node(), "", tree)
}

fn value(node: Node<'_>, named: &str, tree: &Value) -> Option<String> {
    if tree.is_null() {
        return None;
    }
    match node.ty {
        Type::Any => None,
        Type::String | Type::Bool | Type::Int32 | Type::Int64 | Type::Float => scalar(node, named, tree),
        // These read themselves from JSON.
        Type::Time | Type::MicroTime | Type::Quantity | Type::IntOrString => read_alone(node.ty, tree),
        Type::OrBool(_) | Type::OrList(_) | Type::OrStrings(_) => None,
        Type::Bytes => match tree {
            Value::String(text) => base64_error(text).map(|why| format!("error decoding from json: {why}")),
            other => Some(format!("cannot restore slice from {}", go_kind(other))),
        },
        Type::Struct(_) => match (node.as_struct(), tree) {
            (Some(of), Value::Object(_)) => fields(node, of, tree),
            (None, _) => None,
            (_, other) => Some(format!("cannot restore struct from: {}", go_kind(other))),
        },
        Type::List(_) => match tree {
            Value::Array(items) => node.element().and_then(|of| items.iter().find_map(|item| value(of, "", item))),
            other => Some(format!("cannot restore slice from {}", go_kind(other))),
        },
        Type::Map(_) => match tree {
            Value::Object(map) => node.element().and_then(|of| map.values().find_map(|item| value(of, "", item))),
            other => Some(format!("cannot restore map from {}", go_kind(other))),
        },
    }
}

fn fields(node: Node<'_>, of: &Struct, tree: &Value) -> Option<String> {
    of.fields.iter().find_map(|field| value(node.of(field), &field.go, &tree[field.name.as_ref()]))
}

/// Go converts between numbers that lose nothing, says so where the language could convert otherwise, and knows
/// no way in all other cases.
fn scalar(node: Node<'_>, named: &str, tree: &Value) -> Option<String> {
    let whole = |number: &serde_json::Number| number.as_f64().is_some_and(|n| n.fract() == 0.0);
    let convertible = match (node.ty, tree) {
        (Type::String, Value::String(_)) | (Type::Bool, Value::Bool(_)) | (Type::Float, Value::Number(_)) => {
            return None;
        }
        (Type::Int32 | Type::Int64, Value::Number(number)) if whole(number) => return None,
        (Type::Int32 | Type::Int64, Value::Number(_)) => true,
        (Type::String, Value::Number(number)) => is_int(number),
        _ => false,
    };
    if convertible {
        return Some(format!("cannot convert {} to {}", go_kind(tree), type_name(node, named)));
    }
    let kind = match node.ty {
        Type::Bool => "bool",
        Type::Int32 => "int32",
        Type::Int64 => "int64",
        Type::Float => "float64",
        _ => "string",
    };
    Some(format!("unrecognized type: {kind}"))
}

fn read_alone(ty: Type, tree: &Value) -> Option<String> {
    let of_type = match ty {
        Type::IntOrString => "int32",
        _ => "string",
    };
    match (ty, tree) {
        (Type::IntOrString, Value::String(_)) => None,
        (Type::IntOrString, Value::Number(number)) => match number.as_i64().map(i32::try_from) {
            Some(Ok(_)) => None,
            _ => Some(cannot_unmarshal(&format!("number {number}"), None, &[], of_type)),
        },
        (Type::Time, Value::String(text)) => time::canonical(text).err(),
        (Type::MicroTime, Value::String(text)) => time::canonical_micro(text).err(),
        (Type::Quantity, Value::String(text)) => quantity::canonical(text.trim()).err().map(|e| e.to_string()),
        (Type::Quantity, Value::Number(number)) => {
            quantity::canonical(&number.to_string()).err().map(|e| e.to_string())
        }
        (Type::Quantity, _) => Some(quantity::QuantityError::Format.to_string()),
        (_, other) => {
            let found = match other {
                Value::Bool(_) => "bool",
                Value::Number(_) => "number",
                Value::Array(_) => "array",
                _ => "object",
            };
            Some(cannot_unmarshal(found, None, &[], of_type))
        }
    }
}

fn is_int(number: &serde_json::Number) -> bool {
    number.is_i64() || number.is_u64()
}

/// The Go kind of a value that was read from JSON.
fn go_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "invalid",
        Value::Bool(_) => "bool",
        Value::Number(number) if is_int(number) => "int64",
        Value::Number(_) => "float64",
        Value::String(_) => "string",
        Value::Array(_) => "slice",
        Value::Object(_) => "map",
    }
}
