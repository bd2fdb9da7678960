//! The links of an HTML page, rewritten while it comes. Not a parser: it knows tags, their quoted attributes,
//! comments, and the elements whose content is text; everything else passes as it is.

use super::Place;

/// A tag or comment that is longer passes as it is.
const HELD_BYTES_MAX: usize = 64 * 1024;

/// Which attributes of which elements are links.
const LINKS: &[(&str, &[&str])] = &[
    ("a", &["href"]),
    ("applet", &["codebase"]),
    ("area", &["href"]),
    ("audio", &["src"]),
    ("base", &["href"]),
    ("blockquote", &["cite"]),
    ("body", &["background"]),
    ("button", &["formaction"]),
    ("command", &["icon"]),
    ("del", &["cite"]),
    ("embed", &["src"]),
    ("form", &["action"]),
    ("frame", &["longdesc", "src"]),
    ("head", &["profile"]),
    ("html", &["manifest"]),
    ("iframe", &["longdesc", "src"]),
    ("img", &["longdesc", "src", "usemap"]),
    ("input", &["src", "usemap", "formaction"]),
    ("ins", &["cite"]),
    ("link", &["href"]),
    ("object", &["classid", "codebase", "data", "usemap"]),
    ("q", &["cite"]),
    ("script", &["src"]),
    ("source", &["src"]),
    ("video", &["poster", "src"]),
];

/// Elements that hold text up to their end tag.
const TEXTS: &[&str] =
    &["iframe", "noembed", "noframes", "noscript", "plaintext", "script", "style", "textarea", "title", "xmp"];

/// A page on its way.
pub struct Page {
    place: Place,
    /// The start of something whose end has not come.
    held: Vec<u8>,
    /// Inside which element of [`TEXTS`].
    text: Option<&'static str>,
}

/// What the first bytes are.
enum Piece {
    /// As many bytes that pass as they are.
    Plain(usize),
    /// A start tag of as many bytes.
    Tag(usize),
    /// Not to be told yet.
    Unknown,
}

impl Page {
    pub fn new(place: Place) -> Self {
        Self { place, held: Vec::new(), text: None }
    }

    /// More of the page; returns what can go on.
    pub fn feed(&mut self, more: &[u8]) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.held);
        bytes.extend_from_slice(more);
        let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
        while at < bytes.len() {
            let rest = &bytes[at..];
            match self.piece(rest) {
                Piece::Plain(length) => {
                    out.extend_from_slice(&rest[..length]);
                    at += length;
                }
                Piece::Tag(length) => {
                    self.tag(&rest[..length], &mut out);
                    at += length;
                }
                Piece::Unknown if rest.len() > HELD_BYTES_MAX => {
                    out.push(rest[0]);
                    at += 1;
                }
                Piece::Unknown => break,
            }
        }
        self.held = bytes.split_off(at);
        out
    }

    /// The page is over; what is still held passes as it is.
    pub fn end(self) -> Vec<u8> {
        self.held
    }

    fn piece(&mut self, bytes: &[u8]) -> Piece {
        if bytes[0] != b'<' {
            return Piece::Plain(bytes.iter().position(|b| *b == b'<').unwrap_or(bytes.len()));
        }
        if let Some(element) = self.text {
            let end = format!("</{element}");
            let Some(start) = bytes.get(..end.len()) else { return Piece::Unknown };
            if start.eq_ignore_ascii_case(end.as_bytes()) {
                self.text = None;
            }
            return Piece::Plain(1);
        }
        match bytes {
            [_, letter, ..] if letter.is_ascii_alphabetic() => tag_length(bytes).map_or(Piece::Unknown, Piece::Tag),
            [_, b'!', b'-', b'-', comment @ ..] => {
                let end = comment.windows(3).position(|three| three == b"-->");
                end.map_or(Piece::Unknown, |end| Piece::Plain(end + "<!---->".len()))
            }
            [_] | [_, b'!'] | [_, b'!', b'-'] => Piece::Unknown,
            _ => Piece::Plain(1),
        }
    }

    /// A start tag with its links led; enters the element when its content is text.
    fn tag(&mut self, tag: &[u8], out: &mut Vec<u8>) {
        let Ok(text) = std::str::from_utf8(tag) else { return out.extend_from_slice(tag) };
        let name_end = text.find(|c: char| c.is_ascii_whitespace() || c == '/' || c == '>').unwrap_or(text.len());
        let name = text[1..name_end].to_ascii_lowercase();
        self.text = TEXTS.iter().copied().find(|element| *element == name);
        let links = LINKS.iter().find(|(element, _)| *element == name).map_or(&[][..], |(_, links)| *links);
        let (mut done, mut at) = (0, name_end);
        while let Some(attribute) = Attribute::next(text, &mut at) {
            let value = &text[attribute.value.clone()];
            if !links.iter().any(|link| attribute.name.eq_ignore_ascii_case(link)) {
                continue;
            }
            if let Some(led) = self.place.led(value.trim()) {
                out.extend_from_slice(&tag[done..attribute.value.start]);
                out.extend_from_slice(led.as_bytes());
                done = attribute.value.end;
            }
        }
        out.extend_from_slice(&tag[done..]);
    }
}

