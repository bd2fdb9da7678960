//! Label selectors as data.

use std::fmt;

use serde_json::Value;

use super::parser;
use crate::validation::{label_value, qualified_name};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    Exists,
    DoesNotExist,
    In,
    NotIn,
    Equals,
    DoubleEquals,
    NotEquals,
    GreaterThan,
    LessThan,
}

/// One condition on one label; `values` are sorted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    pub key: String,
    pub operator: Operator,
    pub values: Vec<String>,
}

/// All requirements must hold; none at all select everything, unless the selector selects nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelSelector {
    pub requirements: Vec<Requirement>,
    nothing: bool,
}

pub(super) fn check_key(key: &str, path: &str) -> Result<(), String> {
    let wrong = qualified_name(key);
    if wrong.is_empty() { Ok(()) } else { Err(format!("{path}: Invalid value: {key:?}: {}", wrong.join("; "))) }
}

/// Go's `%v` of strings in a list, as in `Invalid value: []string{}`.
fn shown(values: &[String]) -> String {
    let quoted: Vec<_> = values.iter().map(|v| format!("{v:?}")).collect();
    format!("[{}]", quoted.join(","))
}

impl Requirement {
    /// # Errors
    /// Upstream's message when key, operator and values do not go together.
    pub fn new(key: String, operator: Operator, mut values: Vec<String>) -> Result<Self, String> {
        let mut wrong: Vec<String> = check_key(&key, "key").err().into_iter().collect();
        let mut bad = |what: &str| wrong.push(format!("values: Invalid value: {}: {what}", shown(&values)));
        match operator {
            Operator::In | Operator::NotIn if values.is_empty() => {
                bad("for 'in', 'notin' operators, values set can't be empty");
            }
            Operator::Equals | Operator::DoubleEquals | Operator::NotEquals if values.len() != 1 => {
                bad("exact-match compatibility requires one single value");
            }
            Operator::Exists | Operator::DoesNotExist if !values.is_empty() => {
                bad("values set must be empty for exists and does not exist");
            }
            Operator::GreaterThan | Operator::LessThan if values.len() != 1 => {
                bad("for 'Gt', 'Lt' operators, exactly one value is required");
            }
            _ => {}
        }
        for (i, value) in values.iter().enumerate() {
            let ordered = matches!(operator, Operator::GreaterThan | Operator::LessThan);
            if ordered && value.parse::<i64>().is_err() {
                let what = "for 'Gt', 'Lt' operators, the value must be an integer";
                wrong.push(format!("values[{i}]: Invalid value: {value:?}: {what}"));
            }
            let problems = label_value(value);
            if !problems.is_empty() {
                wrong.push(format!("values[{i}][{key}]: Invalid value: {value:?}: {}", problems.join("; ")));
            }
        }
        values.sort();
        match wrong.len() {
            0 => Ok(Self { key, operator, values }),
            1 => Err(wrong.remove(0)),
            _ => Err(format!("[{}]", wrong.join(", "))),
        }
    }

    /// Whether a label's value (`None` when it is absent) meets it.
    pub fn matches(&self, value: Option<&str>) -> bool {
        let among = |v: &str| self.values.iter().any(|x| x == v);
        match self.operator {
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::In | Operator::Equals | Operator::DoubleEquals => value.is_some_and(among),
            Operator::NotIn | Operator::NotEquals => !value.is_some_and(among),
            Operator::GreaterThan => self.compared(value).is_some_and(|(have, limit)| have > limit),
            Operator::LessThan => self.compared(value).is_some_and(|(have, limit)| have < limit),
        }
    }

    fn compared(&self, value: Option<&str>) -> Option<(i64, i64)> {
        Some((value?.parse().ok()?, self.values.first()?.parse().ok()?))
    }
}

impl LabelSelector {
    pub fn everything() -> Self {
        Self::default()
    }

    pub fn nothing() -> Self {
        Self { requirements: Vec::new(), nothing: true }
    }

    /// Reads the text form: `a=b,c!=d,e in (f,g),h notin (i),j,!k,l>1`.
    ///
    /// # Errors
    /// Upstream's message.
    pub fn parse(text: &str) -> Result<Self, String> {
        Ok(Self::of(parser::parse(text)?))
    }

    /// Reads a `metav1.LabelSelector`: null selects nothing, `{}` everything.
    ///
    /// # Errors
    /// Upstream's message for a requirement that cannot be.
    pub fn from_tree(tree: &Value) -> Result<Self, String> {
        if tree.is_null() {
            return Ok(Self::nothing());
        }
        let mut requirements = equalities(&tree["matchLabels"])?;
        for expression in tree["matchExpressions"].as_array().into_iter().flatten() {
            let operator = match expression["operator"].as_str().unwrap_or("") {
                "In" => Operator::In,
                "NotIn" => Operator::NotIn,
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::DoesNotExist,
                other => return Err(format!("{other:?} is not a valid label selector operator")),
            };
            let values = expression["values"].as_array().into_iter().flatten();
            let values = values.filter_map(|v| v.as_str().map(str::to_owned)).collect();
            let key = expression["key"].as_str().unwrap_or("").to_owned();
            requirements.push(Requirement::new(key, operator, values)?);
        }
        Ok(Self::of(requirements))
    }

