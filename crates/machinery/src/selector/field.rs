//! Field selectors: `metadata.name=x,status.phase!=Running`, with `\` before `,`, `=` and `\` in values.

use std::fmt;

/// One condition on one field.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FieldRequirement {
    pub field: String,
    pub equal: bool,
    pub value: String,
}

/// All conditions must hold; none select everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSelector {
    pub requirements: Vec<FieldRequirement>,
}

impl FieldSelector {
    /// # Errors
    /// Upstream's message.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut terms = terms(text);
        terms.sort_unstable();
        let mut requirements = Vec::new();
        for term in terms.into_iter().filter(|t| !t.is_empty()) {
            let requirement = parse_term(term)?;
            requirements
                .push(requirement.ok_or_else(|| format!("invalid selector: '{text}'; can't understand '{term}'"))?);
        }
        Ok(Self { requirements })
    }

    pub fn is_everything(&self) -> bool {
        self.requirements.is_empty()
    }

    /// Whether an object is selected; `value` gives a field's text, `None` where the object has no such field.
    pub fn matches(&self, value: impl Fn(&str) -> Option<String>) -> bool {
        self.requirements.iter().all(|r| (value(&r.field).unwrap_or_default() == r.value) == r.equal)
    }

    /// The value that a field must have exactly, for lookups by key or index.
    pub fn exact(&self, field: &str) -> Option<&str> {
        self.requirements.iter().find(|r| r.equal && r.field == field).map(|r| r.value.as_str())
    }
}

/// Splits at commas that no backslash precedes.
fn terms(text: &str) -> Vec<&str> {
    let (mut terms, mut start, mut escaped) = (Vec::new(), 0, false);
    for (i, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ',' => {
                terms.push(&text[start..i]);
                start = i + 1;
            }
            _ => {}
        }
    }
    terms.push(&text[start..]);
    terms
}

fn parse_term(term: &str) -> Result<Option<FieldRequirement>, String> {
    let Some(at) = term.find("!=").into_iter().chain(term.find('=')).min() else { return Ok(None) };
    let (field, rest) = term.split_at(at);
    let (equal, value) = match rest.strip_prefix("!=") {
        Some(value) => (false, value),
        None => (true, rest.strip_prefix("==").or(rest.strip_prefix('=')).unwrap_or(rest)),
    };
    Ok(Some(FieldRequirement { field: field.to_owned(), equal, value: unescape(value)? }))
}

fn unescape(value: &str) -> Result<String, String> {
    let mut out = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(next @ ('\\' | ',' | '=')) => out.push(next),
                Some(next) => return Err(format!("invalid field selector: invalid escape sequence: \\{next}")),
                None => return Err("invalid field selector: invalid escape sequence: \\".into()),
            },
            // Go prints the character's number here.
            ',' | '=' => return Err(format!("invalid field selector: unescaped character in value: {}", u32::from(c))),
            _ => out.push(c),
        }
    }
    Ok(out)
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, r) in self.requirements.iter().enumerate() {
            let value = r.value.replace('\\', "\\\\").replace(',', "\\,").replace('=', "\\=");
            write!(f, "{}{}{}{value}", if i > 0 { "," } else { "" }, r.field, if r.equal { "=" } else { "!=" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_read_with_escapes() {
        let selector = FieldSelector::parse(r"status.phase!=Running,metadata.name==a\,b").unwrap();
        assert_eq!(selector.exact("metadata.name"), Some("a,b"));
        assert!(selector.matches(|f| (f == "metadata.name").then(|| "a,b".into())));
        assert_eq!(FieldSelector::parse(&selector.to_string()).unwrap(), selector);
        assert!(FieldSelector::parse("").unwrap().is_everything());
    }

    #[test]
    fn errors_are_upstreams() {
        let message = |text: &str| FieldSelector::parse(text).unwrap_err();
        assert_eq!(message("a"), "invalid selector: 'a'; can't understand 'a'");
        assert_eq!(message("a=b=c"), "invalid field selector: unescaped character in value: 61");
        assert_eq!(message(r"a=\b"), r"invalid field selector: invalid escape sequence: \b");
    }
}
