//! `-o custom-columns=NAME:.metadata.name,…`

use machinery::jsonpath::{Template, relaxed};
use serde_json::Value;

use super::table::aligned;
use crate::failure::{Failure, Result, error};

/// Headers and the paths of their cells.
pub struct Columns(Vec<(String, Template)>);

impl Columns {
    /// # Errors
    /// A column without a header or a path.
    pub fn parse(text: &str) -> Result<Self> {
        let mut columns = Vec::new();
        for part in text.split(',') {
            let Some((header, path)) = part.split_once(':') else {
                return error(format!("unexpected custom-columns spec: {part}, expected <header>:<json-path-expr>"));
            };
            columns.push((header.to_owned(), template(path)?));
        }
        Ok(Self(columns))
    }

    /// A file with a line of headers and a line of paths.
    ///
    /// # Errors
    /// As [`Columns::parse`].
    pub fn of_file(text: &str) -> Result<Self> {
        let mut lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let (headers, paths) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
        if headers.is_empty() || headers.len() != paths.len() {
            return error("invalid template: the file has one line of headers and one of as many paths");
        }
        let columns = headers.iter().zip(&paths).map(|(header, path)| Ok(((*header).to_owned(), template(path)?)));
        Ok(Self(columns.collect::<Result<_>>()?))
    }

    /// The table of a list's items, or of one object.
    ///
    /// # Errors
    /// A path that cannot be followed.
    pub fn print(&self, tree: &Value, with_header: bool) -> Result<String> {
        let one = std::slice::from_ref(tree);
        let items = tree["items"].as_array().map_or(one, Vec::as_slice);
        let mut rows = Vec::new();
        if with_header {
            rows.push(self.0.iter().map(|(header, _)| header.clone()).collect());
        }
        for item in items {
            rows.push(self.0.iter().map(|(_, path)| cell(path, item)).collect::<Result<Vec<_>>>()?);
        }
        Ok(aligned(&rows))
    }
}

fn template(path: &str) -> Result<Template> {
    let relaxed = relaxed(path).map_err(Failure::Here)?;
    Template::parse(&relaxed).map_err(Failure::Here)
}

fn cell(path: &Template, item: &Value) -> Result<String> {
    let found = path.find(item, true).map_err(Failure::Here)?;
    let texts: Vec<String> = found.iter().flatten().map(|value| text(value)).collect();
    Ok(if texts.is_empty() { "<none>".into() } else { texts.join(",") })
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "<none>".into(),
        other => other.to_string(),
    }
}
