//! What a plain scalar means in YAML 1.1, as Go's library reads it.

use serde_json::Value;

/// The value of a plain scalar, or `None` when it is a string. `Err` for infinities and such, which JSON lacks.
pub fn resolve(text: &str) -> Result<Option<Value>, String> {
    let value = match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" | "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => true.into(),
        "false" | "False" | "FALSE" | "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => false.into(),
        ".nan" | ".NaN" | ".NAN" => return Err("json: unsupported value: NaN".into()),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Err("json: unsupported value: +Inf".into()),
        "-.inf" | "-.Inf" | "-.INF" => return Err("json: unsupported value: -Inf".into()),
        _ => return Ok(number(text)),
    };
    Ok(Some(value))
}

/// Whether a string, written plainly, would be read as something else.
pub fn needs_quotes(text: &str) -> bool {
    !matches!(resolve(text), Ok(None)) || is_timestamp(text) || is_base_60(text)
}

fn number(text: &str) -> Option<Value> {
    let first = *text.as_bytes().first()?;
    if first == b'.' {
        return go_float(text).map(float);
    }
    if !first.is_ascii_digit() && first != b'+' && first != b'-' || is_timestamp(text) {
        return None;
    }
    let plain = text.replace('_', "");
    if let Some(value) = integer(&plain) {
        return Some(value);
    }
    if is_float(&plain) { plain.parse().ok().map(float) } else { None }
}

/// Go's ParseInt with base 0: `0x`, `0o`, `0b`, and a leading zero for octal.
fn integer(text: &str) -> Option<Value> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let number = u64::from_str_radix(digits, radix).ok()?;
    if !negative {
        return Some(number.into());
    }
    i64::try_from(-i128::from(number)).ok().map(Value::from)
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_float(text: &str) -> bool {
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = text.split_once(['e', 'E']).map_or((text, None), |(m, e)| (m, Some(e)));
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    let some_digits = |s: &str| !s.is_empty() && digits(s);
    let mantissa = match mantissa.split_once('.') {
        Some(("", fraction)) => some_digits(fraction),
        Some((whole, fraction)) => some_digits(whole) && digits(fraction),
        None => some_digits(mantissa),
    };
    mantissa && exponent.is_none_or(|e| some_digits(e.strip_prefix(['-', '+']).unwrap_or(e)))
}

fn go_float(text: &str) -> Option<f64> {
    if is_float(text) { text.parse().ok() } else { None }
}

/// JSON writes a float without fraction as an integer, and so it is read.
fn float(value: f64) -> Value {
    crate::schema::float(value).unwrap_or(Value::Null)
}

/// `2001-12-14`, `2001-12-14T21:59:43.10Z`, `2001-12-14 21:59:43`: dates that older readers take for such.
fn is_timestamp(text: &str) -> bool {
    let Some((year, rest)) = text.split_once('-') else { return false };
    if year.len() != 4 || !year.bytes().all(|b| b.is_ascii_digit()) {
        return false;
    }
    let (date, clock) = match rest.find(['T', 't', ' ']) {
        Some(at) => (&rest[..at], Some((rest.as_bytes()[at], &rest[at + 1..]))),
        None => (rest, None),
    };
    let part = |s: &str, max: u32| (1..=2).contains(&s.len()) && s.parse::<u32>().is_ok_and(|n| n <= max);
    let date = date.split_once('-').is_some_and(|(month, day)| part(month, 12) && part(day, 31));
    let clock = clock.is_none_or(|(separator, clock)| {
        let zone = clock.find(['Z', '+', '-']).unwrap_or(clock.len());
        let zoned = zone < clock.len();
        let seconds = clock[..zone].split_once('.').map_or(&clock[..zone], |(s, _)| s);
        let parts: Vec<_> = seconds.split(':').collect();
        parts.len() == 3 && parts.iter().all(|p| part(p, 59)) && zoned == (separator != b' ')
    });
    date && clock
}

/// `190:20:30`: sixty-based numbers of YAML 1.1, quoted for other readers.
fn is_base_60(text: &str) -> bool {
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    let mut parts = text.split(':');
    let first = parts.next().unwrap_or("");
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    if !first.starts_with(|c: char| c.is_ascii_digit()) || !digits(first) {
        return false;
    }
    let rest: Vec<_> = parts.collect();
    let sixty = |s: &str| (1..=2).contains(&s.len()) && s.parse::<u32>().is_ok_and(|n| n < 60) && !s.starts_with('+');
    let Some((last, middle)) = rest.split_last() else { return false };
    let last = last.split_once('.').map_or(*last, |(whole, fraction)| if digits(fraction) { whole } else { "x" });
    sixty(last) && middle.iter().all(|p| sixty(p))
}
