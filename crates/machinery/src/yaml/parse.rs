//! Reading: events of the parser into JSON trees.

use std::collections::BTreeMap;

use base64::Engine as _;
use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};
use serde_json::{Map, Value};

use super::resolve::resolve;

/// Values that aliases may add to one document: a few lines must not become gigabytes.
const ALIASED_VALUES_MAX: usize = 100_000;
const DEPTH_MAX: usize = 200;

/// Why a text is not YAML, in the words of Go's library: `yaml: line 3: …`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct YamlError(pub String);

/// The first document; null when there is none.
///
/// # Errors
/// It is malformed, or a key comes twice in a map.
pub fn parse(text: &str) -> Result<Value, YamlError> {
    if let Some(json) = as_json(text) {
        return Ok(json);
    }
    Reader::new(text).document().map(Option::unwrap_or_default)
}

/// All documents that are not empty.
///
/// # Errors
/// One of them is malformed, or a key comes twice in a map.
pub fn parse_all(text: &str) -> Result<Vec<Value>, YamlError> {
    if let Some(json) = as_json(text) {
        return Ok(vec![json]);
    }
    let mut reader = Reader::new(text);
    let mut documents = Vec::new();
    while let Some(document) = reader.document()? {
        if !document.is_null() {
            documents.push(document);
        }
    }
    Ok(documents)
}

/// JSON is YAML too, and read faster as what it is.
fn as_json(text: &str) -> Option<Value> {
    if text.trim_start().starts_with('{') { serde_json::from_str(text).ok() } else { None }
}

struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    anchors: BTreeMap<usize, Value>,
    aliased: usize,
    /// Problems that do not stop the reading, as Go collects them.
    problems: Vec<String>,
}

/// The parser's words, brought to those of Go's library where people know them.
fn failed(error: &ScanError) -> YamlError {
    let info = error.info();
    let problem = info.strip_prefix("while ").and_then(|i| i.split_once(", ")).map_or(info, |(_, problem)| problem);
    let problem = match problem {
        "simple key expected" => "could not find expected ':'",
        p if p.starts_with("unexpected character") || p.starts_with("tabs disallowed") => {
            "found character that cannot start any token"
        }
        p => p,
    };
    // Go's library counts lines from zero here and tells no zero.
    match error.marker().line() {
        0 | 1 => YamlError(format!("yaml: {problem}")),
        line => YamlError(format!("yaml: line {line}: {problem}")),
    }
}

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Self {
        let parser = Parser::new_from_str(text);
        Self { parser, anchors: BTreeMap::new(), aliased: 0, problems: Vec::new() }
    }

    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>, YamlError> {
        self.parser.next_event().transpose().map_err(|e| failed(&e))
    }

    /// The next document, `None` after the last.
    fn document(&mut self) -> Result<Option<Value>, YamlError> {
        let mut document = None;
        while let Some((event, span)) = self.next()? {
            match event {
                Event::DocumentEnd => break,
                Event::StreamStart | Event::DocumentStart(_) | Event::Nothing => {}
                Event::StreamEnd => return Ok(document),
                event => document = Some(self.value(event, span, 0)?),
            }
        }
        self.anchors.clear();
        if self.problems.is_empty() {
            return Ok(document);
        }
        Err(YamlError(format!("yaml: unmarshal errors:\n  {}", std::mem::take(&mut self.problems).join("\n  "))))
    }

    fn value(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Value, YamlError> {
        if depth > DEPTH_MAX {
            return Err(YamlError(format!("yaml: line {}: exceeded max depth of {DEPTH_MAX}", span.start.line())));
        }
        let (anchor, value) = match event {
            Event::Scalar(text, style, anchor, tag) => (anchor, scalar(&text, style, tag.as_deref())?),
            Event::SequenceStart(anchor, _) => (anchor, self.sequence(depth)?),
            Event::MappingStart(anchor, _) => (anchor, self.mapping(depth)?),
            Event::Alias(anchor) => return self.alias(anchor),
            other => return Err(YamlError(format!("yaml: line {}: unexpected {other:?}", span.start.line()))),
        };
        if anchor > 0 {
            self.anchors.insert(anchor, value.clone());
        }
        Ok(value)
    }

    fn alias(&mut self, anchor: usize) -> Result<Value, YamlError> {
        let value = self.anchors.get(&anchor).cloned();
        let value = value.ok_or_else(|| YamlError("yaml: anchor value contains itself".into()))?;
        self.aliased += size(&value);
        if self.aliased > ALIASED_VALUES_MAX {
            return Err(YamlError("yaml: document contains excessive aliasing".into()));
        }
        Ok(value)
    }

    fn sequence(&mut self, depth: usize) -> Result<Value, YamlError> {
        let mut items = Vec::new();
        while let Some((event, span)) = self.next()? {
            if event == Event::SequenceEnd {
                break;
            }
            items.push(self.value(event, span, depth + 1)?);
        }
        Ok(Value::Array(items))
    }

    fn mapping(&mut self, depth: usize) -> Result<Value, YamlError> {
        let (mut map, mut merged) = (Map::new(), Map::new());
        while let Some((event, span)) = self.next()? {
            if event == Event::MappingEnd {
                break;
            }
            let merges = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, ..) if text == "<<");
            let key = self.value(event, span, depth + 1)?;
            let Some((event, at)) = self.next()? else { break };
            let value = self.value(event, at, depth + 1)?;
            if merges {
                merge(&mut merged, value)?;
                continue;
            }
            let key = key_text(key)?;
            if map.contains_key(&key) {
                self.problems.push(format!("line {}: key {key:?} already set in map", span.start.line()));
            }
            map.insert(key, value);
        }
        for (key, value) in merged {
            map.entry(key).or_insert(value);
        }
        Ok(Value::Object(map))
    }
}

