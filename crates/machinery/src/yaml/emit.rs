//! Writing trees: lists at the indentation of their key, keys in Go's natural order.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use super::scalar;

const STEP: usize = 2;
/// Longer keys are written with a question mark.
const SIMPLE_KEY_MAX: usize = 128;

/// The document, with a final newline, as kubectl prints it.
pub fn emit(tree: &Value) -> String {
    let mut out = String::with_capacity(1024);
    match tree {
        Value::Object(map) if !map.is_empty() => mapping(&mut out, map, 0),
        Value::Array(items) if !items.is_empty() => sequence(&mut out, items, 0),
        other => scalar(&mut out, other, STEP),
    }
    // A block that keeps its final breaks ends with them.
    out.push('\n');
    out
}

fn pad(out: &mut String, indent: usize) {
    out.extend(std::iter::repeat_n(' ', indent));
}

fn mapping(out: &mut String, map: &Map<String, Value>, indent: usize) {
    let mut entries: Vec<_> = map.iter().collect();
    entries.sort_by(|(a, _), (b, _)| natural(a, b));
    for (i, (key, value)) in entries.into_iter().enumerate() {
        if i > 0 {
            out.push('\n');
            pad(out, indent);
        }
        entry(out, key, value, indent);
    }
}

fn entry(out: &mut String, key: &str, value: &Value, indent: usize) {
    if key.len() > SIMPLE_KEY_MAX || key.contains('\n') {
        out.push_str("? ");
        scalar::write(out, key, indent + STEP);
        out.push('\n');
        pad(out, indent);
    } else {
        scalar::write_key(out, key);
    }
    out.push(':');
    match value {
        Value::Object(map) if !map.is_empty() => {
            out.push('\n');
            pad(out, indent + STEP);
            mapping(out, map, indent + STEP);
        }
        Value::Array(items) if !items.is_empty() => {
            out.push('\n');
            pad(out, indent);
            sequence(out, items, indent);
        }
        other => {
            out.push(' ');
            scalar(out, other, indent + STEP);
        }
    }
}

fn sequence(out: &mut String, items: &[Value], indent: usize) {
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            out.push('\n');
            pad(out, indent);
        }
        out.push_str("- ");
        match item {
            Value::Object(map) if !map.is_empty() => mapping(out, map, indent + STEP),
            Value::Array(items) if !items.is_empty() => sequence(out, items, indent + STEP),
            other => scalar(out, other, indent + STEP),
        }
    }
}

fn scalar(out: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Number(number) => out.push_str(&shown(number)),
        Value::String(text) => scalar::write(out, text, indent),
        Value::Array(_) => out.push_str("[]"),
        Value::Object(_) => out.push_str("{}"),
    }
}

/// Go's `%g`: the shortest digits, an exponent from 21 places on.
fn shown(number: &serde_json::Number) -> String {
    match number.as_f64() {
        Some(value) if number.is_f64() => go_float(value),
        _ => number.to_string(),
    }
}

fn go_float(value: f64) -> String {
    let text = format!("{value:e}");
    let Some((mantissa, exponent)) = text.split_once('e') else { return text };
    match exponent.parse::<i32>() {
        Ok(power) if (-4..21).contains(&power) => format!("{value}"),
        Ok(power) => format!("{mantissa}e{}{:02}", if power < 0 { '-' } else { '+' }, power.abs()),
        Err(_) => text,
    }
}

/// Go's order of keys: runs of digits compare as numbers, letters come after everything else.
fn natural(a: &str, b: &str) -> Ordering {
    let (x, y): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let Some(at) = x.iter().zip(&y).position(|(l, r)| l != r) else { return x.len().cmp(&y.len()) };
    let (l, r) = (x[at], y[at]);
    match (l.is_alphabetic(), r.is_alphabetic()) {
        (true, true) => return l.cmp(&r),
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        (false, false) => {}
    }
    let led = leading(&x, at, l, r);
    let ((n, n_end), (m, m_end)) = (run(&x, at, led), run(&y, at, led));
    n.cmp(&m).then(n_end.cmp(&m_end)).then(l.cmp(&r))
}

/// Whether a difference at a zero is inside a number that began before.
fn leading(x: &[char], at: usize, l: char, r: char) -> u64 {
    let before = x[..at].iter().rev().take_while(|c| c.is_ascii_digit());
    u64::from((l == '0' || r == '0') && before.into_iter().any(|c| *c != '0'))
}

/// The number that starts here, and where it ends.
fn run(x: &[char], at: usize, start: u64) -> (u64, usize) {
    let digits = x[at..].iter().take_while(|c| c.is_ascii_digit());
    let (mut number, mut end) = (start, at);
    for digit in digits {
        number = number.saturating_mul(10).saturating_add(u64::from(*digit) - u64::from('0'));
        end += 1;
    }
    (number, end)
}
