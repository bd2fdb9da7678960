//! Quantities: exact numbers with a decimal (`500m`, `2G`), binary (`1Gi`) or exponent (`1e3`) suffix.
//!
//! Held as a whole number of nanos, the finest that upstream keeps, so there is no rounding but on parsing
//! (up, away from zero). Source: <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/>.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

const NANO: i128 = 1_000_000_000;
/// Larger ones are capped: 10^29, far over what upstream's 64 bits hold.
const NANOS_MAX: i128 = 100_000_000_000_000_000_000_000_000_000_000_000_000;
/// Binary quantities are capped at 2^63 - 1, as upstream does.
const BINARY_NANOS_MAX: i128 = (i64::MAX as i128) * NANO;
/// Digits that upstream's fast path takes; within it a quantity keeps the way it was written.
const FAST_DIGITS: i64 = 18;

/// How a quantity is written; it remembers how it was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    DecimalExponent,
    BinarySi,
    #[default]
    DecimalSi,
}

/// A quantity. Compares by value, whatever the format.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quantity {
    nanos: i128,
    format: Format,
}

/// Why a text is not a quantity, in upstream's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    #[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
    Format,
    #[error("unable to parse numeric part of quantity")]
    Numeric,
    #[error("unable to parse quantity's suffix")]
    Suffix,
}

/// A quantity's text taken apart: leading zeros are gone from `whole`, which is never empty.
struct Parts<'a> {
    positive: bool,
    whole: &'a str,
    fraction: &'a str,
    suffix: &'a str,
}

/// What a suffix multiplies with: 10^power or 2^power.
#[derive(Clone, Copy)]
struct Factor {
    format: Format,
    power: i32,
}

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let parts = split(text)?;
        let factor = interpret(parts.suffix).ok_or(QuantityError::Suffix)?;
        Ok(assemble(&parts, factor))
    }
}

/// The form in which Go would write this quantity again; what is canonical already is borrowed.
///
/// # Errors
/// The text is not a quantity.
pub fn canonical(text: &str) -> Result<Cow<'_, str>, QuantityError> {
    let parts = split(text)?;
    let factor = interpret(parts.suffix).ok_or(QuantityError::Suffix)?;
    if text == "0" || keeps_its_text(&parts, factor) {
        return Ok(Cow::Borrowed(text));
    }
    Ok(Cow::Owned(assemble(&parts, factor).to_string()))
}

/// Upstream remembers the text of quantities that look canonical at a glance, and writes it again.
fn keeps_its_text(parts: &Parts<'_>, factor: Factor) -> bool {
    let (whole, fraction) = (parts.whole, parts.fraction);
    let digits = i64::try_from(whole.len() + fraction.len()).unwrap_or(i64::MAX);
    if factor.format == Format::BinarySi {
        let room = 15 - digits - i64::from(factor.power) * 3 / 10 - 1;
        let low_bits = whole.parse::<i64>().unwrap_or(0) & 7;
        return fraction.is_empty() && room >= 0 && low_bits != 0;
    }
    let scale = i64::from(factor.power) - i64::try_from(fraction.len()).unwrap_or(i64::MAX);
    let ends = if fraction.len() >= 3 { fraction.ends_with("000") } else { ends_in_thousands(whole, fraction) };
    FAST_DIGITS >= digits && scale >= -9 && scale % 3 == 0 && !ends && !whole.starts_with('0')
}

fn ends_in_thousands(whole: &str, fraction: &str) -> bool {
    fraction.bytes().chain(whole.bytes().rev()).take(3).filter(|b| *b == b'0').count() == 3
}

fn split(text: &str) -> Result<Parts<'_>, QuantityError> {
    let (positive, rest) = match text.as_bytes().first() {
        None => return Err(QuantityError::Format),
        Some(b'-') => (false, &text[1..]),
        Some(b'+') => (true, &text[1..]),
        Some(_) => (true, text),
    };
    let digits = |s: &str| s.bytes().take_while(u8::is_ascii_digit).count();
    let significant = rest.trim_start_matches('0');
    let (whole, after) = significant.split_at(digits(significant));
    let (fraction, suffix) = match after.strip_prefix('.') {
        Some(after) => after.split_at(digits(after)),
        None => ("", after),
    };
    let letters = suffix.bytes().take_while(|b| b"eEinumkKMGTP".contains(b)).count();
    let tail = &suffix[letters..];
    let tail = tail.strip_prefix(['-', '+']).unwrap_or(tail);
    // A bare sign or dot reads as zero upstream; a stray character in the end never does.
    if digits(tail) != tail.len() {
        return Err(QuantityError::Format);
    }
    Ok(Parts { positive, whole: if whole.is_empty() { "0" } else { whole }, fraction, suffix })
}

