//! Times of the API (RFC 3339, UTC, to the second or the microsecond) and ages as people read them.

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

const LAYOUT: &str = "2006-01-02T15:04:05Z07:00";
const LAYOUT_MICRO: &str = "2006-01-02T15:04:05.000000Z07:00";

/// `2024-01-31T10:00:00Z`, the form of `metav1.Time`; parts of seconds are cut.
pub fn format(time: Timestamp) -> String {
    let t = Offset::UTC.to_datetime(time);
    format!("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", t.year(), t.month(), t.day(), t.hour(), t.minute(), t.second())
}

/// `2024-01-31T10:00:00.000000Z`, the form of `metav1.MicroTime`.
pub fn format_micro(time: Timestamp) -> String {
    let seconds = format(time);
    let micros = Offset::UTC.to_datetime(time).subsec_nanosecond() / 1000;
    format!("{}.{micros:06}Z", seconds.trim_end_matches('Z'))
}

/// Reads RFC 3339 with any offset and any number of digits after the second.
///
/// # Errors
/// The message of Go's parser.
pub fn parse(text: &str) -> Result<Timestamp, String> {
    Reader { whole: text, rest: text, layout: LAYOUT }.read(false)
}

/// Reads a `MicroTime`; the digits after the second are required, six of them.
///
/// # Errors
/// The message of Go's parser.
pub fn parse_micro(text: &str) -> Result<Timestamp, String> {
    Reader { whole: text, rest: text, layout: LAYOUT_MICRO }.read(true)
}

/// The time at a string of a tree; anything else, or no time, gives `None`.
pub fn from_tree(value: &serde_json::Value) -> Option<Timestamp> {
    value.as_str().and_then(|text| parse(text).ok())
}

/// A `metav1.Time` as Go would write it again; canonical ones are borrowed.
///
/// # Errors
/// The message of Go's parser.
pub fn canonical(text: &str) -> Result<Cow<'_, str>, String> {
    let time = parse(text)?;
    Ok(if text.len() == 20 && text.ends_with('Z') { Cow::Borrowed(text) } else { Cow::Owned(format(time)) })
}

/// A `metav1.MicroTime` as Go would write it again; canonical ones are borrowed.
///
/// # Errors
/// The message of Go's parser.
pub fn canonical_micro(text: &str) -> Result<Cow<'_, str>, String> {
    let time = parse_micro(text)?;
    Ok(if text.len() == 27 && text.ends_with('Z') { Cow::Borrowed(text) } else { Cow::Owned(format_micro(time)) })
}

/// Walks a text along the parts of Go's layout, to fail where Go fails.
struct Reader<'a> {
    whole: &'a str,
    rest: &'a str,
    layout: &'static str,
}

impl<'a> Reader<'a> {
    fn read(mut self, micro: bool) -> Result<Timestamp, String> {
        let year = self.number(4, "2006", 0, 9999, "year")?;
        self.literal("-")?;
        let month = self.number(2, "01", 1, 12, "month")?;
        self.literal("-")?;
        let day = self.number(2, "02", 1, 31, "day")?;
        self.literal("T")?;
        let hour = self.number(2, "15", 0, 23, "hour")?;
        self.literal(":")?;
        let minute = self.number(2, "04", 0, 59, "minute")?;
        self.literal(":")?;
        let second = self.number(2, "05", 0, 59, "second")?;
        let nanos = if micro { self.micros()? } else { self.fraction() };
        let offset = self.offset()?;
        if !self.rest.is_empty() {
            return Err(format!("parsing time {:?}: extra text: {:?}", self.whole, self.rest));
        }
        let (month, day) = (narrow(month), narrow(day));
        let at = DateTime::new(
            i16::try_from(year).unwrap_or(0),
            month,
            day,
            narrow(hour),
            narrow(minute),
            narrow(second),
            nanos,
        )
        .map_err(|_| self.out_of_range("day"))?;
        let offset = Offset::from_seconds(offset).map_err(|_| self.out_of_range("time zone offset hour"))?;
        offset.to_timestamp(at).map_err(|_| self.out_of_range("year"))
    }

    fn cannot(&self, element: &str) -> String {
        format!("parsing time {:?} as {:?}: cannot parse {:?} as {element:?}", self.whole, self.layout, self.rest)
    }

    fn out_of_range(&self, what: &str) -> String {
        format!("parsing time {:?}: {what} out of range", self.whole)
    }

    fn literal(&mut self, text: &str) -> Result<(), String> {
        self.rest = self.rest.strip_prefix(text).ok_or_else(|| self.cannot(text))?;
        Ok(())
    }

