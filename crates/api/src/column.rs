//! Cells that many kinds print, as upstream's printers do: names, ages, containers, selectors.

use jiff::Timestamp;
use machinery::{time, tree};
use serde_json::Value;

use crate::kind::Column;

const NAME_TEXT: &str = "Name must be unique within a namespace. Is required when creating resources, although some resources may allow a client to request the generation of an appropriate name automatically.";
const AGE_TEXT: &str = "The time since the object was created.";

pub const NAME: Column = Column { name: "Name", kind: "string", format: "name", description: NAME_TEXT, priority: 0 };
pub const AGE: Column = text("Age", AGE_TEXT);
pub const CONTAINERS: Column = wide("Containers", "Names of each container in the template.");
pub const IMAGES: Column = wide("Images", "Images referenced by each container in the template.");

/// What kinds without cells of their own show after the name.
pub const CREATED_AT: Column =
    Column { name: "Created At", kind: "date", format: "", description: AGE_TEXT, priority: 0 };

/// The columns of a kind that upstream has no printer for, and their cells.
pub const PLAIN: &[Column] = &[NAME, CREATED_AT];

pub fn plain(object: &Value, _now: Timestamp) -> Vec<Value> {
    vec![name(object), object["metadata"]["creationTimestamp"].as_str().unwrap_or("<unknown>").into()]
}

/// A column of text, always shown.
pub const fn text(name: &'static str, description: &'static str) -> Column {
    Column { name, kind: "string", format: "", description, priority: 0 }
}

/// A column of text, shown with `-o wide`.
pub const fn wide(name: &'static str, description: &'static str) -> Column {
    Column { name, kind: "string", format: "", description, priority: 1 }
}

pub const fn number(name: &'static str, description: &'static str) -> Column {
    Column { name, kind: "integer", format: "", description, priority: 0 }
}

pub const fn flag(name: &'static str, description: &'static str) -> Column {
    Column { name, kind: "boolean", format: "", description, priority: 0 }
}

pub fn name(object: &Value) -> Value {
    object["metadata"]["name"].as_str().unwrap_or("").into()
}

pub fn age(object: &Value, now: Timestamp) -> Value {
    since(&object["metadata"]["creationTimestamp"], now).into()
}

/// The time since an RFC 3339 text as `kubectl get` prints it; absent is `<unknown>`.
pub fn since(at: &Value, now: Timestamp) -> String {
    time::age(time::from_tree(at), now)
}

/// The number at a dotted path, absent is 0.
pub fn int(object: &Value, dotted: &str) -> i64 {
    tree::get(object, dotted).as_i64().unwrap_or(0)
}

/// The text at a dotted path, or another where it is absent or empty.
pub fn text_or<'a>(object: &'a Value, dotted: &str, otherwise: &'a str) -> &'a str {
    match tree::str(object, dotted) {
        "" => otherwise,
        text => text,
    }
}

/// Names and images of the containers at a dotted path, each joined by commas.
pub fn containers(object: &Value, dotted: &str) -> [Value; 2] {
    ["name", "image"].map(|field| {
        let texts: Vec<_> = tree::items(object, dotted).iter().map(|c| c[field].as_str().unwrap_or("")).collect();
        texts.join(",").into()
    })
}

/// A map of labels as `k=v,k=v`, sorted; none is `<none>`.
pub fn labels(map: &Value) -> String {
    let pairs: Vec<_> =
        map.as_object().into_iter().flatten().map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or(""))).collect();
    if pairs.is_empty() { "<none>".to_owned() } else { pairs.join(",") }
}

/// A `LabelSelector` in its text form; matching everything is `<none>`.
pub fn selector(tree: &Value) -> String {
    let mut parts: Vec<(String, String)> = Vec::new();
    for (key, value) in tree["matchLabels"].as_object().into_iter().flatten() {
        parts.push((key.clone(), format!("{key}={}", value.as_str().unwrap_or(""))));
    }
    for expression in tree::items(tree, "matchExpressions") {
        let key = expression["key"].as_str().unwrap_or("");
        parts.push((key.to_owned(), requirement(key, expression)));
    }
    parts.sort_by(|a, b| a.0.cmp(&b.0));
    let texts: Vec<_> = parts.into_iter().map(|(_, text)| text).collect();
    if texts.is_empty() { "<none>".to_owned() } else { texts.join(",") }
}

fn requirement(key: &str, expression: &Value) -> String {
    let mut values: Vec<_> = tree::items(expression, "values").iter().filter_map(Value::as_str).collect();
    values.sort_unstable();
    let values = values.join(",");
    match expression["operator"].as_str() {
        Some("In") => format!("{key} in ({values})"),
        Some("NotIn") => format!("{key} notin ({values})"),
        Some("DoesNotExist") => format!("!{key}"),
        _ => key.to_owned(),
    }
}

/// Up to `shown` items, and how many more there are.
pub fn some(items: &[String], shown: usize, none: &str) -> String {
    let head = items[..items.len().min(shown)].join(",");
    match items.len() {
        0 => none.to_owned(),
        n if n > shown => format!("{head} + {} more...", n - shown),
        _ => head,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn selectors_print_sorted_by_key() {
        let tree = json!({"matchLabels": {"b": "2", "a": "1"}, "matchExpressions": [
            {"key": "c", "operator": "In", "values": ["y", "x"]}, {"key": "aa", "operator": "DoesNotExist"}]});
        assert_eq!(selector(&tree), "a=1,!aa,b=2,c in (x,y)");
        assert_eq!(selector(&json!({})), "<none>");
    }

    #[test]
    fn long_lists_are_cut() {
        let items: Vec<_> = ["a", "b", "c", "d"].map(String::from).to_vec();
        assert_eq!(some(&items, 3, "<none>"), "a,b,c + 1 more...");
        assert_eq!(some(&[], 3, "<none>"), "<none>");
    }
}
