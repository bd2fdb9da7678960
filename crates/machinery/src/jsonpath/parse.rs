//! Reading templates.

use serde_json::Value;

use super::{Filter, Piece, Slice, Step, Template};

impl Template {
    /// # Errors
    /// Upstream's message.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut open: Vec<(Vec<Step>, Vec<Piece>)> = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let Some(brace) = rest.find('{') else {
                pieces.push(Piece::Text(rest.to_owned()));
                break;
            };
            if brace > 0 {
                pieces.push(Piece::Text(rest[..brace].to_owned()));
            }
            let mut action = Action { rest: &rest[brace + 1..], word: None };
            let steps = action.steps('}')?;
            rest = action.rest;
            match action.word.as_deref() {
                None => pieces.push(Piece::Action(steps)),
                Some("range") => open.push((steps, std::mem::take(&mut pieces))),
                Some("end") => {
                    let (over, outer) = open.pop().ok_or("not in range, nothing to end")?;
                    let body = std::mem::replace(&mut pieces, outer);
                    pieces.push(Piece::Range(over, body));
                }
                Some(other) => return Err(format!("unrecognized identifier {other}")),
            }
        }
        // A range that nothing ends takes the rest of the template.
        while let Some((over, outer)) = open.pop() {
            let body = std::mem::replace(&mut pieces, outer);
            pieces.push(Piece::Range(over, body));
        }
        Ok(Self(pieces))
    }
}

/// Upstream's tolerance for paths in `custom-columns` and `--sort-by`: braces and the first dot may be left out.
///
/// # Errors
/// Upstream's message for what is no path.
pub fn relaxed(path: &str) -> Result<String, String> {
    let inner = path.strip_prefix('{').and_then(|p| p.strip_suffix('}')).unwrap_or(path);
    if path.is_empty() {
        return Ok(String::new());
    }
    if inner.is_empty() || inner.contains(['{', '}']) && !inner.contains("[?(") {
        let expected = "'name1.name2' or '.name1.name2' or '{name1.name2}' or '{.name1.name2}'";
        return Err(format!("unexpected path string, expected a {expected}"));
    }
    Ok(format!("{{.{}}}", inner.strip_prefix('.').unwrap_or(inner)))
}

/// Steps of an action without its braces, as filters and unions have them.
fn steps_of(text: &str) -> Result<Vec<Step>, String> {
    let whole = format!("{text}}}");
    Action { rest: &whole, word: None }.steps('}')
}

struct Action<'a> {
    rest: &'a str,
    /// `range` or `end`.
    word: Option<String>,
}

fn is_terminator(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n' | '.' | ',' | '[' | ']' | '$' | '@' | '{' | '}')
}

impl<'a> Action<'a> {
    fn steps(&mut self, close: char) -> Result<Vec<Step>, String> {
        let mut steps = Vec::new();
        loop {
            let Some(c) = self.rest.chars().next() else { return Err("unclosed action".into()) };
            match c {
                _ if c == close => {
                    self.rest = &self.rest[c.len_utf8()..];
                    return Ok(steps);
                }
                '\r' | '\n' => return Err("unclosed action".into()),
                ' ' | '@' | '$' => self.rest = &self.rest[1..],
                _ if self.rest.starts_with("[?(") => steps.push(self.filter()?),
                _ if self.rest.starts_with("..") => self.recursive(&mut steps)?,
                '[' => self.array(&mut steps)?,
                '"' | '\'' => steps.push(Step::Literal(self.quoted(c)?.into())),
                '.' => {
                    self.rest = &self.rest[1..];
                    steps.push(self.field());
                }
                '+' | '-' | '0'..='9' => steps.push(self.number()?),
                c if c == '_' || c.is_alphanumeric() => self.identifier(&mut steps),
                c => return Err(format!("unrecognized character in action: U+{:04X} '{c}'", u32::from(c))),
            }
        }
    }

    /// Up to what ends a name, with backslashes taken out.
    fn name(&mut self) -> String {
        let mut name = String::new();
        let mut chars = self.rest.char_indices();
        let mut end = self.rest.len();
        while let Some((at, c)) = chars.next() {
            if c == '\\' {
                name.extend(chars.next().map(|(_, escaped)| escaped));
            } else if is_terminator(c) {
                end = at;
                break;
            } else {
                name.push(c);
            }
        }
        self.rest = &self.rest[end..];
        name
    }

    fn field(&mut self) -> Step {
        let name = self.name();
        if name == "*" { Step::Wildcard } else { Step::Field(name) }
    }

    fn recursive(&mut self, steps: &mut Vec<Step>) -> Result<(), String> {
        if steps.last() == Some(&Step::Recursive) {
            return Err("invalid multiple recursive descent".into());
        }
        self.rest = &self.rest[2..];
        steps.push(Step::Recursive);
        if self.rest.starts_with(|c: char| c == '_' || c.is_alphanumeric()) {
            steps.push(self.field());
        }
        Ok(())
    }

