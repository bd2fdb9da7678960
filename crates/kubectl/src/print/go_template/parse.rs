//! A template's text as nodes.

use serde_json::Value;

/// What stands between actions, and the actions.
#[derive(Debug)]
pub enum Node {
    Text(String),
    Print(Pipe),
    /// `$x := …` and `$x = …`.
    Set(String, Pipe),
    If(Pipe, Vec<Node>, Vec<Node>),
    With(Pipe, Vec<Node>, Vec<Node>),
    Range {
        names: Vec<String>,
        over: Pipe,
        body: Vec<Node>,
        otherwise: Vec<Node>,
    },
}

/// Calls, the value of each being the last argument of the next.
pub type Pipe = Vec<Vec<Term>>;

/// A word of a call, and the fields that are taken of it.
#[derive(Debug)]
pub struct Term {
    pub what: What,
    pub fields: Vec<String>,
}

#[derive(Debug)]
pub enum What {
    Dot,
    Variable(String),
    Literal(Value),
    Function(String),
    Group(Pipe),
}

pub fn parse(text: &str) -> Result<Vec<Node>, String> {
    let mut pieces = pieces(text)?.into_iter().peekable();
    let (nodes, end) = block(&mut pieces)?;
    match end.as_str() {
        "" => Ok(nodes),
        other => Err(format!("unexpected {{{{{other}}}}}")),
    }
}

enum Piece {
    Text(String),
    Action(String),
}

/// Text and actions, with what `-` trims already gone.
fn pieces(text: &str) -> Result<Vec<Piece>, String> {
    let (mut found, mut rest, mut trims) = (Vec::new(), text, false);
    while let Some(at) = rest.find("{{") {
        let end = action_end(&rest[at + 2..]).ok_or("unclosed action")?;
        let (before, inside) = (&rest[..at], &rest[at + 2..at + 2 + end]);
        let before = if trims { before.trim_start() } else { before };
        let (before, inside) = match inside.strip_prefix("- ") {
            Some(inside) => (before.trim_end(), inside),
            None => (before, inside),
        };
        let (inside, trims_next) = match inside.strip_suffix(" -") {
            Some(inside) => (inside, true),
            None => (inside, false),
        };
        found.push(Piece::Text(before.to_owned()));
        if !inside.trim_start().starts_with("/*") {
            found.push(Piece::Action(inside.trim().to_owned()));
        }
        (rest, trims) = (&rest[at + 2 + end + 2..], trims_next);
    }
    found.push(Piece::Text(if trims { rest.trim_start() } else { rest }.to_owned()));
    Ok(found)
}

/// Where `}}` is, outside of quotes.
fn action_end(text: &str) -> Option<usize> {
    let (mut quote, mut escaped) = (None, false);
    for (at, letter) in text.char_indices() {
        match quote {
            _ if escaped => escaped = false,
            Some('"') if letter == '\\' => escaped = true,
            Some(open) if letter == open => quote = None,
            Some(_) => {}
            None if matches!(letter, '"' | '`') => quote = Some(letter),
            None if text[at..].starts_with("}}") => return Some(at),
            None => {}
        }
    }
    None
}

type Pieces = std::iter::Peekable<std::vec::IntoIter<Piece>>;

/// Nodes up to `end` or `else`, and which of them it was.
fn block(pieces: &mut Pieces) -> Result<(Vec<Node>, String), String> {
    let mut nodes = Vec::new();
    while let Some(piece) = pieces.next() {
        let action = match piece {
            Piece::Text(text) => {
                nodes.push(Node::Text(text));
                continue;
            }
            Piece::Action(action) => action,
        };
        let (word, rest) = action.split_once(char::is_whitespace).unwrap_or((&action, ""));
        match word {
            "end" | "else" => return Ok((nodes, action)),
            "if" | "with" | "range" => nodes.push(nested(word, rest, pieces)?),
            "template" | "define" | "block" | "break" | "continue" => return Err(format!("{word} is not supported")),
            _ => nodes.push(simple(&action)?),
        }
    }
    Ok((nodes, String::new()))
}

fn nested(word: &str, rest: &str, pieces: &mut Pieces) -> Result<Node, String> {
    let (body, end) = block(pieces)?;
    let otherwise = match end.split_once(char::is_whitespace).map_or((end.as_str(), ""), |(a, b)| (a, b.trim())) {
        ("end", _) => Vec::new(),
        ("else", "") => match block(pieces)? {
            (otherwise, end) if end == "end" => otherwise,
            _ => return Err(format!("unclosed {word}")),
        },
        // `else if …` is an `if` inside of `else`, with one end for both.
        ("else", chained) => match chained.split_once(char::is_whitespace) {
            Some((inner @ ("if" | "with"), condition)) => vec![nested(inner, condition, pieces)?],
            _ => return Err(format!("unexpected {{{{else {chained}}}}}")),
        },
        _ => return Err(format!("unclosed {word}")),
    };
    if word == "range" {
        let (names, over) = rest.split_once(":=").unwrap_or(("", rest));
        let names = names.split(',').map(|name| name.trim().trim_start_matches('$').to_owned());
        let names = names.filter(|name| !name.is_empty()).collect();
        return Ok(Node::Range { names, over: pipe(over)?, body, otherwise });
    }
    let condition = pipe(rest)?;
    Ok(if word == "if" { Node::If(condition, body, otherwise) } else { Node::With(condition, body, otherwise) })
}

