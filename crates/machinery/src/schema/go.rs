//! Go's names for types, and its message for a value of the wrong one.

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