    fn identifier(&mut self, steps: &mut Vec<Step>) {
        let end = self.rest.find(is_terminator).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        match word {
            "true" | "false" => steps.push(Step::Literal((word == "true").into())),
            word => self.word = Some(word.to_owned()),
        }
    }

    fn number(&mut self) -> Result<Step, String> {
        let sign = usize::from(self.rest.starts_with(['+', '-']));
        let digits = self.rest[sign..].find(|c: char| c != '.' && !c.is_ascii_digit());
        let (text, rest) = self.rest.split_at(digits.map_or(self.rest.len(), |at| at + sign));
        self.rest = rest;
        let number = text.parse::<i64>().map(Value::from).ok();
        let number = number.or_else(|| text.parse::<f64>().map(Value::from).ok());
        number.map(Step::Literal).ok_or_else(|| format!("cannot parse number {text}"))
    }

    fn quoted(&mut self, quote: char) -> Result<String, String> {
        let mut out = String::new();
        let mut chars = self.rest.char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            match c {
                '\n' => break,
                '\\' => match chars.next() {
                    Some((_, 'n')) => out.push('\n'),
                    Some((_, 't')) => out.push('\t'),
                    Some((_, 'r')) => out.push('\r'),
                    Some((_, other)) => out.push(other),
                    None => break,
                },
                c if c == quote => {
                    self.rest = &self.rest[at + 1..];
                    return Ok(out);
                }
                c => out.push(c),
            }
        }
        Err("unterminated quoted string".into())
    }

    fn array(&mut self, steps: &mut Vec<Step>) -> Result<(), String> {
        let end = self.rest.find(['\n', ']']).filter(|at| self.rest.as_bytes()[*at] == b']');
        let end = end.ok_or("unterminated array")?;
        let (text, rest) = (&self.rest[1..end], &self.rest[end + 1..]);
        self.rest = rest;
        if text.contains(',') {
            let parts = text.split(',').map(|part| steps_of(&format!("[{}]", part.trim_matches(' '))));
            steps.push(Step::Union(parts.collect::<Result<_, _>>()?));
            return Ok(());
        }
        match text.strip_prefix('\'').and_then(|t| t.strip_suffix('\'')).filter(|key| !key.contains('\'')) {
            Some(key) => steps.extend(steps_of(&format!(".{key}"))?),
            None => steps.push(slice(if text == "*" { ":" } else { text })?),
        }
        Ok(())
    }

    fn filter(&mut self) -> Result<Step, String> {
        self.rest = &self.rest[3..];
        let mut quote = None;
        let mut before = ' ';
        let mut end = None;
        for (at, c) in self.rest.char_indices() {
            match (c, quote) {
                ('\n', _) => break,
                ('"' | '\'', None) => quote = Some(c),
                (c, Some(open)) if c == open && before != '\\' => quote = None,
                (')', None) => {
                    end = Some(at);
                    break;
                }
                _ => {}
            }
            before = c;
        }
        let end = end.ok_or("unterminated filter")?;
        let text = &self.rest[..end];
        self.rest = self.rest[end + 1..].strip_prefix(']').ok_or("unclosed array expect ]")?;
        Ok(Step::Filter(comparison(text)?))
    }
}

fn comparison(text: &str) -> Result<Filter, String> {
    let operator = |c: char| matches!(c, '!' | '<' | '>' | '=');
    let Some(start) = text.find(operator).filter(|at| *at > 0) else {
        return Ok(Filter { left: steps_of(text)?, comparison: None });
    };
    let end = start + text[start..].find(|c| !operator(c)).unwrap_or(text.len() - start);
    if end == text.len() {
        return Ok(Filter { left: steps_of(text)?, comparison: None });
    }
    let right = steps_of(&text[end..])?;
    Ok(Filter { left: steps_of(&text[..start])?, comparison: Some((text[start..end].to_owned(), right)) })
}

fn slice(text: &str) -> Result<Step, String> {
    let invalid = || format!("invalid array index {text}");
    let parts: Vec<&str> = text.split(':').collect();
    if parts.len() > 3 || text.is_empty() {
        return Err(invalid());
    }
    let number = |at: usize| match parts.get(at) {
        None | Some(&"") => Ok(None),
        Some(part) => part.parse::<i64>().map(Some).map_err(|_| invalid()),
    };
    let (start, mut end, step) = (number(0)?, number(1)?, number(2)?);
    let single = parts.len() == 1;
    if single {
        end = start.map(|s| s + 1);
    }
    Ok(Step::Slice(Slice { start, end, single, step }))
}