/// The length of the tag at the start, its `>` included; that in a quoted value does not end it.
fn tag_length(bytes: &[u8]) -> Option<usize> {
    let (mut quote, mut before) = (None, b'<');
    for (at, byte) in bytes.iter().copied().enumerate() {
        match quote {
            Some(open) if byte == open => quote = None,
            Some(_) => {}
            None if byte == b'>' => return Some(at + 1),
            // Quotes are quotes only where a value begins.
            None if (byte == b'"' || byte == b'\'') && before == b'=' => quote = Some(byte),
            None => {}
        }
        if !byte.is_ascii_whitespace() {
            before = byte;
        }
    }
    None
}

struct Attribute<'a> {
    name: &'a str,
    /// Where its value is in the tag, without quotes.
    value: std::ops::Range<usize>,
}

impl<'a> Attribute<'a> {
    /// The next one from `at` on, which is moved behind it.
    fn next(tag: &'a str, at: &mut usize) -> Option<Self> {
        let between = |c: char| c.is_ascii_whitespace() || c == '/';
        let ends_name = |c: char| c.is_ascii_whitespace() || matches!(c, '/' | '=' | '>');
        let start = seek(tag, *at, |c| !between(c));
        // A stray `=` is a name's first letter.
        let behind_first = start + tag[start..].chars().next()?.len_utf8();
        if tag[start..].starts_with('>') {
            return None;
        }
        let name_end = seek(tag, behind_first, ends_name);
        let name = &tag[start..name_end];
        let equals = seek(tag, name_end, |c| !c.is_ascii_whitespace());
        if !tag[equals..].starts_with('=') {
            *at = name_end;
            return Some(Self { name, value: name_end..name_end });
        }
        let open = seek(tag, equals + 1, |c| !c.is_ascii_whitespace());
        let value = match tag[open..].chars().next() {
            Some(quote @ ('"' | '\'')) => open + 1..seek(tag, open + 1, |c| c == quote),
            _ => open..seek(tag, open, |c| c.is_ascii_whitespace() || c == '>'),
        };
        *at = if value.start > open { (value.end + 1).min(tag.len()) } else { value.end };
        Some(Self { name, value })
    }
}

/// The first place from `at` on whose character is wanted; the end without one.
fn seek(text: &str, at: usize, wanted: impl Fn(char) -> bool) -> usize {
    text[at..].find(wanted).map_or(text.len(), |found| at + found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> Page {
        Page::new(Place { prefix: "/p".into(), hosts: ["10.0.0.1:80".into(), "kube".into()] })
    }

    fn whole(text: &str) -> String {
        let mut page = page();
        let mut out = page.feed(text.as_bytes());
        out.extend(page.end());
        String::from_utf8(out).unwrap()
    }

    const PAGE: &str = "<!DOCTYPE html><!-- <a href=/c> --><HTML><title><a href=/t></title>\
        <script src='/s.js'>if (a<b) x = '<a href=\"/in\">'</script><a class=\"x>y\" HREF = \"/rewriteme\" id=/i>test</a>\
        <img src=/i.png/><img alt src=\"/j?a=1&amp;b\"><p title=/n a < b é <a href=\"//other/x\"><form action='/'>";

    #[test]
    fn links_are_led_and_nothing_else() {
        assert_eq!(whole("<a href=\"/rewriteme\">test</a>"), "<a href=\"/p/rewriteme\">test</a>");
        let expected = PAGE
            .replace("'/s.js'", "'/p/s.js'")
            .replace("\"/rewriteme\"", "\"/p/rewriteme\"")
            .replace("src=/i.png/", "src=/p/i.png/")
            .replace("\"/j?", "\"/p/j?")
            .replace("action='/'", "action='/p/'");
        assert_eq!(whole(PAGE), expected);
    }

    #[test]
    fn how_it_comes_in_pieces_changes_nothing() {
        for size in 1..40 {
            let mut page = page();
            let mut out = Vec::new();
            for piece in PAGE.as_bytes().chunks(size) {
                out.extend(page.feed(piece));
            }
            out.extend(page.end());
            assert_eq!(String::from_utf8(out).unwrap(), whole(PAGE), "pieces of {size}");
        }
    }

    #[test]
    fn what_never_ends_is_not_held_for_ever() {
        let mut page = page();
        let endless = vec![b'a'; HELD_BYTES_MAX * 2];
        let mut out = page.feed(b"<a href=\"");
        out.extend(page.feed(&endless));
        assert!(out.len() > HELD_BYTES_MAX);
        assert_eq!(whole("<"), "<");
        assert_eq!(whole("<a href="), "<a href=");
        assert_eq!(whole("<a =>=<a ' \" = '"), "<a =>=<a ' \" = '");
    }
}
