//! Any object, field by field.

use serde_json::Value;

use super::page::{Page, entries, shown};
use super::{Subject, events};
use crate::failure::Result;

const SKIPPED: &[&str] =
    &[".metadata.managedFields", ".metadata.name", ".metadata.namespace", ".metadata.labels", ".metadata.annotations"];
const ACRONYMS: &[&str] = &["API", "URL", "UID", "OSB", "GUID"];

pub async fn describe(subject: &Subject<'_>) -> Result<Page> {
    let meta = &subject.tree["metadata"];
    let mut page = Page::default();
    page.field(0, "Name", shown(&meta["name"]));
    page.field(0, "Namespace", shown(&meta["namespace"]));
    page.labels("Labels", &meta["labels"]);
    page.annotations("Annotations", &meta["annotations"]);
    fields(&mut page, 0, subject.tree, "");
    events::append(subject, &mut page).await;
    Ok(page)
}

fn fields(page: &mut Page, level: usize, tree: &Value, above: &str) {
    for (field, value) in entries(tree) {
        let path = format!("{above}.{field}");
        if SKIPPED.contains(&path.as_str()) {
            continue;
        }
        let label = label(field);
        match value {
            Value::Object(_) => {
                page.line(level, format_args!("{label}:"));
                fields(page, level + 1, value, &path);
            }
            Value::Array(children) => {
                page.line(level, format_args!("{label}:"));
                for child in children {
                    match child {
                        Value::Object(_) => fields(page, level + 1, child, &path),
                        leaf => page.line(level + 1, printed(leaf)),
                    }
                }
            }
            leaf => page.field(level, &label, printed(leaf)),
        }
    }
}

fn printed(leaf: &Value) -> String {
    match leaf {
        Value::Null => "<nil>".into(),
        leaf => shown(leaf),
    }
}

/// `creationTimestamp` is shown as `Creation Timestamp`, `apiVersion` as `API Version`; names with other
/// characters than letters and dashes as they are.
fn label(field: &str) -> String {
    if field.chars().any(|c| !c.is_alphabetic() && c != '-') {
        return field.to_owned();
    }
    let title = |word: String| {
        let upper = word.to_uppercase();
        if ACRONYMS.contains(&upper.as_str()) {
            return upper;
        }
        let mut letters = word.chars();
        letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
    };
    words(field).into_iter().map(title).collect::<Vec<String>>().join(" ")
}

/// Splits camel case; of several capitals the last belongs to the word that follows.
fn words(field: &str) -> Vec<String> {
    let class = |c: char| match c {
        c if c.is_lowercase() => 0,
        c if c.is_uppercase() => 1,
        _ => 2,
    };
    let mut runs: Vec<String> = Vec::new();
    let mut last = None;
    for c in field.chars() {
        match runs.last_mut() {
            Some(run) if last == Some(class(c)) => run.push(c),
            _ => runs.push(c.into()),
        }
        last = Some(class(c));
    }
    for at in 1..runs.len() {
        let (upper, lower) = (runs[at - 1].chars().next().map(class), runs[at].chars().next().map(class));
        if upper == Some(1)
            && lower == Some(0)
            && let Some(capital) = runs[at - 1].pop()
        {
            runs[at].insert(0, capital);
        }
    }
    runs.retain(|run| !run.is_empty());
    runs
}

#[cfg(test)]
mod tests {
    use super::label;

    #[test]
    fn labels_are_words() {
        assert_eq!(label("apiVersion"), "API Version");
        assert_eq!(label("clusterIPs"), "Cluster I Ps");
        assert_eq!(label("uid"), "UID");
        assert_eq!(label("f:x"), "f:x");
        assert_eq!(label("max-size"), "Max - Size");
    }
}
