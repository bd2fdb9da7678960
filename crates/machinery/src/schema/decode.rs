//! Strict decoding: JSON bytes, or a tree, into the canonical tree in one pass along the schema.
//!
//! A wrong type ends it with Go's message. Unknown and duplicate fields are collected with their paths and
//! dropped; who refuses or warns is the registry's business.

use std::fmt::Write as _;

use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::canonical::{base64_error, fill_absent, is_zero, zero};
use super::go::{cannot_unmarshal, type_name};
use super::strict::{Unknown, cannot_be_handled};
use super::syntax::{syntax_error, unreadable};
use super::types::{Node, Schema, Struct, Type, Zero};
use super::unicode;
use crate::status::Status;
use crate::{quantity, time};

/// As many unknown fields as upstream reports.
const UNKNOWN_MAX: usize = 100;

/// Decodes an object of this schema from JSON.
///
/// # Errors
/// 400 with upstream's message for malformed JSON and for values of a wrong type.
pub fn decode(schema: &Schema, json: &[u8]) -> Result<(Value, Vec<Unknown>), Status> {
    let mut context = Context::default();
    let mut reader = serde_json::Deserializer::from_slice(json);
    let read = Seed { node: schema.node(), named: "", context: &mut context }.deserialize(&mut reader);
    match read.and_then(|value| reader.end().map(|()| value)) {
        Ok(value) => Ok((value.unwrap_or(Value::Null), context.unknown)),
        Err(_) => match unicode::replaced(json) {
            Some(json) => decode(schema, &json),
            // As Go, which scans the whole text before it reads any of it.
            None => match context.failure.filter(|_| syntax_error(json).is_none()) {
                Some(failure) => Err(cannot_be_handled(schema, &failure)),
                None => Err(unreadable(schema, json)),
            },
        },
    }
}

/// The same for a tree that somebody made: in-process callers, patches, YAML.
///
/// # Errors
/// 400 with upstream's message for values of a wrong type.
pub fn check(schema: &Schema, tree: Value) -> Result<(Value, Vec<Unknown>), Status> {
    convert(schema, tree).map_err(|why| cannot_be_handled(schema, &why))
}

/// The same, with the bare reason.
///
/// # Errors
/// Go's words for a value of a wrong type.
pub fn convert(schema: &Schema, tree: Value) -> Result<(Value, Vec<Unknown>), String> {
    let mut context = Context::default();
    match (Seed { node: schema.node(), named: "", context: &mut context }).deserialize(tree) {
        Ok(value) => Ok((value.unwrap_or(Value::Null), context.unknown)),
        Err(error) => Err(context.failure.unwrap_or_else(|| error.to_string())),
    }
}

/// A step of a path as strict errors print it.
enum Step<'a> {
    Field(&'a str),
    Key(String),
    Index(usize),
}

/// Where the decoder is, and what it has found.
#[derive(Default)]
struct Context<'a> {
    path: Vec<Step<'a>>,
    /// The struct fields on the way, without list indexes and map keys: Go's messages name these only.
    fields: Vec<&'a str>,
    holder: Option<&'a Struct>,
    unknown: Vec<Unknown>,
    failure: Option<String>,
}

impl Context<'_> {
    fn report(&mut self, name: &str, duplicate: bool) {
        if self.unknown.len() >= UNKNOWN_MAX {
            return;
        }
        let mut path = String::new();
        for step in &self.path {
            match step {
                // Writing to a string cannot fail.
                Step::Index(i) => drop(write!(path, "[{i}]")),
                Step::Field(name) => dotted(&mut path, name),
                Step::Key(key) => dotted(&mut path, key),
            }
        }
        dotted(&mut path, name);
        let unknown = Unknown { path, duplicate };
        if !self.unknown.contains(&unknown) {
            self.unknown.push(unknown);
        }
    }
}

fn dotted(path: &mut String, name: &str) {
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(name);
}

