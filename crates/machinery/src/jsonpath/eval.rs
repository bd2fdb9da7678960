//! Carrying templates out.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::Value;

use super::{Filter, Piece, Slice, Step, Template};

type Found<'a> = Vec<Cow<'a, Value>>;

impl Template {
    /// The values of each piece, in order; texts are values too. Missing fields give none, or are an error.
    ///
    /// # Errors
    /// Upstream's message: `metadata is not found`, `array index out of bounds: …`.
    pub fn find<'a>(&'a self, data: &'a Value, allow_missing: bool) -> Result<Vec<Found<'a>>, String> {
        let mut out = Vec::new();
        pieces(&self.0, Cow::Borrowed(data), allow_missing, &mut out)?;
        Ok(out)
    }

    /// The text that the template makes of the data.
    ///
    /// # Errors
    /// As for [`Template::find`].
    pub fn print(&self, data: &Value, allow_missing: bool) -> Result<String, String> {
        let mut text = String::new();
        for found in self.find(data, allow_missing)? {
            for (i, value) in found.iter().enumerate() {
                if i > 0 {
                    text.push(' ');
                }
                text.push_str(&shown(value));
            }
        }
        Ok(text)
    }
}

/// A value as it is printed: texts bare, all else as JSON (null too, which was `<nil>` before 1.29).
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn pieces<'a>(list: &'a [Piece], data: Cow<'a, Value>, missing: bool, out: &mut Vec<Found<'a>>) -> Result<(), String> {
    for piece in list {
        match piece {
            Piece::Text(text) => out.push(vec![Cow::Owned(Value::String(text.clone()))]),
            Piece::Action(steps) => out.push(walk(steps, vec![data.clone()], missing)?),
            Piece::Range(steps, body) => {
                for value in walk(steps, vec![data.clone()], missing)? {
                    pieces(body, value, missing, out)?;
                }
            }
        }
    }
    Ok(())
}

fn walk<'a>(steps: &'a [Step], from: Found<'a>, missing: bool) -> Result<Found<'a>, String> {
    steps.iter().try_fold(from, |values, step| match step {
        Step::Field(name) => field(name, values, missing),
        Step::Wildcard => Ok(values.into_iter().flat_map(below).collect()),
        Step::Recursive => {
            let mut out = Vec::new();
            values.into_iter().for_each(|value| descend(value, &mut out));
            Ok(out)
        }
        Step::Slice(slice) => slices(*slice, values),
        Step::Union(parts) => {
            let all = parts.iter().map(|steps| walk(steps, values.clone(), missing));
            Ok(all.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
        }
        Step::Filter(filter) => filtered(filter, values, missing),
        Step::Literal(value) => Ok(values.iter().map(|_| Cow::Borrowed(value)).collect()),
    })
}

fn field<'a>(name: &str, values: Found<'a>, missing: bool) -> Result<Found<'a>, String> {
    if values.is_empty() {
        return Ok(values);
    }
    let found: Found<'a> = values.into_iter().filter_map(|value| member(value, name)).collect();
    if found.is_empty() && !missing { Err(format!("{name} is not found")) } else { Ok(found) }
}

fn member<'a>(value: Cow<'a, Value>, name: &str) -> Option<Cow<'a, Value>> {
    match value {
        Cow::Borrowed(value) => value.get(name).map(Cow::Borrowed),
        Cow::Owned(value) => value.get(name).cloned().map(Cow::Owned),
    }
}

/// The items of a list, the values of a map.
fn below(value: Cow<'_, Value>) -> Found<'_> {
    match value {
        Cow::Borrowed(Value::Array(items)) => items.iter().map(Cow::Borrowed).collect(),
        Cow::Borrowed(Value::Object(map)) => map.values().map(Cow::Borrowed).collect(),
        Cow::Owned(Value::Array(items)) => items.into_iter().map(Cow::Owned).collect(),
        Cow::Owned(Value::Object(map)) => map.into_iter().map(|(_, v)| Cow::Owned(v)).collect(),
        _ => Vec::new(),
    }
}

fn descend<'a>(value: Cow<'a, Value>, out: &mut Found<'a>) {
    let children = below(value.clone());
    if !children.is_empty() {
        out.push(value);
        children.into_iter().for_each(|child| descend(child, out));
    }
}

fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(n) if n.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

fn slices(slice: Slice, values: Found<'_>) -> Result<Found<'_>, String> {
    let mut out = Vec::new();
    for value in values.into_iter().filter(|v| !v.is_null()) {
        if !value.is_array() {
            return Err(format!("{} is not array or slice", go_type(&value)));
        }
        let items = below(value);
        let (from, to) = bounds(slice, i64::try_from(items.len()).unwrap_or(i64::MAX))?;
        let step = match slice.step {
            Some(step) if step <= 0 => return Err("step must be > 0".into()),
            step => usize::try_from(step.unwrap_or(1)).unwrap_or(1),
        };
        out.extend(items.into_iter().skip(from).take(to - from).step_by(step));
    }
    Ok(out)
}

/// Where a slice begins and ends in a list of this length; negative positions count from the end.
fn bounds(slice: Slice, length: i64) -> Result<(usize, usize), String> {
    let mut start = slice.start.unwrap_or(0);
    if start < 0 {
        start += length;
    }
    let mut end = slice.end.unwrap_or(length);
    if end < 0 || end == 0 && slice.single {
        end += length;
    }
    if start == end {
        return Ok((0, 0));
    }
    let outside = |index: i64| Err(format!("array index out of bounds: index {index}, length {length}"));
    if start >= length || start < 0 {
        return outside(start);
    }
    if end > length || end < 0 {
        return outside(end - 1);
    }
    if start > end {
        return Err(format!("starting index {start} is greater than ending index {end}"));
    }
    Ok((usize::try_from(start).unwrap_or(0), usize::try_from(end).unwrap_or(0)))
}

fn filtered<'a>(filter: &'a Filter, values: Found<'a>, missing: bool) -> Result<Found<'a>, String> {
    let mut out = Vec::new();
    for value in values {
        if !value.is_array() {
            return Err(format!("{} is not array or slice and cannot be filtered", shown(&value)));
        }
        for item in below(value) {
            if passes(filter, item.clone(), missing)? {
                out.push(item);
            }
        }
    }
    Ok(out)
}

fn passes<'a>(filter: &'a Filter, item: Cow<'a, Value>, missing: bool) -> Result<bool, String> {
    let lefts = walk(&filter.left, vec![item.clone()], missing);
    let Some((operator, right)) = &filter.comparison else { return Ok(lefts.is_ok_and(|l| !l.is_empty())) };
    let rights = walk(right, vec![item], missing)?;
    let lefts = lefts?;
    match (lefts.as_slice(), rights.as_slice()) {
        ([], _) | (_, []) => Ok(false),
        ([left], [right]) => compare(operator, left, right),
        _ => Err("can only compare one element at a time".into()),
    }
}

fn compare(operator: &str, left: &Value, right: &Value) -> Result<bool, String> {
    let order = match (left, right) {
        (Value::String(l), Value::String(r)) => Some(l.cmp(r)),
        (Value::Number(l), Value::Number(r)) => l.as_f64().partial_cmp(&r.as_f64()),
        (Value::Bool(l), Value::Bool(r)) if matches!(operator, "==" | "!=") => Some(l.cmp(r)),
        (Value::Bool(_), Value::Bool(_)) => return Err("invalid type for comparison".into()),
        _ => return Err("incompatible types for comparison".into()),
    };
    Ok(match operator {
        "==" => order == Some(Ordering::Equal),
        "!=" => order != Some(Ordering::Equal),
        "<" => order == Some(Ordering::Less),
        ">" => order == Some(Ordering::Greater),
        "<=" => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        ">=" => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
        other => return Err(format!("unrecognized filter operator {other}")),
    })
}
