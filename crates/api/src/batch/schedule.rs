//! The five fields of a cron schedule, or a name such as `@daily`: whether they can be read, and why not in the words of
//! the library that upstream reads them with.
//!
//! When a schedule is next due is the controller's business, not said here.

use std::ops::RangeInclusive;

struct Part {
    range: RangeInclusive<u32>,
    names: &'static [&'static str],
}

const NO_NAMES: &[&str] = &[];
const MONTHS: &[&str] = &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const PARTS: [Part; 5] = [
    Part { range: 0..=59, names: NO_NAMES },
    Part { range: 0..=23, names: NO_NAMES },
    Part { range: 1..=31, names: NO_NAMES },
    Part { range: 1..=12, names: MONTHS },
    Part { range: 0..=6, names: DAYS },
];
const NAMED: [&str; 7] = ["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];

/// # Errors
/// What cannot be read.
pub fn check(schedule: &str) -> Result<(), String> {
    let mut text = schedule;
    if text.starts_with("TZ=") || text.starts_with("CRON_TZ=") {
        text = text.split_once(' ').map_or("", |(_, rest)| rest).trim();
    }
    if text.starts_with('@') {
        return named(text);
    }
    let fields: Vec<_> = text.split_whitespace().collect();
    if fields.len() != PARTS.len() {
        return Err(format!("expected exactly 5 fields, found {}: [{}]", fields.len(), fields.join(" ")));
    }
    fields.iter().zip(&PARTS).try_for_each(|(field, part)| field.split(',').try_for_each(|one| range(one, part)))
}

fn named(text: &str) -> Result<(), String> {
    if NAMED.contains(&text) {
        return Ok(());
    }
    match text.strip_prefix("@every ") {
        Some(every) => {
            machinery::duration::parse(every).map(drop).map_err(|why| format!("failed to parse duration {text}: {why}"))
        }
        None => Err(format!("unrecognized descriptor: {text}")),
    }
}

/// `*`, `5`, `1-5`, each maybe with `/step`.
fn range(text: &str, part: &Part) -> Result<(), String> {
    let (bounds, step) = match text.split_once('/') {
        Some((bounds, step)) if !step.contains('/') => (bounds, Some(step)),
        Some(_) => return Err(format!("too many slashes: {text}")),
        None => (text, None),
    };
    let (low, high) = if matches!(bounds, "*" | "?") {
        (*part.range.start(), *part.range.end())
    } else {
        match bounds.split_once('-') {
            Some((_, high)) if high.contains('-') => return Err(format!("too many hyphens: {text}")),
            Some((low, high)) => (number(low, part)?, number(high, part)?),
            None => {
                let only = number(bounds, part)?;
                (only, if step.is_some() { *part.range.end() } else { only })
            }
        }
    };
    let step = step.map_or(Ok(1), plain_number)?;
    if low < *part.range.start() {
        return Err(format!("beginning of range ({low}) below minimum ({}): {text}", part.range.start()));
    }
    if high > *part.range.end() {
        return Err(format!("end of range ({high}) above maximum ({}): {text}", part.range.end()));
    }
    if low > high {
        return Err(format!("beginning of range ({low}) beyond end of range ({high}): {text}"));
    }
    if step == 0 { Err(format!("step of range should be a positive number: {text}")) } else { Ok(()) }
}

fn number(text: &str, part: &Part) -> Result<u32, String> {
    let name = text.to_lowercase();
    match part.names.iter().position(|known| *known == name) {
        Some(index) => Ok(part.range.start() + u32::try_from(index).unwrap_or(0)),
        None => plain_number(text),
    }
}

fn plain_number(text: &str) -> Result<u32, String> {
    let read: Result<i64, _> = text.parse();
    match read {
        Ok(number) if number < 0 => Err(format!("negative number ({number}) not allowed: {text}")),
        Ok(number) => u32::try_from(number).map_err(|why| format!("failed to parse int from {text}: {why}")),
        Err(_) => Err(format!("failed to parse int from {text}: strconv.Atoi: parsing {text:?}: invalid syntax")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules() {
        for good in
            ["* * * * *", "*/5 0-6 1,15 jan-mar mon", "@hourly", "@every 1h30m", "TZ=UTC 0 0 * * *", "5/15 * * * *"]
        {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        let bad = [
            ("* * * *", "expected exactly 5 fields, found 4: [* * * *]"),
            ("60 * * * *", "end of range (60) above maximum (59): 60"),
            ("a * * * *", "failed to parse int from a: strconv.Atoi: parsing \"a\": invalid syntax"),
            ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
            ("@often", "unrecognized descriptor: @often"),
        ];
        for (schedule, message) in bad {
            assert_eq!(check(schedule), Err(message.to_owned()));
        }
    }
}
