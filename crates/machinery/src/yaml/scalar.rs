//! How a text is written: plain, quoted or as a block, with the line folding of Go's library.

use super::resolve::needs_quotes;

/// Lines are folded at the first space after this column.
const WIDTH: usize = 80;

/// What the characters of a text allow.
#[derive(Default)]
struct Analysis {
    plain: bool,
    single: bool,
    block: bool,
    multiline: bool,
}

/// What Go's library writes as it is: nothing beyond the basic plane, such as emoji.
fn is_printable(c: char) -> bool {
    c != '\u{feff}' && matches!(c, '\n' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}')
}

fn is_break(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

fn analyze(text: &str) -> Analysis {
    let chars: Vec<char> = text.chars().collect();
    let (Some(first), Some(last)) = (chars.first(), chars.last()) else {
        return Analysis { plain: true, single: true, ..Analysis::default() };
    };
    let edge = |c: &char| *c == ' ' || is_break(*c);
    let pairs = || chars.windows(2).map(|pair| (pair[0], pair[1]));
    let multiline = chars.iter().any(|c| is_break(*c));
    let break_space = pairs().any(|(a, b)| is_break(a) && b == ' ');
    let space_break = pairs().any(|(a, b)| a == ' ' && is_break(b));
    let special = chars.iter().any(|c| !is_printable(*c));
    let at_edges = edge(first) || edge(last);
    let indicators = has_indicators(text, &chars);
    Analysis {
        plain: !(at_edges || break_space || space_break || special || multiline || indicators),
        single: !(break_space || space_break || special),
        block: *last != ' ' && !space_break && !special,
        multiline,
    }
}

/// Characters that mean something to YAML where they stand.
fn has_indicators(text: &str, chars: &[char]) -> bool {
    let blank = |at: usize| chars.get(at).is_none_or(|c| matches!(c, ' ' | '\t'));
    if text.starts_with("---") || text.starts_with("...") {
        return true;
    }
    chars.iter().enumerate().any(|(at, c)| match c {
        '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`' if at == 0 => {
            true
        }
        '?' | '-' if at == 0 => blank(1),
        ':' => blank(at + 1),
        '#' => matches!(chars[at - 1], ' ' | '\t' | '\n' | '\r'),
        _ => false,
    })
}

/// Writes a text as a value, continued lines at `indent`.
pub fn write(out: &mut String, text: &str, indent: usize) {
    let analysis = analyze(text);
    if text.contains('\n') && analysis.block {
        literal(out, text, indent);
    } else if text.contains('\n') || needs_quotes(text) {
        double(out, text, indent, true);
    } else if analysis.plain {
        folded(out, text, indent, true, |out, c| out.push(c));
    } else if analysis.single {
        single(out, text, indent, true);
    } else {
        double(out, text, indent, true);
    }
}

/// Writes a text as a key, never folded. Says whether it can stand before a colon as it is.
pub fn write_key(out: &mut String, text: &str) {
    let analysis = analyze(text);
    if analysis.multiline || needs_quotes(text) {
        double(out, text, 0, false);
    } else if analysis.plain {
        out.push_str(text);
    } else if analysis.single {
        single(out, text, 0, false);
    } else {
        double(out, text, 0, false);
    }
}

fn column(out: &str) -> usize {
    out[out.rfind('\n').map_or(0, |at| at + 1)..].chars().count()
}

fn new_line(out: &mut String, indent: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n(' ', indent));
}

fn single(out: &mut String, text: &str, indent: usize, fold: bool) {
    out.push('\'');
    folded(out, text, indent, fold, |out, c| {
        if c == '\'' {
            out.push('\'');
        }
        out.push(c);
    });
    out.push('\'');
}

/// Writes characters, breaking the line at single spaces past the width.
fn folded(out: &mut String, text: &str, indent: usize, fold: bool, put: impl Fn(&mut String, char)) {
    let mut column = column(out);
    let (mut spaces, mut breaks) = (false, false);
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if is_break(c) {
            out.push(c);
            (column, breaks) = (0, true);
            continue;
        }
        if c == ' ' {
            let inside = at > 0 && chars.peek().is_some_and(|(_, next)| *next != ' ');
            if fold && inside && !spaces && column > WIDTH {
                new_line(out, indent);
                column = indent;
            } else {
                out.push(' ');
                column += 1;
            }
            spaces = true;
            continue;
        }
        if breaks {
            out.extend(std::iter::repeat_n(' ', indent));
            column += indent;
        }
        let before = out.len();
        put(out, c);
        column += out[before..].chars().count();
        (spaces, breaks) = (false, false);
    }
}

fn double(out: &mut String, text: &str, indent: usize, fold: bool) {
    out.push('"');
    let mut column = column(out);
    let mut spaces = false;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let before = out.len();
        let inside = at > 0 && chars.peek().is_some();
        if c == ' ' && fold && inside && !spaces && column > WIDTH {
            new_line(out, indent);
            column = indent;
            // A space at the start of a line would be folded away.
            if chars.peek().is_some_and(|(_, next)| *next == ' ') {
                out.push('\\');
                column += 1;
            }
            spaces = true;
            continue;
        }
        escape(out, c);
        column += out[before..].chars().count();
        spaces = c == ' ';
    }
    out.push('"');
}

fn escape(out: &mut String, c: char) {
    match c {
        '\0' => out.push_str("\\0"),
        '\u{7}' => out.push_str("\\a"),
        '\u{8}' => out.push_str("\\b"),
        '\t' => out.push_str("\\t"),
        '\n' => out.push_str("\\n"),
        '\u{b}' => out.push_str("\\v"),
        '\u{c}' => out.push_str("\\f"),
        '\r' => out.push_str("\\r"),
        '\u{1b}' => out.push_str("\\e"),
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\u{85}' => out.push_str("\\N"),
        '\u{2028}' => out.push_str("\\L"),
        '\u{2029}' => out.push_str("\\P"),
        c if is_printable(c) => out.push(c),
        c if u32::from(c) <= 0xff => out.push_str(&format!("\\x{:02X}", u32::from(c))),
        c if u32::from(c) <= 0xffff => out.push_str(&format!("\\u{:04X}", u32::from(c))),
        c => out.push_str(&format!("\\U{:08X}", u32::from(c))),
    }
}

/// A block of lines as they are: `|`, `|-` without a final break, `|+` with several.
fn literal(out: &mut String, text: &str, indent: usize) {
    out.push('|');
    if text.starts_with([' ', '\n']) {
        out.push('2');
    }
    if !text.ends_with('\n') {
        out.push('-');
    } else if text == "\n" || text.ends_with("\n\n") {
        out.push('+');
    }
    out.push('\n');
    let mut breaks = true;
    for c in text.strip_suffix('\n').unwrap_or(text).chars() {
        if breaks && !is_break(c) {
            out.extend(std::iter::repeat_n(' ', indent));
        }
        out.push(c);
        breaks = is_break(c);
    }
}