fn interpret(suffix: &str) -> Option<Factor> {
    let decimal = |power| Some(Factor { format: Format::DecimalSi, power });
    let binary = |power| Some(Factor { format: Format::BinarySi, power });
    match suffix {
        "n" => decimal(-9),
        "u" => decimal(-6),
        "m" => decimal(-3),
        "" => decimal(0),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Ki" => binary(10),
        "Mi" => binary(20),
        "Gi" => binary(30),
        "Ti" => binary(40),
        "Pi" => binary(50),
        "Ei" => binary(60),
        _ => {
            let power = suffix.strip_prefix(['e', 'E'])?.parse::<i32>().ok()?;
            Some(Factor { format: Format::DecimalExponent, power })
        }
    }
}

fn assemble(parts: &Parts<'_>, factor: Factor) -> Quantity {
    let Factor { mut format, power } = factor;
    let digits: i128 = parse_digits(parts.whole, parts.fraction);
    let fraction = i32::try_from(parts.fraction.len().min(FRACTION_DIGITS_MAX)).unwrap_or(0);
    let mut nanos = if format == Format::BinarySi {
        scale_up(digits.saturating_mul(1 << power), 9 - fraction)
    } else {
        scale_up(digits, power.saturating_add(9 - fraction))
    };
    if format == Format::BinarySi {
        nanos = nanos.min(BINARY_NANOS_MAX);
        // Below one a binary quantity is written in thousandths.
        if nanos > 0 && nanos < NANO {
            format = Format::DecimalSi;
        }
    }
    Quantity { nanos: if parts.positive { nanos } else { -nanos }, format }
}

/// Digits after the point that can still matter for rounding up to a nano.
const FRACTION_DIGITS_MAX: usize = 18;

fn parse_digits(whole: &str, fraction: &str) -> i128 {
    let kept = &fraction[..fraction.len().min(FRACTION_DIGITS_MAX)];
    let digits = whole.bytes().chain(kept.bytes());
    digits.fold(0i128, |n, digit| n.saturating_mul(10).saturating_add(i128::from(digit - b'0')))
}

/// `n * 10^power`, rounded up and capped; `n` is not negative.
fn scale_up(n: i128, power: i32) -> i128 {
    if n == 0 {
        return 0;
    }
    match u32::try_from(power) {
        Ok(power) => 10i128.checked_pow(power).and_then(|f| n.checked_mul(f)).map_or(NANOS_MAX, |v| v.min(NANOS_MAX)),
        Err(_) => 10i128.checked_pow(power.unsigned_abs()).map_or(1, |f| round_up(n, f)),
    }
}

/// Division that rounds away from zero.
fn round_up(n: i128, by: i128) -> i128 {
    n / by + if n % by == 0 { 0 } else { n.signum() }
}

fn clamp(n: i128) -> i64 {
    i64::try_from(n).unwrap_or(if n < 0 { i64::MIN } else { i64::MAX })
}

impl Quantity {
    pub fn new(value: i64, format: Format) -> Self {
        Self { nanos: i128::from(value) * NANO, format }
    }