    fn digits(&mut self, count: usize, element: &str) -> Result<&'a str, String> {
        let digits = self.rest.get(..count).filter(|d| d.bytes().all(|b| b.is_ascii_digit()));
        let digits = digits.ok_or_else(|| self.cannot(element))?;
        self.rest = &self.rest[count..];
        Ok(digits)
    }

    fn number(&mut self, count: usize, element: &str, min: i32, max: i32, what: &str) -> Result<i32, String> {
        let number = self.digits(count, element)?.parse().unwrap_or(-1);
        if (min..=max).contains(&number) { Ok(number) } else { Err(self.out_of_range(what)) }
    }

    fn micros(&mut self) -> Result<i32, String> {
        let before = self.rest;
        let digits =
            self.rest.strip_prefix('.').and_then(|r| r.get(..6)).filter(|d| d.bytes().all(|b| b.is_ascii_digit()));
        let digits = digits.ok_or_else(|| self.cannot(".000000"))?;
        self.rest = &before[7..];
        Ok(digits.parse::<i32>().unwrap_or(0) * 1000)
    }

    /// An optional fraction, beyond what the layout says; digits after the ninth are cut.
    fn fraction(&mut self) -> i32 {
        let Some(after) = self.rest.strip_prefix(['.', ',']) else { return 0 };
        let count = after.bytes().take_while(u8::is_ascii_digit).count();
        if count == 0 {
            return 0;
        }
        self.rest = &after[count..];
        let padded = after[..count].bytes().chain(std::iter::repeat(b'0')).take(9);
        padded.fold(0, |n, digit| n * 10 + i32::from(digit - b'0'))
    }

    fn offset(&mut self) -> Result<i32, String> {
        if let Some(rest) = self.rest.strip_prefix('Z') {
            self.rest = rest;
            return Ok(0);
        }
        let sign = match self.rest.as_bytes().first() {
            Some(b'+') => 1,
            Some(b'-') => -1,
            _ => return Err(self.cannot("Z07:00")),
        };
        let text = self.rest.get(1..6).ok_or_else(|| self.cannot("Z07:00"))?;
        let (hours, minutes) = text.split_once(':').ok_or_else(|| self.cannot("Z07:00"))?;
        let part = |s: &str| s.parse::<i32>().map_err(|_| self.cannot("Z07:00"));
        let seconds = part(hours)? * 3600 + part(minutes)? * 60;
        self.rest = &self.rest[6..];
        Ok(sign * seconds)
    }
}

/// Two digits always fit.
fn narrow(number: i32) -> i8 {
    i8::try_from(number).unwrap_or(0)
}

/// How long ago, as `kubectl get` prints an AGE: `5s`, `3m20s`, `2d`, and `<unknown>` for no time.
pub fn age(since: Option<Timestamp>, now: Timestamp) -> String {
    since.map_or_else(|| "<unknown>".into(), |since| human(now.as_second() - since.as_second()))
}

/// A number of seconds with at most two units, coarser as it grows.
pub fn human(seconds: i64) -> String {
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    let (days, years) = (hours / 24, hours / 24 / 365);
    let two = |first: i64, a: &str, second: i64, b: &str| match second {
        0 => format!("{first}{a}"),
        _ => format!("{first}{a}{second}{b}"),
    };
    match seconds {
        i64::MIN..-1 => "<invalid>".into(),
        -1 => "0s".into(),
        0..120 => format!("{seconds}s"),
        _ if minutes < 10 => two(minutes, "m", seconds % 60, "s"),
        _ if minutes < 180 => format!("{minutes}m"),
        _ if hours < 8 => two(hours, "h", minutes % 60, "m"),
        _ if hours < 48 => format!("{hours}h"),
        _ if hours < 192 => two(days, "d", hours % 24, "h"),
        _ if years < 2 => format!("{days}d"),
        _ if years < 8 => two(years, "y", days % 365, "d"),
        _ => format!("{years}y"),
    }
}

/// A number of seconds in one unit, as some older columns print it.
pub fn human_short(seconds: i64) -> String {
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    match seconds {
        i64::MIN..-1 => "<invalid>".into(),
        -1 => "0s".into(),
        0..60 => format!("{seconds}s"),
        _ if minutes < 60 => format!("{minutes}m"),
        _ if hours < 24 => format!("{hours}h"),
        _ if hours < 24 * 365 => format!("{}d", hours / 24),
        _ => format!("{}y", hours / 24 / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_go_would() {
        assert_eq!(canonical("2024-01-31T10:00:00Z").unwrap(), "2024-01-31T10:00:00Z");
        assert_eq!(canonical("2024-01-31T10:00:00.123+02:00").unwrap(), "2024-01-31T08:00:00Z");
        assert_eq!(canonical_micro("2024-01-31T10:00:00.000001Z").unwrap(), "2024-01-31T10:00:00.000001Z");
        assert_eq!(canonical_micro("2024-01-31T10:00:00.500000+01:00").unwrap(), "2024-01-31T09:00:00.500000Z");
    }

    #[test]
    fn bad_times_fail_where_go_fails() {
        let message = |text: &str| parse(text).unwrap_err();
        let layout = "as \"2006-01-02T15:04:05Z07:00\": cannot parse";
        assert_eq!(message("x"), format!("parsing time \"x\" {layout} \"x\" as \"2006\""));
        assert_eq!(message("2024-1-1"), format!("parsing time \"2024-1-1\" {layout} \"1-1\" as \"01\""));
        assert_eq!(message("2024-02-30T00:00:00Z"), "parsing time \"2024-02-30T00:00:00Z\": day out of range");
        assert_eq!(message("2024-13-01T00:00:00Z"), "parsing time \"2024-13-01T00:00:00Z\": month out of range");
    }

    #[test]
    fn ages_have_at_most_two_units() {
        let cases = [(5, "5s"), (119, "119s"), (120, "2m"), (200, "3m20s"), (3600, "60m"), (4 * 3600 + 60, "4h1m")];
        for (seconds, text) in cases {
            assert_eq!(human(seconds), text);
        }
        assert_eq!(
            (human(86_400), human(2 * 86_400 + 3600), human(9 * 86_400)),
            ("24h".into(), "2d1h".into(), "9d".into())
        );
        assert_eq!(human(400 * 86_400), "400d");
        assert_eq!(human(3 * 365 * 86_400 + 86_400), "3y1d");
    }
}
