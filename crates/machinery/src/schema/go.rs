//! Go's names for types, its message for a value of the wrong one, and its way to print a tree.

use std::fmt::Write as _;

use serde_json::Value;

use super::types::{Node, Struct, Type, go_name};

/// `v1.Container`: the package is the version.
fn qualified(of: &Struct) -> String {
    let mut parts = of.definition.rsplit('.');
    let (name, package) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    if package.is_empty() { name.to_owned() } else { format!("{package}.{name}") }
}

/// Go's name of a type; `named` is the name that cannot be derived, or empty.
pub fn type_name(node: Node<'_>, named: &str) -> String {
    if !named.is_empty() {
        return named.to_owned();
    }
    let element = || node.element().map_or_else(|| "interface {}".into(), |e| type_name(e, ""));
    match node.ty {
        // Times are read as strings first.
        Type::String | Type::Time | Type::MicroTime => "string".into(),
        Type::Bool => "bool".into(),
        // And so are integers of an int-or-string.
        Type::Int32 | Type::IntOrString => "int32".into(),
        Type::Int64 => "int64".into(),
        Type::Float => "float64".into(),
        Type::Bytes => "[]uint8".into(),
        Type::Quantity => "resource.Quantity".into(),
        Type::Any => "interface {}".into(),
        Type::Struct(_) | Type::OrBool(_) | Type::OrList(_) | Type::OrStrings(_) => {
            node.as_struct().map(qualified).unwrap_or_default()
        }
        Type::List(_) => format!("[]{}", element()),
        Type::Map(_) if node.element().is_some_and(|e| e.ty == Type::Quantity) => "v1.ResourceList".into(),
        Type::Map(_) => format!("map[string]{}", element()),
    }
}

/// `json: cannot unmarshal string into Go struct field ContainerPort.spec.ports.containerPort of type int32`.
pub fn cannot_unmarshal(found: &str, holder: Option<&Struct>, fields: &[&str], of_type: &str) -> String {
    match holder {
        Some(of) => {
            let (name, path) = (go_name(&of.definition), fields.join("."));
            format!("json: cannot unmarshal {found} into Go struct field {name}.{path} of type {of_type}")
        }
        None => format!("json: cannot unmarshal {found} into Go value of type {of_type}"),
    }
}

/// A tree as Go's `%v` prints maps and slices: `map[spec:map[ports:[80 http] x:<nil>]]`.
pub fn printed(tree: &Value) -> String {
    let mut out = String::new();
    print(tree, &mut out);
    out
}

fn print(tree: &Value, out: &mut String) {
    match tree {
        Value::Null => out.push_str("<nil>"),
        // Writing to a string cannot fail.
        Value::Bool(value) => drop(write!(out, "{value}")),
        Value::Number(number) => out.push_str(&number_text(number)),
        Value::String(text) => out.push_str(text),
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(' ');
                }
                print(item, out);
            }
            out.push(']');
        }
        Value::Object(map) => {
            let mut keys: Vec<_> = map.keys().collect();
            keys.sort();
            out.push_str("map[");
            for (at, key) in keys.into_iter().enumerate() {
                let _ = write!(out, "{}{key}:", if at > 0 { " " } else { "" });
                print(&map[key], out);
            }
            out.push(']');
        }
    }
}

/// Floats have an exponent of two digits where they are very small or from 10^21 on.
fn number_text(number: &serde_json::Number) -> String {
    const PLAIN_MIN: f64 = 1e-4;
    const PLAIN_MAX: f64 = 1e21;
    let float = match number.as_f64() {
        Some(float) if number.is_f64() => float,
        _ => return number.to_string(),
    };
    if float == 0.0 || (PLAIN_MIN..PLAIN_MAX).contains(&float.abs()) {
        return float.to_string();
    }
    let text = format!("{float:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |rest| ('-', rest));
    format!("{digits}e{sign}{exponent:0>2}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::printed;

    #[test]
    fn trees_are_printed_as_go_prints_them() {
        let tree = json!({"b": [1, "x", null, {}], "a": {"f": 1.5, "g": 1e21, "h": -0.00002}, "c": true});
        assert_eq!(printed(&tree), "map[a:map[f:1.5 g:1e+21 h:-2e-05] b:[1 x <nil> map[]] c:true]");
    }
}
