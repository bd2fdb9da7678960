//! Go's words for malformed JSON. Runs only after a reader has refused the bytes.

use super::types::Schema;
use crate::status::Status;

/// As much of the body as upstream shows.
const SHOWN_BYTES_MAX: usize = 30;

/// As deep as the reader goes (Go's goes to 10,000); this scanner must not eat the stack either.
const DEPTH_MAX: usize = 127;

/// 400 for bytes that are no JSON object.
pub(super) fn unreadable(schema: &Schema, json: &[u8]) -> Status {
    let why = syntax_error(json).unwrap_or_else(|| {
        let what = match json.iter().find(|b| !b.is_ascii_whitespace()) {
            Some(b'[') => "array",
            Some(b'"') => "string",
            Some(b't' | b'f') => "bool",
            _ => "number",
        };
        let into = "struct { APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }";
        format!("json: cannot unmarshal {what} into Go value of type {into}")
    });
    unrecognized(schema.kind(), &format!("couldn't get version/kind; json parse error: {why}"), json)
}

/// 400 for a body from which not even kind and version can be read.
pub fn unrecognized(kind: &str, why: &str, body: &[u8]) -> Status {
    let shown = shown(body);
    Status::bad_request(format!("the object provided is unrecognized (must be of type {kind}): {why} ({shown})"))
}

/// The beginning of a body: as text when it looks like JSON, else as hexadecimal digits.
fn shown(body: &[u8]) -> String {
    let head = &body[..body.len().min(SHOWN_BYTES_MAX)];
    let more = if body.len() > SHOWN_BYTES_MAX { " ..." } else { "" };
    match body.first() {
        None => "<empty>".into(),
        Some(b'{') => format!("{}{more}", String::from_utf8_lossy(head)),
        Some(_) => format!("{}{more}", head.iter().map(|b| format!("{b:02x}")).collect::<String>()),
    }
}

/// What Go's scanner says about these bytes; `None` when they are JSON.
pub fn syntax_error(json: &[u8]) -> Option<String> {
    let mut scan = Scan { json, at: 0, depth: 0 };
    let wrong = scan.value("looking for beginning of value").and_then(|()| {
        scan.spaces();
        if scan.at < json.len() { Err(scan.unexpected("after top-level value")) } else { Ok(()) }
    });
    wrong.err()
}

struct Scan<'a> {
    json: &'a [u8],
    at: usize,
    depth: usize,
}

type Scanned = Result<(), String>;

