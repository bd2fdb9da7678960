//! Field paths and the problems found at them.
//!
//! Problems in input are data: every check collects all of them, with upstream's wording, and never stops at
//! the first. Source: upstream's `apimachinery/pkg/util/validation/field`.

use std::fmt;

use serde_json::Value;

/// A path into an object as upstream prints it: `spec.containers[0].image`, `metadata.labels[app]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path(String);

impl Path {
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    pub fn child(&self, name: &str) -> Self {
        if self.0.is_empty() { Self(name.to_owned()) } else { Self(format!("{}.{name}", self.0)) }
    }

    pub fn index(&self, index: usize) -> Self {
        Self(format!("{}[{index}]", self.0))
    }

    pub fn key(&self, key: &str) -> Self {
        Self(format!("{}[{key}]", self.0))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "<nil>" } else { &self.0 })
    }
}

/// What is wrong with a field; each prints in upstream's words and has upstream's `reason` in `Status.details.causes`.
#[derive(Clone, Debug, PartialEq)]
pub enum Wrong {
    Required,
    Invalid(Value),
    Duplicate(Value),
    NotFound(Value),
    NotSupported { value: Value, supported: Vec<String> },
    Forbidden,
    TooLong { max: usize },
    TooMany { count: usize, max: usize },
    TypeInvalid(Value),
    Internal,
}

/// One problem: where, what, and the detail after the colon (may be empty).
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    pub path: Path,
    pub wrong: Wrong,
    pub detail: String,
}

impl Problem {
    /// Upstream's `reason` for `Status.details.causes[]`.
    pub fn reason(&self) -> &'static str {
        match self.wrong {
            Wrong::Required => "FieldValueRequired",
            Wrong::Invalid(_) => "FieldValueInvalid",
            Wrong::Duplicate(_) => "FieldValueDuplicate",
            Wrong::NotFound(_) => "FieldValueNotFound",
            Wrong::NotSupported { .. } => "FieldValueNotSupported",
            Wrong::Forbidden => "FieldValueForbidden",
            Wrong::TooLong { .. } => "FieldValueTooLong",
            Wrong::TooMany { .. } => "FieldValueTooMany",
            Wrong::TypeInvalid(_) => "FieldValueTypeInvalid",
            Wrong::Internal => "InternalError",
        }
    }

    /// The problem without its path, as in `causes[].message`: `Invalid value: "x": must be …`.
    pub fn body(&self) -> String {
        let head = match &self.wrong {
            Wrong::Required => "Required value".to_owned(),
            Wrong::Forbidden => "Forbidden".to_owned(),
            Wrong::Internal => "Internal error".to_owned(),
            Wrong::TooLong { .. } => "Too long".to_owned(),
            Wrong::TooMany { count, .. } => format!("Too many: {count}"),
            Wrong::Invalid(v) => format!("Invalid value: {}", shown(v)),
            Wrong::TypeInvalid(v) => format!("Invalid value: {}", shown(v)),
            Wrong::Duplicate(v) => format!("Duplicate value: {}", shown(v)),
            Wrong::NotFound(v) => format!("Not found: {}", shown(v)),
            Wrong::NotSupported { value, .. } => format!("Unsupported value: {}", shown(value)),
        };
        let detail = match &self.wrong {
            Wrong::NotSupported { supported, .. } if self.detail.is_empty() => {
                let quoted: Vec<_> = supported.iter().map(|s| format!("{s:?}")).collect();
                format!("supported values: {}", quoted.join(", "))
            }
            Wrong::TooLong { max } if self.detail.is_empty() => format!("may not be more than {max} bytes"),
            Wrong::TooMany { max, .. } if self.detail.is_empty() => format!("must have at most {max} items"),
            _ => self.detail.clone(),
        };
        if detail.is_empty() { head } else { format!("{head}: {detail}") }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.body())
    }
}

/// A value as Go's `%v`/`%q` would show it in a message: strings quoted, null as `null`, trees as JSON.
fn shown(value: &Value) -> String {
    value.to_string()
}

/// The problems of one object, in the order found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn add(&mut self, path: &Path, wrong: Wrong, detail: impl Into<String>) {
        self.0.push(Problem { path: path.clone(), wrong, detail: detail.into() });
    }

    pub fn required(&mut self, path: &Path, detail: impl Into<String>) {
        self.add(path, Wrong::Required, detail);
    }

    pub fn invalid(&mut self, path: &Path, value: impl Into<Value>, detail: impl Into<String>) {
        self.add(path, Wrong::Invalid(value.into()), detail);
    }

    pub fn forbidden(&mut self, path: &Path, detail: impl Into<String>) {
        self.add(path, Wrong::Forbidden, detail);
    }

    pub fn duplicate(&mut self, path: &Path, value: impl Into<Value>) {
        self.add(path, Wrong::Duplicate(value.into()), "");
    }

    pub fn not_supported(&mut self, path: &Path, value: impl Into<Value>, supported: &[&str]) {
        let supported = supported.iter().map(|s| (*s).to_owned()).collect();
        self.add(path, Wrong::NotSupported { value: value.into(), supported }, "");
    }

    /// Upstream's aggregate: one problem alone, several in brackets, repeated ones once.
    pub fn message(&self) -> String {
        let mut texts: Vec<String> = Vec::new();
        for problem in &self.0 {
            let text = problem.to_string();
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
        match texts.as_slice() {
            [] => String::new(),
            [only] => only.clone(),
            _ => format!("[{}]", texts.join(", ")),
        }
    }
}
