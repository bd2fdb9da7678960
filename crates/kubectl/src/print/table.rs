//! Tables of text: columns three spaces apart, the last one as long as it is.

use machinery::table::{Column, Row};
use serde_json::Value;

/// Spaces between columns.
const PADDING: usize = 3;
const WIDTH_MIN: usize = 6;

/// Lines of cells with columns aligned as Go's tabwriter does for kubectl.
pub fn aligned(rows: &[Vec<String>]) -> String {
    aligned_on(rows, &mut Vec::new())
}

/// As [`aligned`], with columns at least as wide as those before; `widths` is what is remembered of them.
pub fn aligned_on(rows: &[Vec<String>], widths: &mut Vec<usize>) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        // The last cell of a line does not widen its column.
        let cells = rows.iter().filter(|row| row.len() > column + 1).map(|row| row[column].chars().count());
        cells.max().map_or(0, |widest| (widest + PADDING).max(WIDTH_MIN))
    };
    widths.resize(columns.max(widths.len()), 0);
    (0..columns).for_each(|column| widths[column] = widths[column].max(width(column)));
    let mut out = String::new();
    for row in rows {
        for (column, cell) in row.iter().enumerate() {
            out.push_str(cell);
            if column + 1 < row.len() {
                out.extend(std::iter::repeat_n(' ', widths[column].saturating_sub(cell.chars().count())));
            }
        }
        out.push('\n');
    }
    out
}

/// As [`aligned`], two spaces apart and without a least width.
pub fn narrow(rows: &[Vec<String>]) -> String {
    let widest = rows.iter().filter_map(|row| row.first()).map(|cell| cell.chars().count()).max().unwrap_or(0);
    rows.iter().map(|row| format!("{:<1$}{2}\n", row[0], widest + 2, row[1..].join("  "))).collect()
}

/// What is shown of a server's table.
#[derive(Clone, Debug, Default)]
pub struct Look {
    pub wide: bool,
    pub show_labels: bool,
    pub label_columns: Vec<String>,
    /// A first column with the namespace.
    pub with_namespace: bool,
    /// `pod/` before the names, when several kinds are printed.
    pub kind: Option<String>,
}

impl Look {
    /// The header line.
    pub fn header(&self, columns: &[Column]) -> Vec<String> {
        let mut header = Vec::new();
        if self.with_namespace {
            header.push("NAMESPACE".to_owned());
        }
        header.extend(columns.iter().filter(|c| self.shows(c)).map(|c| c.name.to_uppercase()));
        header
            .extend(self.label_columns.iter().map(|label| label.rsplit('/').next().unwrap_or_default().to_uppercase()));
        if self.show_labels {
            header.push("LABELS".to_owned());
        }
        header
    }

    /// An object's line.
    pub fn row(&self, columns: &[Column], row: &Row) -> Vec<String> {
        let labels = &row.object["metadata"]["labels"];
        let mut line = Vec::new();
        if self.with_namespace {
            line.push(row.object["metadata"]["namespace"].as_str().unwrap_or_default().to_owned());
        }
        for (at, cell) in row.cells.iter().enumerate() {
            let Some(column) = columns.get(at).filter(|c| self.shows(c)) else { continue };
            let text = cell_text(cell);
            line.push(match &self.kind {
                Some(kind) if column.format == "name" => format!("{kind}/{text}"),
                _ => text,
            });
        }
        let value = |label: &String| labels[label].as_str().unwrap_or_default().to_owned();
        line.extend(self.label_columns.iter().map(value));
        if self.show_labels {
            line.push(labels_text(labels));
        }
        line
    }

    fn shows(&self, column: &Column) -> bool {
        self.wide || column.priority == 0
    }
}

/// Only the first line of a cell is shown.
fn cell_text(cell: &Value) -> String {
    let text = match cell {
        Value::String(text) => text.clone(),
        Value::Null => "<none>".into(),
        other => other.to_string(),
    };
    match text.split_once('\n') {
        Some((first, _)) => format!("{first}..."),
        None => text,
    }
}

/// `a=b,c=d`, or `<none>`.
pub fn labels_text(labels: &Value) -> String {
    let pairs: Vec<String> = labels
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    if pairs.is_empty() { "<none>".into() } else { pairs.join(",") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_three_spaces_apart() {
        let row = |cells: &[&str]| cells.iter().map(|c| (*c).to_owned()).collect::<Vec<_>>();
        let text = aligned(&[row(&["NAME", "READY", "AGE"]), row(&["nginx-long", "1/1", "5s"])]);
        assert_eq!(text, "NAME         READY   AGE\nnginx-long   1/1     5s\n");
        let mut widths = Vec::new();
        aligned_on(&[row(&["nginx-long", "1/1", "5s"])], &mut widths);
        assert_eq!(aligned_on(&[row(&["web", "0/1", "1s"])], &mut widths), "web          0/1   1s\n");
    }
}
