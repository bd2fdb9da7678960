//! kubectl's JSONPath templates: `{range .items[*]}{.metadata.name}{"\n"}{end}`.
//!
//! Source: <https://kubernetes.io/docs/reference/kubectl/jsonpath/>; errors are upstream's.

mod eval;
mod parse;
#[cfg(test)]
mod tests;

pub use parse::relaxed;

/// A parsed template.
#[derive(Clone, Debug, PartialEq)]
pub struct Template(Vec<Piece>);

/// Text as it is, an action in braces, or a range with what is repeated.
#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Text(String),
    Action(Vec<Step>),
    Range(Vec<Step>, Vec<Piece>),
}

/// One step of an action, from values to values.
#[derive(Clone, Debug, PartialEq)]
enum Step {
    Field(String),
    Wildcard,
    /// Values below at any depth that have something below themselves.
    Recursive,
    Slice(Slice),
    Union(Vec<Vec<Step>>),
    Filter(Filter),
    /// Text, number or boolean in place of each value.
    Literal(serde_json::Value),
}

/// `[start:end:step]`; a lone index is a slice of one.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Slice {
    start: Option<i64>,
    end: Option<i64>,
    /// `end` follows from a lone index.
    single: bool,
    step: Option<i64>,
}

/// `[?(@.a == "b")]`; no comparison asks whether there is such a value.
#[derive(Clone, Debug, PartialEq)]
struct Filter {
    left: Vec<Step>,
    comparison: Option<(String, Vec<Step>)>,
}
