//! The words of a label selector's text.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    Error,
    End,
    Close,
    Comma,
    Not,
    DoubleEquals,
    Equals,
    Greater,
    Identifier,
    In,
    Less,
    NotEquals,
    NotIn,
    Open,
}

fn symbol(text: &str) -> Option<Token> {
    Some(match text {
        ")" => Token::Close,
        "," => Token::Comma,
        "!" => Token::Not,
        "==" => Token::DoubleEquals,
        "=" => Token::Equals,
        ">" => Token::Greater,
        "<" => Token::Less,
        "!=" => Token::NotEquals,
        "(" => Token::Open,
        _ => return None,
    })
}

fn is_special(c: char) -> bool {
    matches!(c, '=' | '!' | '(' | ')' | ',' | '>' | '<')
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

/// All words of a text, the end included.
pub fn scan(text: &str) -> Vec<(Token, String)> {
    let mut items = Vec::new();
    let mut rest = text.trim_start_matches(is_space);
    while !rest.is_empty() {
        let (token, word, used) = if rest.starts_with(is_special) { special(rest) } else { word(rest) };
        items.push((token, word));
        rest = rest[used..].trim_start_matches(is_space);
    }
    items.push((Token::End, String::new()));
    items
}

fn word(rest: &str) -> (Token, String, usize) {
    let end = rest.find(|c| is_special(c) || is_space(c)).unwrap_or(rest.len());
    let text = &rest[..end];
    let token = match text {
        "in" => Token::In,
        "notin" => Token::NotIn,
        _ => Token::Identifier,
    };
    (token, text.to_owned(), end)
}

/// The longest operator that the run of special characters starts with.
fn special(rest: &str) -> (Token, String, usize) {
    let run = rest.find(|c| !is_special(c)).unwrap_or(rest.len());
    let longest = (1..=run.min(2)).rev().find_map(|n| symbol(&rest[..n]).map(|t| (t, rest[..n].to_owned(), n)));
    longest.unwrap_or_else(|| (Token::Error, format!("error expected: keyword found '{}'", &rest[..run]), run))
}