    /// Reads a plain map of labels, as Services and ReplicationControllers have it; empty selects everything.
    ///
    /// # Errors
    /// A key or value that no label can have.
    pub fn from_map(map: &Value) -> Result<Self, String> {
        Ok(Self::of(equalities(map)?))
    }

    /// The conjunction of these requirements, in upstream's order.
    pub fn of(mut requirements: Vec<Requirement>) -> Self {
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Self { requirements, nothing: false }
    }

    pub fn is_everything(&self) -> bool {
        !self.nothing && self.requirements.is_empty()
    }

    /// Whether a map of labels (null is none) is selected.
    pub fn matches(&self, labels: &Value) -> bool {
        self.matches_with(|key| labels.get(key).and_then(Value::as_str))
    }

    /// The same for labels held in another form.
    pub fn matches_with<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        !self.nothing && self.requirements.iter().all(|r| r.matches(label(&r.key)))
    }

    /// The value that a label must have exactly, for lookups by index.
    pub fn exact(&self, key: &str) -> Option<&str> {
        let requirement = self.requirements.iter().find(|r| r.key == key)?;
        let exact = matches!(requirement.operator, Operator::Equals | Operator::DoubleEquals | Operator::In);
        match requirement.values.as_slice() {
            [only] if exact => Some(only),
            _ => None,
        }
    }
}

fn equalities(map: &Value) -> Result<Vec<Requirement>, String> {
    let entries = map.as_object().into_iter().flatten();
    entries
        .map(|(key, value)| {
            let value = value.as_str().unwrap_or("").to_owned();
            Requirement::new(key.clone(), Operator::Equals, vec![value])
        })
        .collect()
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, values) = (&self.key, self.values.join(","));
        match self.operator {
            Operator::Exists => f.write_str(key),
            Operator::DoesNotExist => write!(f, "!{key}"),
            Operator::In => write!(f, "{key} in ({values})"),
            Operator::NotIn => write!(f, "{key} notin ({values})"),
            Operator::Equals => write!(f, "{key}={values}"),
            Operator::DoubleEquals => write!(f, "{key}=={values}"),
            Operator::NotEquals => write!(f, "{key}!={values}"),
            Operator::GreaterThan => write!(f, "{key}>{values}"),
            Operator::LessThan => write!(f, "{key}<{values}"),
        }
    }
}

/// The text form, which reads back; empty for everything and for nothing.
impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, requirement) in self.requirements.iter().enumerate() {
            write!(f, "{}{requirement}", if i > 0 { "," } else { "" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_syntax_matches_and_prints() {
        let labels = json!({"a": "b", "n": "5"});
        for (text, expected) in [
            ("", true),
            ("a=b", true),
            ("a==b", true),
            ("a!=b", false),
            ("x!=y", true),
            ("a in (b, c)", true),
            ("a notin (b)", false),
            ("a", true),
            ("!a", false),
            ("!x", true),
            ("n>4", true),
            ("n<4", false),
            ("a=b,n in (5)", true),
            ("x=", false),
            ("a in (,)", false),
            ("in=in", false),
        ] {
            let selector = LabelSelector::parse(text).unwrap();
            assert_eq!(selector.matches(&labels), expected, "{text}");
            assert_eq!(LabelSelector::parse(&selector.to_string()).unwrap(), selector, "{text}");
        }
        assert_eq!(LabelSelector::parse("z in (c,b),a").unwrap().to_string(), "a,z in (b,c)");
    }

    #[test]
    fn errors_are_upstreams() {
        let message = |text: &str| LabelSelector::parse(text).unwrap_err();
        assert_eq!(message("a,"), "found '', expected: identifier after ','");
        assert_eq!(message("=a"), "found '=', expected: !, identifier, or 'end of string'");
        assert_eq!(message("a in b"), "unable to parse requirement: found 'b' expected: '('");
        assert_eq!(message("a b"), "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt");
        assert_eq!(message("a=b c"), "found 'c', expected: ',' or 'end of string'");
        assert!(
            message("a=%")
                .starts_with("unable to parse requirement: values[0][a]: Invalid value: \"%\": a valid label must")
        );
        assert!(
            message("-a=b")
                .starts_with("unable to parse requirement: <nil>: Invalid value: \"-a\": name part must consist")
        );
    }

    #[test]
    fn the_tree_form_is_read() {
        let tree = json!({"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "c", "operator": "NotIn", "values": ["d"]}]});
        let selector = LabelSelector::from_tree(&tree).unwrap();
        assert_eq!(selector.to_string(), "a=b,c notin (d)");
        assert!(selector.matches(&json!({"a": "b"})) && !selector.matches(&json!({"a": "b", "c": "d"})));
        assert!(!LabelSelector::from_tree(&Value::Null).unwrap().matches(&json!({})));
        assert!(LabelSelector::from_tree(&json!({})).unwrap().is_everything());
    }
}
