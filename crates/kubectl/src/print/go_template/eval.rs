//! Nodes on an object: text.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use std::cmp::Ordering;

use super::parse::{Node, Pipe, Term, What};

type Result<T> = std::result::Result<T, String>;

pub fn run(nodes: &[Node], tree: &Value) -> Result<String> {
    let mut run = Run { out: String::new(), variables: vec![(String::new(), tree.clone())] };
    run.nodes(nodes, tree)?;
    Ok(run.out)
}

struct Run {
    out: String,
    /// The innermost last; the one without a name is `$`.
    variables: Vec<(String, Value)>,
}

impl Run {
    fn nodes(&mut self, nodes: &[Node], dot: &Value) -> Result<()> {
        for node in nodes {
            match node {
                Node::Text(text) => self.out.push_str(text),
                Node::Print(pipe) => {
                    let value = self.pipe(pipe, dot)?;
                    self.out.push_str(&shown(&value));
                }
                Node::Set(name, pipe) => {
                    let value = self.pipe(pipe, dot)?;
                    match self.variables.iter_mut().rev().find(|(known, _)| known == name) {
                        Some(known) => known.1 = value,
                        None => self.variables.push((name.clone(), value)),
                    }
                }
                Node::If(condition, body, otherwise) => {
                    let chosen = if is_true(&self.pipe(condition, dot)?) { body } else { otherwise };
                    self.scoped(chosen, dot)?;
                }
                Node::With(condition, body, otherwise) => match self.pipe(condition, dot)? {
                    value if is_true(&value) => self.scoped(body, &value)?,
                    _ => self.scoped(otherwise, dot)?,
                },
                Node::Range { names, over, body, otherwise } => self.range(names, over, (body, otherwise), dot)?,
            }
        }
        Ok(())
    }

    /// What is declared inside ends there.
    fn scoped(&mut self, nodes: &[Node], dot: &Value) -> Result<()> {
        let held = self.variables.len();
        self.nodes(nodes, dot)?;
        self.variables.truncate(held);
        Ok(())
    }

    fn range(
        &mut self,
        names: &[String],
        over: &Pipe,
        (body, otherwise): (&[Node], &[Node]),
        dot: &Value,
    ) -> Result<()> {
        let entries: Vec<(Value, Value)> = match self.pipe(over, dot)? {
            Value::Array(items) => items.into_iter().enumerate().map(|(at, item)| (at.into(), item)).collect(),
            Value::Object(map) => {
                let mut all: Vec<(String, Value)> = map.into_iter().collect();
                all.sort_by(|a, b| a.0.cmp(&b.0));
                all.into_iter().map(|(key, value)| (key.into(), value)).collect()
            }
            Value::Null => Vec::new(),
            other => return Err(format!("range can't iterate over {}", shown(&other))),
        };
        if entries.is_empty() {
            return self.scoped(otherwise, dot);
        }
        for (key, item) in entries {
            let held = self.variables.len();
            match names {
                [] => {}
                [only] => self.variables.push((only.clone(), item.clone())),
                [first, second, ..] => {
                    self.variables.extend([(first.clone(), key), (second.clone(), item.clone())]);
                }
            }
            self.nodes(body, &item)?;
            self.variables.truncate(held);
        }
        Ok(())
    }

    fn pipe(&self, pipe: &Pipe, dot: &Value) -> Result<Value> {
        let mut last = None;
        for call in pipe {
            last = Some(self.call(call, last, dot)?);
        }
        last.ok_or_else(|| "missing value for command".into())
    }

    fn call(&self, call: &[Term], piped: Option<Value>, dot: &Value) -> Result<Value> {
        let Some((first, rest)) = call.split_first() else { return Err("missing value for command".into()) };
        let What::Function(name) = &first.what else {
            return match rest.is_empty() && piped.is_none() {
                true => self.term(first, dot),
                false => Err("can't give argument to non-function".into()),
            };
        };
        let mut arguments = rest.iter().map(|term| self.term(term, dot)).collect::<Result<Vec<_>>>()?;
        arguments.extend(piped);
        function(name, &arguments)
    }

    fn term(&self, term: &Term, dot: &Value) -> Result<Value> {
        let value = match &term.what {
            What::Dot => dot.clone(),
            What::Literal(value) => value.clone(),
            What::Group(pipe) => self.pipe(pipe, dot)?,
            What::Function(name) => function(name, &[])?,
            What::Variable(name) => match self.variables.iter().rev().find(|(known, _)| known == name) {
                Some((_, value)) => value.clone(),
                None => return Err(format!("undefined variable \"${name}\"")),
            },
        };
        term.fields.iter().try_fold(value, |value, field| match &value {
            Value::Object(_) | Value::Null => Ok(value[field.as_str()].clone()),
            other => Err(format!("can't evaluate field {field} in {}", shown(other))),
        })
    }
}

fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}

/// As Go prints values with `%v`.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "<no value>".into(),
        other => inner(other),
    }
}

fn inner(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".into(),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(inner).collect::<Vec<_>>().join(" ")),
        Value::Object(map) => {
            let mut all: Vec<String> = map.iter().map(|(key, value)| format!("{key}:{}", inner(value))).collect();
            all.sort();
            format!("map[{}]", all.join(" "))
        }
        other => other.to_string(),
    }
}

fn function(name: &str, arguments: &[Value]) -> Result<Value> {
    let joined = |glue: &str| arguments.iter().map(shown).collect::<Vec<_>>().join(glue);
    match (name, arguments) {
        ("and", [_, ..]) => {
            Ok(arguments.iter().find(|value| !is_true(value)).unwrap_or(&arguments[arguments.len() - 1]).clone())
        }
        ("or", [_, ..]) => {
            Ok(arguments.iter().find(|value| is_true(value)).unwrap_or(&arguments[arguments.len() - 1]).clone())
        }
        ("not", [value]) => Ok((!is_true(value)).into()),
        ("len", [Value::String(text)]) => Ok(text.len().into()),
        ("len", [Value::Array(items)]) => Ok(items.len().into()),
        ("len", [Value::Object(map)]) => Ok(map.len().into()),
        ("index", [value, path @ ..]) => index(value, path),
        ("exists", [value, path @ ..]) => Ok(index(value, path).is_ok_and(|found| !found.is_null()).into()),
        ("print", _) => Ok(joined("").into()),
        ("println", _) => Ok(format!("{}\n", joined(" ")).into()),
        ("printf", [Value::String(format), values @ ..]) => Ok(formatted(format, values).into()),
        ("eq", [first, others @ ..]) if !others.is_empty() => Ok(others.iter().any(|other| other == first).into()),
        ("ne", [first, second]) => Ok((first != second).into()),
        ("lt" | "le" | "gt" | "ge", [first, second]) => {
            let order = order(first, second)?;
            Ok(match name {
                "lt" => order.is_lt(),
                "le" => order.is_le(),
                "gt" => order.is_gt(),
                _ => order.is_ge(),
            }
            .into())
        }
        ("base64decode", [Value::String(text)]) => {
            let bytes = STANDARD.decode(text).map_err(|why| format!("base64 decode failed: {why}"))?;
            Ok(String::from_utf8_lossy(&bytes).into_owned().into())
        }
        _ => Err(format!("the function {name:?} is not supported, or not with {}", joined(", "))),
    }
}

fn index(value: &Value, path: &[Value]) -> Result<Value> {
    path.iter().try_fold(value.clone(), |value, step| match (&value, step) {
        (Value::Object(map), Value::String(key)) => Ok(map.get(key).cloned().unwrap_or_default()),
        (Value::Array(items), Value::Number(at)) => {
            let at = at.as_u64().and_then(|at| usize::try_from(at).ok());
            at.and_then(|at| items.get(at))
                .cloned()
                .ok_or_else(|| format!("error calling index: index out of range: {step}"))
        }
        (Value::Null, _) => Err("error calling index: index of untyped nil".into()),
        _ => Err(format!("error calling index: cannot index {} with {step}", shown(&value))),
    })
}

fn order(first: &Value, second: &Value) -> Result<Ordering> {
    let compared = match (first, second) {
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        (Value::Number(a), Value::Number(b)) => a.as_f64().partial_cmp(&b.as_f64()),
        _ => None,
    };
    compared.ok_or_else(|| "incompatible types for comparison".into())
}

/// `%s`, `%v`, `%d` and `%q`; others stay as they are.
fn formatted(format: &str, values: &[Value]) -> String {
    let (mut out, mut values, mut letters) = (String::new(), values.iter(), format.chars());
    while let Some(letter) = letters.next() {
        if letter != '%' {
            out.push(letter);
            continue;
        }
        match letters.next() {
            Some('%') => out.push('%'),
            Some('q') => out.push_str(&values.next().map(|value| format!("{:?}", shown(value))).unwrap_or_default()),
            Some('s' | 'v' | 'd') => out.push_str(&values.next().map(shown).unwrap_or_default()),
            other => out.extend(std::iter::once('%').chain(other)),
        }
    }
    out
}