    /// A number of thousandths, as CPU is counted.
    pub fn from_milli(milli: i64, format: Format) -> Self {
        Self { nanos: i128::from(milli) * (NANO / 1000), format }
    }

    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        text.parse()
    }

    /// A JSON string or number.
    ///
    /// # Errors
    /// It is something else, or not a quantity.
    pub fn from_tree(value: &serde_json::Value) -> Result<Self, QuantityError> {
        match value {
            serde_json::Value::String(text) => text.parse(),
            serde_json::Value::Number(number) => number.to_string().parse(),
            _ => Err(QuantityError::Format),
        }
    }

    pub fn format(&self) -> Format {
        self.format
    }

    /// In whole units, rounded up, capped at 64 bits.
    pub fn value(&self) -> i64 {
        clamp(round_up(self.nanos, NANO))
    }

    /// In thousandths, rounded up, capped at 64 bits.
    pub fn milli_value(&self) -> i64 {
        clamp(round_up(self.nanos, NANO / 1000))
    }

    #[expect(clippy::cast_precision_loss, reason = "an approximation is asked for")]
    pub fn as_f64(&self) -> f64 {
        self.nanos as f64 / NANO as f64
    }

    pub fn is_zero(&self) -> bool {
        self.nanos == 0
    }

    /// -1, 0 or 1.
    pub fn sign(&self) -> i32 {
        match self.nanos.cmp(&0) {
            Ordering::Less => -1,
            Ordering::Equal => 0,
            Ordering::Greater => 1,
        }
    }

    /// Adds; a zero takes the other's format.
    pub fn add(&mut self, other: &Quantity) {
        if self.is_zero() {
            self.format = other.format;
        }
        self.nanos = self.nanos.saturating_add(other.nanos);
    }

    /// Subtracts; a zero takes the other's format.
    pub fn sub(&mut self, other: &Quantity) {
        if self.is_zero() {
            self.format = other.format;
        }
        self.nanos = self.nanos.saturating_sub(other.nanos);
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

/// Canonical: no fraction, the largest suffix that loses nothing.
impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nanos == 0 {
            return f.write_str("0");
        }
        if self.format == Format::BinarySi && self.nanos.abs() >= 1024 * NANO {
            return binary(self.nanos, f);
        }
        decimal(self.nanos, self.format, f)
    }
}

fn binary(nanos: i128, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    const SUFFIXES: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    let mut number = round_up(nanos, NANO);
    let mut suffix = 0;
    while number % 1024 == 0 && suffix < SUFFIXES.len() - 1 {
        number /= 1024;
        suffix += 1;
    }
    write!(f, "{number}{}", SUFFIXES[suffix])
}

fn decimal(nanos: i128, format: Format, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    const SUFFIXES: [&str; 10] = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
    let mut number = nanos;
    let mut suffix = 0;
    while number % 1000 == 0 && suffix < SUFFIXES.len() - 1 {
        number /= 1000;
        suffix += 1;
    }
    let power = 3 * i32::try_from(suffix).unwrap_or(0) - 9;
    match format {
        Format::DecimalExponent if power != 0 => write!(f, "{number}e{power}"),
        Format::DecimalExponent => write!(f, "{number}"),
        _ => write!(f, "{number}{}", SUFFIXES[suffix]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_is_what_go_writes_again() {
        let cases = [
            ("0", "0"),
            ("0.5", "500m"),
            ("1024Mi", "1Gi"),
            ("1.5Gi", "1536Mi"),
            ("1.5", "1500m"),
            ("100m", "100m"),
            ("1000m", "1"),
            ("1e3", "1e3"),
            ("1E6", "1E6"),
            ("0.1m", "100u"),
            ("1000", "1k"),
            ("1Ki", "1Ki"),
            ("512", "512"),
            ("1024", "1024"),
            ("8Gi", "8Gi"),
            ("16384Ki", "16Mi"),
            ("0Ki", "0"),
            ("-0.5", "-500m"),
            ("2.0", "2"),
            ("0.5Ki", "512"),
            ("0.5Mi", "512Ki"),
            ("1.500", "1.500"),
            ("0.1Ki", "102400m"),
            ("10G", "10G"),
            ("1e-3", "1e-3"),
            ("12000000", "12M"),
            ("0.0000000001", "1n"),
        ];
        for (text, expected) in cases {
            assert_eq!(canonical(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn bad_ones_are_refused_in_upstreams_words() {
        assert_eq!("".parse::<Quantity>().unwrap_err(), QuantityError::Format);
        assert_eq!("1Kib".parse::<Quantity>().unwrap_err(), QuantityError::Format);
        assert_eq!("abc".parse::<Quantity>().unwrap_err(), QuantityError::Format);
        assert_eq!("1mi".parse::<Quantity>().unwrap_err(), QuantityError::Suffix);
        assert_eq!("1.2.3".parse::<Quantity>().unwrap_err(), QuantityError::Format);
    }

    #[test]
    fn values_round_up_and_compare() {
        let q = |t: &str| t.parse::<Quantity>().unwrap();
        assert_eq!((q("1500m").value(), q("1500m").milli_value(), q("0.0001").milli_value()), (2, 1500, 1));
        assert!(q("1Gi") > q("1G") && q("1000m") == q("1"));
        let mut sum = q("100m");
        sum.add(&q("0.9"));
        assert_eq!(sum.to_string(), "1");
    }
}