/// Decodes one value of the node's type; `None` is null.
struct Seed<'c, 'a> {
    node: Node<'a>,
    named: &'a str,
    context: &'c mut Context<'a>,
}

impl<'a> Seed<'_, 'a> {
    /// Remembers why, and makes the error that stops the reader.
    fn fail<E: de::Error>(self, failure: String) -> E {
        self.context.failure = Some(failure);
        E::custom("refused")
    }

    fn wrong<E: de::Error>(self, found: &str) -> E {
        let of_type = type_name(self.node, self.named);
        let failure = match self.node.ty {
            Type::Quantity => quantity::QuantityError::Format.to_string(),
            _ => cannot_unmarshal(found, self.context.holder, &self.context.fields, &of_type),
        };
        self.fail(failure)
    }

    fn number<E: de::Error>(self, number: i64) -> Result<Option<Value>, E> {
        match self.node.ty {
            Type::Int64 | Type::Float | Type::Any => Ok(Some(number.into())),
            Type::Int32 | Type::IntOrString if i32::try_from(number).is_ok() => Ok(Some(number.into())),
            Type::Int32 | Type::IntOrString => Err(self.wrong(&format!("number {number}"))),
            Type::Quantity => self.text(&number.to_string()),
            _ => Err(self.wrong("number")),
        }
    }

    fn text<E: de::Error>(self, text: &str) -> Result<Option<Value>, E> {
        let canonical = match self.node.ty {
            Type::String | Type::IntOrString | Type::Any => return Ok(Some(text.into())),
            Type::Quantity => quantity::canonical(text.trim()).map_err(|e| e.to_string()),
            Type::Time => time::canonical(text),
            Type::MicroTime => time::canonical_micro(text),
            Type::Bytes => match base64_error(text) {
                None => return Ok(Some(text.into())),
                Some(error) => Err(error),
            },
            _ => return Err(self.wrong("string")),
        };
        match canonical {
            Ok(text) => Ok(Some(text.into_owned().into())),
            Err(error) => Err(self.fail(error)),
        }
    }

    fn structure<'de, A: MapAccess<'de>>(self, of: &'a Struct, mut map: A) -> Result<Option<Value>, A::Error> {
        let Seed { node, context, .. } = self;
        let mut out = Map::new();
        let mut seen = Seen::default();
        let outer = context.holder;
        while let Some(key) = map.next_key_seed(KeyOf(of))? {
            let at = match key {
                Key::Known(at) => at,
                Key::Unknown(name) if of.keep_unknown => {
                    out.insert(name, map.next_value()?);
                    continue;
                }
                Key::Unknown(name) => {
                    map.next_value::<de::IgnoredAny>()?;
                    context.report(&name, false);
                    continue;
                }
            };
            let field = &of.fields[at];
            if seen.again(at) {
                context.report(&field.name, true);
                out.remove(field.name.as_ref());
            }
            context.path.push(Step::Field(&field.name));
            context.fields.push(&field.name);
            context.holder = Some(of);
            let seed = Seed { node: node.of(field), named: &field.go, context: &mut *context };
            let value = map.next_value_seed(seed)?;
            context.path.pop();
            context.fields.pop();
            context.holder = outer;
            if let Some(value) = value.filter(|v| field.zero == Zero::Keep || !is_zero(v)) {
                out.insert(field.name.clone().into_owned(), value);
            }
        }
        fill_absent(node, of, &mut out);
        Ok(Some(Value::Object(out)))
    }

    fn map<'de, A: MapAccess<'de>>(self, element: Node<'a>, mut map: A) -> Result<Option<Value>, A::Error> {
        let context = self.context;
        let deep = !matches!(element.ty, Type::String | Type::Quantity | Type::Bytes);
        let mut out = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            if out.contains_key(&key) {
                context.report(&key, true);
            }
            if deep {
                context.path.push(Step::Key(key.clone()));
            }
            let value = map.next_value_seed(Seed { node: element, named: "", context: &mut *context })?;
            if deep {
                context.path.pop();
            }
            out.insert(key, value.unwrap_or_else(|| zero(element)));
        }
        Ok(Some(Value::Object(out)))
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_, '_> {
    type Value = Option<Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_, '_> {
    type Value = Option<Value>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Self::Value, E> {
        match self.node.ty {
            Type::Bool | Type::Any | Type::OrBool(_) => Ok(Some(value.into())),
            _ => Err(self.wrong("bool")),
        }
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Self::Value, E> {
        self.number(value)
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Self::Value, E> {
        match i64::try_from(value) {
            Ok(value) => self.number(value),
            Err(_) => match self.node.ty {
                Type::Float | Type::Any => Ok(Some(value.into())),
                Type::Quantity => self.text(&value.to_string()),
                Type::Int32 | Type::Int64 | Type::IntOrString => Err(self.wrong(&format!("number {value}"))),
                _ => Err(self.wrong("number")),
            },
        }
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Self::Value, E> {
        let number = serde_json::Number::from_f64(value).map(Value::Number);
        let text = || number.as_ref().map(Value::to_string).unwrap_or_default();
        match self.node.ty {
            Type::Float => Ok(super::canonical::float(value)),
            Type::Any => Ok(number),
            Type::Quantity => {
                let text = text();
                self.text(text.strip_suffix(".0").unwrap_or(&text))
            }
            Type::Int32 | Type::Int64 | Type::IntOrString => {
                let found = format!("number {}", text());
                Err(self.wrong(&found))
            }
            _ => Err(self.wrong("number")),
        }
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Self::Value, E> {
        self.text(value)
    }

    fn visit_string<E: de::Error>(self, value: String) -> Result<Self::Value, E> {
        match self.node.ty {
            Type::String | Type::IntOrString | Type::Any => Ok(Some(Value::String(value))),
            _ => self.text(&value),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        if self.node.ty == Type::Any {
            return Value::deserialize(SeqAccessDeserializer::new(items)).map(Some);
        }
        let lists = matches!(self.node.ty, Type::List(_) | Type::OrList(_) | Type::OrStrings(_));
        let Some(element) = self.node.element().filter(|_| lists) else { return Err(self.wrong("array")) };
        let mut out = Vec::with_capacity(items.size_hint().unwrap_or(0));
        loop {
            self.context.path.push(Step::Index(out.len()));
            let read = items.next_element_seed(Seed { node: element, named: "", context: &mut *self.context })?;
            self.context.path.pop();
            match read {
                Some(value) => out.push(value.unwrap_or_else(|| zero(element))),
                None => return Ok(Some(Value::Array(out))),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        if self.node.ty == Type::Any {
            return Value::deserialize(MapAccessDeserializer::new(map)).map(Some);
        }
        if let Some(of) = self.node.as_struct() {
            return self.structure(of, map);
        }
        match self.node.element() {
            Some(element) if matches!(self.node.ty, Type::Map(_)) => self.map(element, map),
            _ => Err(self.wrong("object")),
        }
    }
}

enum Key {
    Known(usize),
    Unknown(String),
}

/// Reads a struct's key without copying it when the struct has the field.
struct KeyOf<'a>(&'a Struct);

impl<'de> DeserializeSeed<'de> for KeyOf<'_> {
    type Value = Key;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Key, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for KeyOf<'_> {
    type Value = Key;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a field's name")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Key, E> {
        Ok(self.0.position(name).map_or_else(|| Key::Unknown(name.to_owned()), Key::Known))
    }
}

/// Which fields of a struct have come.
#[derive(Default)]
struct Seen {
    first: u64,
    rest: Vec<usize>,
}

impl Seen {
    /// Whether this field came before.
    fn again(&mut self, at: usize) -> bool {
        if at < 64 {
            let bit = 1 << at;
            let again = self.first & bit != 0;
            self.first |= bit;
            return again;
        }
        let again = self.rest.contains(&at);
        self.rest.push(at);
        again
    }
}
