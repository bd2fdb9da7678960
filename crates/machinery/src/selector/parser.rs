//! The grammar of a label selector's text, with upstream's error messages.

use std::collections::BTreeSet;

use super::label::{Operator, Requirement, check_key};
use super::lexer::{Token, scan};

/// The requirements in the order written.
pub fn parse(text: &str) -> Result<Vec<Requirement>, String> {
    Parser { items: scan(text), at: 0 }.selector()
}

struct Parser {
    items: Vec<(Token, String)>,
    at: usize,
}

impl Parser {
    /// The next word; `in` and `notin` are ordinary words unless an operator is expected.
    fn look(&self, operator_expected: bool) -> (Token, &str) {
        // The last item is the end, and nothing reads past it.
        let (token, text) = &self.items[self.at.min(self.items.len() - 1)];
        let token = match token {
            Token::In | Token::NotIn if !operator_expected => Token::Identifier,
            token => *token,
        };
        (token, text)
    }

    fn take(&mut self, operator_expected: bool) -> (Token, String) {
        let (token, text) = self.look(operator_expected);
        let taken = (token, text.to_owned());
        self.at += 1;
        taken
    }

    fn selector(mut self) -> Result<Vec<Requirement>, String> {
        let mut requirements = Vec::new();
        loop {
            match self.look(false) {
                (Token::Identifier | Token::Not, _) => {}
                (Token::End, _) => return Ok(requirements),
                (_, text) => return Err(format!("found '{text}', expected: !, identifier, or 'end of string'")),
            }
            let requirement = self.requirement().map_err(|e| format!("unable to parse requirement: {e}"))?;
            requirements.push(requirement);
            match self.take(false) {
                (Token::End, _) => return Ok(requirements),
                (Token::Comma, _) => {
                    let (next, text) = self.look(false);
                    if next != Token::Identifier && next != Token::Not {
                        return Err(format!("found '{text}', expected: identifier after ','"));
                    }
                }
                (_, text) => return Err(format!("found '{text}', expected: ',' or 'end of string'")),
            }
        }
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        let (mut token, mut text) = self.take(false);
        let negated = token == Token::Not;
        if negated {
            (token, text) = self.take(false);
        }
        if token != Token::Identifier {
            return Err(format!("found '{text}', expected: identifier"));
        }
        check_key(&text, "<nil>")?;
        if negated {
            return Requirement::new(text, Operator::DoesNotExist, Vec::new());
        }
        if matches!(self.look(false).0, Token::End | Token::Comma) {
            return Requirement::new(text, Operator::Exists, Vec::new());
        }
        let operator = self.operator()?;
        let values = if matches!(operator, Operator::In | Operator::NotIn) { self.values()? } else { self.exact()? };
        Requirement::new(text, operator, values.into_iter().collect())
    }

    fn operator(&mut self) -> Result<Operator, String> {
        Ok(match self.take(true) {
            (Token::In, _) => Operator::In,
            (Token::NotIn, _) => Operator::NotIn,
            (Token::Equals, _) => Operator::Equals,
            (Token::DoubleEquals, _) => Operator::DoubleEquals,
            (Token::NotEquals, _) => Operator::NotEquals,
            (Token::Greater, _) => Operator::GreaterThan,
            (Token::Less, _) => Operator::LessThan,
            (_, text) => return Err(format!("found '{text}', expected: in, notin, =, ==, !=, gt, lt")),
        })
    }

    fn exact(&mut self) -> Result<BTreeSet<String>, String> {
        if matches!(self.look(false).0, Token::End | Token::Comma) {
            return Ok(BTreeSet::from([String::new()]));
        }
        match self.take(false) {
            (Token::Identifier, text) => Ok(BTreeSet::from([text])),
            (_, text) => Err(format!("found '{text}', expected: identifier")),
        }
    }

    fn values(&mut self) -> Result<BTreeSet<String>, String> {
        let (token, text) = self.take(false);
        if token != Token::Open {
            return Err(format!("found '{text}' expected: '('"));
        }
        match self.look(false) {
            (Token::Identifier | Token::Comma, first) => {
                let first = first.to_owned();
                let values = self.identifiers()?;
                match self.take(false).0 {
                    Token::Close => Ok(values),
                    _ => Err(format!("found '{first}', expected: ')'")),
                }
            }
            (Token::Close, _) => {
                self.at += 1;
                Ok(BTreeSet::from([String::new()]))
            }
            (_, text) => Err(format!("found '{text}', expected: ',', ')' or identifier")),
        }
    }

    fn identifiers(&mut self) -> Result<BTreeSet<String>, String> {
        let mut values = BTreeSet::new();
        loop {
            match self.take(false) {
                (Token::Identifier, text) => {
                    values.insert(text);
                    match self.look(false) {
                        (Token::Comma, _) => {}
                        (Token::Close, _) => return Ok(values),
                        (_, text) => return Err(format!("found '{text}', expected: ',' or ')'")),
                    }
                }
                (Token::Comma, _) => {
                    if values.is_empty() {
                        values.insert(String::new());
                    }
                    match self.look(false).0 {
                        Token::Close => {
                            values.insert(String::new());
                            return Ok(values);
                        }
                        Token::Comma => {
                            self.at += 1;
                            values.insert(String::new());
                        }
                        _ => {}
                    }
                }
                (_, text) => return Err(format!("found '{text}', expected: ',', or identifier")),
            }
        }
    }
}