fn size(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(size).sum::<usize>(),
        Value::Object(map) => 1 + map.values().map(size).sum::<usize>(),
        _ => 1,
    }
}

/// `<<`: the entries of a map, or of several, the first of which wins.
fn merge(into: &mut Map<String, Value>, value: Value) -> Result<(), YamlError> {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                into.entry(key).or_insert(value);
            }
            Ok(())
        }
        Value::Array(maps) => maps.into_iter().try_for_each(|map| merge(into, map)),
        _ => Err(YamlError("yaml: map merge requires map or sequence of maps as the value".into())),
    }
}

/// JSON's keys are texts; numbers and booleans become such.
fn key_text(key: Value) -> Result<String, YamlError> {
    match key {
        Value::String(text) => Ok(text),
        Value::Bool(_) | Value::Number(_) => Ok(key.to_string()),
        Value::Null => Err(YamlError("Unsupported map key of type: %!s(<nil>), key: <nil>".into())),
        other => Err(YamlError(format!("yaml: invalid map key: {other}"))),
    }
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Value, YamlError> {
    let tag = tag.filter(|t| t.is_yaml_core_schema()).map(|t| t.suffix.as_str());
    match tag {
        Some("str") => return Ok(text.into()),
        Some("binary") => {
            let compact: String = text.split_whitespace().collect();
            let bytes = base64::engine::general_purpose::STANDARD.decode(compact);
            let bytes = bytes.map_err(|_| YamlError("yaml: !!binary value contains invalid base64 data".into()))?;
            return Ok(String::from_utf8_lossy(&bytes).into_owned().into());
        }
        None if style != ScalarStyle::Plain => return Ok(text.into()),
        _ => {}
    }
    let resolved = resolve(text).map_err(YamlError)?;
    let value = resolved.unwrap_or_else(|| text.into());
    let fits = match tag {
        Some("int") => value.is_i64() || value.is_u64(),
        Some("float") => value.is_number(),
        Some("bool") => value.is_boolean(),
        Some("null") => value.is_null(),
        _ => true,
    };
    if fits {
        Ok(value)
    } else {
        Err(YamlError(format!("yaml: cannot decode !!str `{text}` as a !!{}", tag.unwrap_or(""))))
    }
}