impl Scan<'_> {
    fn peek(&self) -> Option<u8> {
        self.json.get(self.at).copied()
    }

    fn spaces(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn unexpected(&self, context: &str) -> String {
        match self.peek() {
            None => "unexpected end of JSON input".into(),
            Some(byte) => format!("invalid character {} {context}", quoted(byte)),
        }
    }

    fn value(&mut self, context: &str) -> Scanned {
        self.spaces();
        match self.peek() {
            Some(b'{' | b'[') if self.depth == DEPTH_MAX => Err("exceeded max depth".into()),
            Some(open @ (b'{' | b'[')) => {
                self.depth += 1;
                let read = if open == b'{' { self.object() } else { self.array() };
                self.depth -= 1;
                read
            }
            Some(b'"') => self.string(),
            Some(b't') => self.literal("true"),
            Some(b'f') => self.literal("false"),
            Some(b'n') => self.literal("null"),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(self.unexpected(context)),
        }
    }

    fn object(&mut self) -> Scanned {
        self.at += 1;
        self.spaces();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.spaces();
            if self.peek() != Some(b'"') {
                return Err(self.unexpected("looking for beginning of object key string"));
            }
            self.string()?;
            self.spaces();
            if self.peek() != Some(b':') {
                return Err(self.unexpected("after object key"));
            }
            self.at += 1;
            self.value("looking for beginning of value")?;
            if self.next_or_end(b'}', "after object key:value pair")? {
                return Ok(());
            }
        }
    }

    fn array(&mut self) -> Scanned {
        self.at += 1;
        self.spaces();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.value("looking for beginning of value")?;
            if self.next_or_end(b']', "after array element")? {
                return Ok(());
            }
        }
    }

    /// Past a comma (false) or the closing bracket (true).
    fn next_or_end(&mut self, close: u8, context: &str) -> Result<bool, String> {
        self.spaces();
        match self.peek() {
            Some(byte) if byte == close || byte == b',' => {
                self.at += 1;
                Ok(byte == close)
            }
            _ => Err(self.unexpected(context)),
        }
    }

    fn string(&mut self) -> Scanned {
        self.at += 1;
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                Some(0x20..) => self.at += 1,
                _ => return Err(self.unexpected("in string literal")),
            }
        }
    }

    fn escape(&mut self) -> Scanned {
        self.at += 1;
        match self.peek() {
            Some(b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"') => self.at += 1,
            Some(b'u') => {
                for _ in 0..4 {
                    self.at += 1;
                    if !self.peek().is_some_and(|b| b.is_ascii_hexdigit()) {
                        return Err(self.unexpected("in \\u hexadecimal character escape"));
                    }
                }
                self.at += 1;
            }
            _ => return Err(self.unexpected("in string escape code")),
        }
        Ok(())
    }

    fn literal(&mut self, word: &str) -> Scanned {
        for (i, expected) in word.bytes().enumerate() {
            if self.peek() != Some(expected) {
                // The first letter chose the word.
                let context = format!("in literal {word} (expecting {})", quoted(word.as_bytes()[i]));
                return Err(self.unexpected(&context));
            }
            self.at += 1;
        }
        Ok(())
    }

    fn digits(&mut self, context: &str) -> Scanned {
        if !self.peek().is_some_and(|b| b.is_ascii_digit()) {
            return Err(self.unexpected(context));
        }
        while self.peek().is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
        }
        Ok(())
    }

    fn number(&mut self) -> Scanned {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits("in numeric literal")?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits("after decimal point in numeric literal")?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits("in exponent of numeric literal")?;
        }
        Ok(())
    }
}

/// A byte as Go quotes it.
fn quoted(byte: u8) -> String {
    match byte {
        b'\'' => r"'\''".into(),
        b'"' => "'\"'".into(),
        b'\n' => r"'\n'".into(),
        b'\r' => r"'\r'".into(),
        b'\t' => r"'\t'".into(),
        b' '..=b'~' => format!("'{}'", char::from(byte)),
        0..=0x7f => format!("'\\x{byte:02x}'"),
        _ => format!("'{}'", char::from(byte)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_json_is_told_in_gos_words() {
        for (json, expected) in [
            ("{\"a\":1,}", "invalid character '}' looking for beginning of object key string"),
            ("{\"a\" 1}", "invalid character '1' after object key"),
            ("{\"a\":1 \"b\"}", "invalid character '\"' after object key:value pair"),
            ("{", "unexpected end of JSON input"),
            ("", "unexpected end of JSON input"),
            ("[1 2]", "invalid character '2' after array element"),
            ("{} x", "invalid character 'x' after top-level value"),
            ("tru", "unexpected end of JSON input"),
            ("nul1", "invalid character '1' in literal null (expecting 'l')"),
            ("kind: Pod", "invalid character 'k' looking for beginning of value"),
            ("\"\\x\"", "invalid character 'x' in string escape code"),
        ] {
            assert_eq!(syntax_error(json.as_bytes()).as_deref(), Some(expected), "{json}");
        }
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let nested = |depth: usize| format!("{}0{}", open.repeat(depth), close.repeat(depth));
            assert_eq!(syntax_error(nested(127).as_bytes()), None);
            assert_eq!(syntax_error(nested(1_000_000).as_bytes()).as_deref(), Some("exceeded max depth"));
        }
        assert_eq!(syntax_error(b" {\"a\": [1, -2.5e3, true, null, \"\\u00e9\"]} "), None);
    }
}