fn simple(action: &str) -> Result<Node, String> {
    if action.starts_with('$')
        && let Some((name, value)) = action.split_once('=')
    {
        let name = name.trim_end_matches(':').trim().trim_start_matches('$');
        if name.chars().all(|letter| letter.is_alphanumeric() || letter == '_') {
            return Ok(Node::Set(name.to_owned(), pipe(value)?));
        }
    }
    Ok(Node::Print(pipe(action)?))
}

fn pipe(text: &str) -> Result<Pipe, String> {
    let mut words = Words { rest: text.trim() };
    let found = words.pipe()?;
    match words.rest {
        "" => Ok(found),
        rest => Err(format!("unexpected {rest:?}")),
    }
}

/// What is left of an action.
struct Words<'a> {
    rest: &'a str,
}

impl Words<'_> {
    /// Up to a closing bracket or the end.
    fn pipe(&mut self) -> Result<Pipe, String> {
        let (mut calls, mut call) = (Vec::new(), Vec::new());
        loop {
            self.rest = self.rest.trim_start();
            match self.rest.chars().next() {
                None | Some(')') => break,
                Some('|') => {
                    self.rest = &self.rest[1..];
                    calls.push(std::mem::take(&mut call));
                }
                Some(_) => call.push(self.term()?),
            }
        }
        calls.push(call);
        if calls.iter().any(Vec::is_empty) { Err("missing value for command".into()) } else { Ok(calls) }
    }

    fn term(&mut self) -> Result<Term, String> {
        let what = match self.rest.chars().next() {
            Some('(') => {
                self.rest = &self.rest[1..];
                let inner = self.pipe()?;
                self.rest = self.rest.strip_prefix(')').ok_or("unclosed left paren")?;
                What::Group(inner)
            }
            Some('"') => What::Literal(self.quoted()?),
            Some('`') => {
                let end = self.rest[1..].find('`').ok_or("unterminated raw quoted string")?;
                let text = self.rest[1..=end].to_owned();
                self.rest = &self.rest[end + 2..];
                What::Literal(text.into())
            }
            Some('$') => {
                self.rest = &self.rest[1..];
                What::Variable(self.name())
            }
            Some('.') => What::Dot,
            Some(first) if first.is_ascii_digit() || first == '-' => What::Literal(self.number()?),
            Some(first) if first.is_alphabetic() || first == '_' => match self.name().as_str() {
                "true" => What::Literal(true.into()),
                "false" => What::Literal(false.into()),
                "nil" => What::Literal(Value::Null),
                name => What::Function(name.to_owned()),
            },
            _ => return Err(format!("unexpected {:?} in command", self.rest)),
        };
        Ok(Term { what, fields: self.fields() })
    }

    /// `.a.b` right behind a term.
    fn fields(&mut self) -> Vec<String> {
        let mut fields = Vec::new();
        while let Some(rest) = self.rest.strip_prefix('.') {
            self.rest = rest;
            match self.name() {
                name if name.is_empty() => break,
                name => fields.push(name),
            }
        }
        fields
    }

    fn name(&mut self) -> String {
        let is_end = |letter: char| !letter.is_alphanumeric() && letter != '_';
        let (name, rest) = self.rest.split_at(self.rest.find(is_end).unwrap_or(self.rest.len()));
        self.rest = rest;
        name.to_owned()
    }

    fn number(&mut self) -> Result<Value, String> {
        let is_end = |letter: char| !letter.is_ascii_digit() && !matches!(letter, '-' | '.' | 'e');
        let (number, rest) = self.rest.split_at(self.rest.find(is_end).unwrap_or(self.rest.len()));
        self.rest = rest;
        serde_json::from_str(number).map_err(|_| format!("bad number syntax: {number:?}"))
    }

    fn quoted(&mut self) -> Result<Value, String> {
        let mut escaped = false;
        for (at, letter) in self.rest.char_indices().skip(1) {
            match letter {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => {
                    let text = &self.rest[..=at];
                    self.rest = &self.rest[at + 1..];
                    return serde_json::from_str(text).map_err(|_| format!("the string {text} has an unknown escape"));
                }
                _ => {}
            }
        }
        Err("unterminated quoted string".into())
    }
}
