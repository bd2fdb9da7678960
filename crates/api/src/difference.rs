//! What an update changed that it may not, for people to read: upstream prints Go structs, we print paths.

use std::collections::BTreeSet;

use serde_json::Value;

/// What differs between two trees, line by line by path, for people to read.
pub fn difference(kind: &str, old: &Value, new: &Value) -> String {
    let mut lines = Vec::new();
    walk("", old, new, &mut lines);
    format!("  {kind}{{\n{}  }}\n", lines.concat())
}

fn walk(path: &str, old: &Value, new: &Value, lines: &mut Vec<String>) {
    match (old, new) {
        _ if old == new => {}
        (Value::Object(a), Value::Object(b)) => {
            let keys: BTreeSet<_> = a.keys().chain(b.keys()).collect();
            for key in keys {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                walk(&path, a.get(key).unwrap_or(&Value::Null), b.get(key).unwrap_or(&Value::Null), lines);
            }
        }
        (Value::Array(a), Value::Array(b)) => {
            for i in 0..a.len().max(b.len()) {
                let path = format!("{path}[{i}]");
                walk(&path, a.get(i).unwrap_or(&Value::Null), b.get(i).unwrap_or(&Value::Null), lines);
            }
        }
        _ => {
            if !old.is_null() {
                lines.push(format!("- \t{path}: {old},\n"));
            }
            if !new.is_null() {
                lines.push(format!("+ \t{path}: {new},\n"));
            }
        }
    }
}
