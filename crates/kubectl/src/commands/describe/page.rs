//! A page of text whose tabs line up: upstream's describers write cells ended by tabs, and columns are as wide as
//! their widest cell plus two. A column ends with the first line that does not have it.

use std::fmt::Display;

use k8s_openapi::jiff::Timestamp;
use machinery::time;
use serde_json::Value;

const PADDING: usize = 2;
const INDENT: usize = 2;
/// Longer annotations go into lines of their own and are cut.
const ANNOTATION_BYTES_MAX: usize = 140;
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Text being written; tabs are aligned when it is finished.
#[derive(Default)]
pub struct Page {
    text: String,
}

impl Page {
    /// A line, two spaces deeper per level.
    pub fn line(&mut self, level: usize, text: impl Display) {
        let indent = " ".repeat(level * INDENT);
        self.text.push_str(&format!("{indent}{text}\n"));
    }

    /// `name:` and a value in the next column.
    pub fn field(&mut self, level: usize, name: &str, value: impl Display) {
        self.line(level, format_args!("{name}:\t{value}"));
    }

    /// A field that is left out when its text is empty.
    pub fn optional(&mut self, level: usize, name: &str, value: &Value) {
        let text = shown(value);
        if !text.is_empty() {
            self.field(level, name, text);
        }
    }

    /// Texts below each other in the second column, or `<none>`.
    pub fn stack(&mut self, title: &str, texts: &[String]) {
        let Some((first, rest)) = texts.split_first() else { return self.field(0, title, "<none>") };
        self.field(0, title, first);
        rest.iter().for_each(|text| self.line(0, format_args!("\t{text}")));
    }

    /// Labels, one a line.
    pub fn labels(&mut self, title: &str, labels: &Value) {
        let all = entries(labels).map(|(key, value)| format!("{key}={}", shown(value))).collect::<Vec<_>>();
        self.stack(title, &all);
    }

    /// Annotations, long ones cut; what `apply` left there is not shown.
    pub fn annotations(&mut self, title: &str, annotations: &Value) {
        let mut lines = Vec::new();
        for (key, value) in entries(annotations).filter(|(key, _)| *key != LAST_APPLIED) {
            let value = shown(value);
            let value = value.strip_suffix('\n').unwrap_or(&value);
            if value.len() + key.len() + 2 <= ANNOTATION_BYTES_MAX && !value.contains('\n') {
                lines.push(format!("{key}: {value}"));
                continue;
            }
            lines.push(format!("{key}:"));
            lines.extend(value.split('\n').map(|line| format!("  {}", shortened(line, ANNOTATION_BYTES_MAX - 2))));
        }
        self.stack(title, &lines);
    }

    /// The text as it was written, with its tabs.
    pub fn unaligned(&self) -> &str {
        &self.text
    }

    /// The text with its columns aligned.
    pub fn finish(&self) -> String {
        let mut lines: Vec<Vec<&str>> = self.text.split('\n').map(|line| line.split('\t').collect()).collect();
        lines.pop();
        let widths = widths(&lines);
        let mut out = String::with_capacity(self.text.len() * 2);
        for (line, widths) in lines.iter().zip(&widths) {
            for (column, cell) in line.iter().enumerate() {
                out.push_str(cell);
                let width = widths.get(column).copied().unwrap_or(0);
                out.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.chars().count())));
            }
            out.push('\n');
        }
        out
    }
}

/// Each line's column widths: those of the run of lines that have the column.
fn widths(lines: &[Vec<&str>]) -> Vec<Vec<usize>> {
    let mut widths: Vec<Vec<usize>> = vec![Vec::new(); lines.len()];
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    for column in 0..columns {
        let mut start = 0;
        while start < lines.len() {
            let run = lines[start..].iter().take_while(|line| line.len() > column + 1).count();
            let cells = lines[start..start + run].iter().map(|line| line[column].chars().count());
            let width = cells.max().unwrap_or(0) + PADDING;
            widths[start..start + run].iter_mut().for_each(|of_line| of_line.push(width));
            start += run.max(1);
        }
    }
    widths
}

fn shortened(text: &str, bytes: usize) -> String {
    if text.len() <= bytes {
        return text.to_owned();
    }
    let end = (0..=bytes).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    format!("{}...", &text[..end])
}

/// A map's entries in the order of their keys.
pub fn entries(map: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let mut all: Vec<(&str, &Value)> = map.as_object().into_iter().flatten().map(|(k, v)| (k.as_str(), v)).collect();
    all.sort_by_key(|(key, _)| *key);
    all.into_iter()
}

/// A list's items; none when it is absent.
pub fn items(list: &Value) -> &[Value] {
    list.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// A value as Go prints it; absent ones are empty.
pub fn shown(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(flag) => flag.to_string(),
        other => other.to_string(),
    }
}

/// A list's texts with something between them.
pub fn joined(list: &Value, glue: &str) -> String {
    items(list).iter().map(shown).collect::<Vec<_>>().join(glue)
}

/// A text, or what stands for an empty one.
pub fn or(value: &Value, none: &str) -> String {
    let text = shown(value);
    if text.is_empty() { none.to_owned() } else { text }
}

/// A number, zero when absent.
pub fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or(0)
}

/// Since when, as an age.
pub fn since(value: &Value) -> String {
    time::age(time::from_tree(value), Timestamp::now())
}

/// `Sat, 21 Nov 2026 02:50:18 +0000`; no time is the first year's first day, as in Go.
pub fn date(value: &Value) -> String {
    match time::from_tree(value) {
        Some(time) => time.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string(),
        None => "Mon, 01 Jan 0001 00:00:00 +0000".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_end_where_a_line_lacks_them() {
        let mut page = Page::default();
        page.field(0, "Name", "a");
        page.field(0, "Namespace", "b");
        page.line(0, "Containers:");
        page.field(1, "X", "1");
        assert_eq!(page.finish(), "Name:       a\nNamespace:  b\nContainers:\n  X:  1\n");
    }

    #[test]
    fn long_annotations_are_cut_in_lines_of_their_own() {
        let mut page = Page::default();
        page.annotations("Annotations", &serde_json::json!({"k": "v".repeat(150), LAST_APPLIED: "{}"}));
        assert_eq!(page.finish(), format!("Annotations:  k:\n                {}...\n", "v".repeat(138)));
    }
}
