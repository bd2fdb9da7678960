//! Text in JSON that is no Unicode: Go reads each wrong byte and each lone surrogate as U+FFFD, where our reader
//! refuses them. Runs only after it has done so.

const REPLACEMENT: &str = "\u{fffd}";
const REPLACEMENT_ESCAPE: &[u8] = b"\\ufffd";
/// `\uXXXX`.
const ESCAPE_BYTES: usize = 6;

/// The same JSON with replacement characters; `None` when there is nothing to replace.
pub(super) fn replaced(json: &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::with_capacity(json.len());
    for chunk in json.utf8_chunks() {
        text.extend_from_slice(chunk.valid().as_bytes());
        chunk.invalid().iter().for_each(|_| text.extend_from_slice(REPLACEMENT.as_bytes()));
    }
    let text = without_lone_surrogates(&text);
    (text != json).then_some(text)
}

/// A backslash stands in strings only, so that strings need not be told from the rest.
fn without_lone_surrogates(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let length = match (escaped(&text[at..]), escaped(text.get(at + ESCAPE_BYTES..).unwrap_or_default())) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 2 * ESCAPE_BYTES,
            (Some(0xd800..=0xdfff), _) => {
                out.extend_from_slice(REPLACEMENT_ESCAPE);
                at += ESCAPE_BYTES;
                continue;
            }
            (Some(_), _) => ESCAPE_BYTES,
            (None, _) if text[at] == b'\\' => 2.min(text.len() - at),
            (None, _) => 1,
        };
        out.extend_from_slice(&text[at..at + length]);
        at += length;
    }
    out
}

/// The number of the `\uXXXX` that the text begins with.
fn escaped(text: &[u8]) -> Option<u32> {
    let digits = text.get(..ESCAPE_BYTES)?.strip_prefix(b"\\u")?;
    digits.iter().try_fold(0, |number, digit| Some(number * 16 + char::from(*digit).to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use super::replaced;

    #[test]
    fn what_is_no_unicode_is_replaced() {
        let cases: [(&[u8], Option<&str>); 8] = [
            (br#"{"a":"b\u00e9\ud83d\ude00"}"#, None),
            (b"\"\xff\xfe\"", Some("\"\u{fffd}\u{fffd}\"")),
            (br#""\ud800""#, Some(r#""\ufffd""#)),
            (br#""\udc00\ud800\ud83d\ude00""#, Some(r#""\ufffd\ufffd\ud83d\ude00""#)),
            (br#""\\ud800""#, None),
            (br#""\ud800\n""#, Some(r#""\ufffd\n""#)),
            (br#""\ud8"#, None),
            (br#""\"#, None),
        ];
        for (json, expected) in cases {
            assert_eq!(replaced(json).as_deref(), expected.map(str::as_bytes), "{}", String::from_utf8_lossy(json));
        }
    }
}
