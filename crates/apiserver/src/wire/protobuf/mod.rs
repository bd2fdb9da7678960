//! Bodies in Kubernetes' protobuf encoding as trees: what typed clients (kubectl since 1.32) send.
//!
//! Only decoding: answers are JSON, which every client that sends protobuf accepts. Types come from the schemas,
//! field numbers from `numbers.txt`.
//!
//! Source: <https://kubernetes.io/docs/reference/using-api/api-concepts/#protobuf-encoding>.

mod numbers;
mod reader;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use machinery::names::GroupVersion;
use machinery::schema::{Node, Type};
use machinery::status::Status;
use serde_json::{Map, Value};

use numbers::Entry;
use reader::{Payload, Reader};

pub const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";
const MAGIC: &[u8] = b"k8s\0";
const DELETE_OPTIONS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions";
/// Deeper than any built-in type nests.
const DEPTH_MAX: usize = 64;

type Decoded<T> = Result<T, String>;

/// The object in the body, with its kind and apiVersion.
///
/// # Errors
/// 400 for what is not this encoding, or a kind that we do not know.
pub fn decode(bytes: &[u8]) -> Result<Value, Status> {
    let body = bytes.strip_prefix(MAGIC).ok_or_else(|| {
        Status::bad_request("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")
    })?;
    envelope(body).map_err(|why| Status::bad_request(format!("unable to decode protobuf body: {why}")))
}

/// `runtime.Unknown`: the type, and the object's own message.
fn envelope(body: &[u8]) -> Decoded<Value> {
    let (mut api_version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    let mut reader = Reader::new(body);
    while let Some((number, payload)) = reader.next()? {
        match (number, payload) {
            (1, Payload::Bytes(meta)) => {
                let mut reader = Reader::new(meta);
                while let Some((number, payload)) = reader.next()? {
                    match number {
                        1 => api_version = payload.text()?,
                        2 => kind = payload.text()?,
                        _ => {}
                    }
                }
            }
            (2, Payload::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let unknown = || format!("no kind {kind:?} is registered for version {api_version:?}");
    let version = GroupVersion::parse(&api_version).ok_or_else(unknown)?;
    let schemas = api::schemas();
    let schema = match kind.as_str() {
        "DeleteOptions" => schemas.get(DELETE_OPTIONS),
        _ => schemas.by_kind(&version.group, &version.version, &kind),
    };
    let schema = schema.ok_or_else(unknown)?;
    let mut tree = Map::new();
    message(schema.node(), &schema.definition().definition, raw, &mut tree, 0)?;
    tree.insert("kind".into(), kind.into());
    tree.insert("apiVersion".into(), api_version.into());
    Ok(tree.into())
}

/// The fields of a message into a struct's tree. `definition` names the message, which for inlined ones is
/// another than the struct's.
fn message(node: Node<'_>, definition: &str, bytes: &[u8], out: &mut Map<String, Value>, depth: usize) -> Decoded<()> {
    if depth > DEPTH_MAX {
        return Err("nested too deeply".into());
    }
    let Some(fields) = numbers::of(definition) else { return Err(format!("{definition} has no protobuf form here")) };
    let mut reader = Reader::new(bytes);
    while let Some((number, payload)) = reader.next()? {
        match fields.get(number) {
            Some(Entry::Inline(of)) => message(node, of, payload.bytes()?, out, depth + 1)?,
            Some(Entry::Field(name)) => {
                if let Some(child) = node.child(name) {
                    field(child, name, payload, out, depth)?;
                }
            }
            None => {}
        }
    }
    Ok(())
}

/// One occurrence of a field: lists and maps come item by item.
fn field(node: Node<'_>, name: &str, payload: Payload<'_>, out: &mut Map<String, Value>, depth: usize) -> Decoded<()> {
    let element = node.element();
    match (node.ty, element) {
        (Type::List(_), Some(element)) => {
            let items = values(element, payload, depth)?;
            let list = out.entry(name).or_insert_with(|| Value::Array(Vec::new()));
            if let Some(list) = list.as_array_mut() {
                list.extend(items);
            }
        }
        (Type::Map(_), Some(element)) => {
            let (key, value) = entry(element, payload.bytes()?, depth)?;
            let map = out.entry(name).or_insert_with(|| Value::Object(Map::new()));
            if let Some(map) = map.as_object_mut() {
                map.insert(key, value);
            }
        }
        _ => {
            if let Some(value) = value(node, payload, depth)? {
                out.insert(name.to_owned(), value);
            }
        }
    }
    Ok(())
}

/// Items of a list: usually one, several when numbers are packed.
fn values(element: Node<'_>, payload: Payload<'_>, depth: usize) -> Decoded<Vec<Value>> {
    match (element.ty, payload) {
        (Type::Int32 | Type::Int64, Payload::Bytes(packed)) => {
            let mut reader = Reader::new(packed);
            let mut all = Vec::new();
            while !reader.is_empty() {
                all.push(reader.varint()?.cast_signed().into());
            }
            Ok(all)
        }
        _ => Ok(value(element, payload, depth)?.into_iter().collect()),
    }
}

fn entry(element: Node<'_>, bytes: &[u8], depth: usize) -> Decoded<(String, Value)> {
    let (mut key, mut found) = (String::new(), None);
    let mut reader = Reader::new(bytes);
    while let Some((number, payload)) = reader.next()? {
        match number {
            1 => key = payload.text()?,
            // A list as a map's value is a message of its own with the items in field 1.
            2 if matches!(element.ty, Type::List(_)) => {
                let mut items = Vec::new();
                let mut inner = Reader::new(payload.bytes()?);
                while let (Some((_, item)), Some(of)) = (inner.next()?, element.element()) {
                    items.extend(value(of, item, depth + 1)?);
                }
                found = Some(Value::from(items));
            }
            2 => found = value(element, payload, depth + 1)?,
            _ => {}
        }
    }
    let absent = if element.ty == Type::String || element.ty == Type::Bytes { "".into() } else { Value::Null };
    Ok((key, found.unwrap_or(absent)))
}

/// One value; `None` for a zero time, which is absent.
fn value(node: Node<'_>, payload: Payload<'_>, depth: usize) -> Decoded<Option<Value>> {
    Ok(Some(match node.ty {
        Type::String => payload.text()?.into(),
        Type::Bytes => STANDARD.encode(payload.bytes()?).into(),
        Type::Bool => (payload.number()? != 0).into(),
        Type::Int32 | Type::Int64 => payload.number()?.cast_signed().into(),
        Type::Float => f64::from_bits(payload.number()?).into(),
        Type::Time | Type::MicroTime => return time(node.ty, payload.bytes()?),
        Type::Quantity => texts(payload.bytes()?)?.into(),
        Type::IntOrString => int_or_string(payload.bytes()?)?,
        Type::Any => any(payload.bytes()?)?,
        Type::List(_) | Type::Map(_) => return Err("a list inside a list".into()),
        Type::Struct(_) | Type::OrBool(_) | Type::OrList(_) | Type::OrStrings(_) => {
            let of = node.as_struct().ok_or("a struct without a definition")?;
            let mut tree = Map::new();
            message(node, &of.definition, payload.bytes()?, &mut tree, depth + 1)?;
            tree.into()
        }
    }))
}

fn time(ty: Type, bytes: &[u8]) -> Decoded<Option<Value>> {
    let (mut seconds, mut nanos) = (None, 0);
    let mut reader = Reader::new(bytes);
    while let Some((number, payload)) = reader.next()? {
        match number {
            1 => seconds = Some(payload.number()?.cast_signed()),
            2 => nanos = i32::try_from(payload.number()?).unwrap_or(0),
            _ => {}
        }
    }
    let Some(seconds) = seconds else { return Ok(None) };
    let at = jiff::Timestamp::new(seconds, nanos).map_err(|e| e.to_string())?;
    let format = if ty == Type::Time { "%Y-%m-%dT%H:%M:%SZ" } else { "%Y-%m-%dT%H:%M:%S%.6fZ" };
    Ok(Some(at.strftime(format).to_string().into()))
}

/// The text in field 1 of a message.
fn texts(bytes: &[u8]) -> Decoded<String> {
    let mut text = String::new();
    let mut reader = Reader::new(bytes);
    while let Some((number, payload)) = reader.next()? {
        if number == 1 {
            text = payload.text()?;
        }
    }
    Ok(text)
}

fn int_or_string(bytes: &[u8]) -> Decoded<Value> {
    let (mut is_text, mut number_value, mut text) = (false, 0, String::new());
    let mut reader = Reader::new(bytes);
    while let Some((number, payload)) = reader.next()? {
        match number {
            1 => is_text = payload.number()? == 1,
            2 => number_value = payload.number()?.cast_signed(),
            3 => text = payload.text()?,
            _ => {}
        }
    }
    Ok(if is_text { text.into() } else { number_value.into() })
}

/// Embedded JSON in field 1 (`RawExtension`, `FieldsV1`).
fn any(bytes: &[u8]) -> Decoded<Value> {
    let mut raw = &[][..];
    let mut reader = Reader::new(bytes);
    while let Some((number, payload)) = reader.next()? {
        if number == 1 {
            raw = payload.bytes()?;
        }
    }
    if raw.is_empty() { Ok(Value::Null) } else { serde_json::from_slice(raw).map_err(|e| e.to_string()) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn bytes(field: u8, payload: &[u8]) -> Vec<u8> {
        let mut out = vec![field << 3 | 2, u8::try_from(payload.len()).unwrap()];
        out.extend_from_slice(payload);
        out
    }

    #[test]
    fn an_object_is_decoded() {
        let meta = [bytes(1, b"x"), bytes(8, b""), bytes(11, &[bytes(1, b"k"), bytes(2, b"v")].concat())].concat();
        let secret =
            [bytes(1, &meta), bytes(2, &[bytes(1, b"a"), bytes(2, b"hi")].concat()), bytes(3, b"Opaque")].concat();
        let kind = [bytes(1, b"v1"), bytes(2, b"Secret")].concat();
        let body = [MAGIC, &bytes(1, &kind), &bytes(2, &secret)].concat();
        let want = json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "data": {"a": "aGk="},
            "metadata": {"name": "x", "labels": {"k": "v"}}});
        assert_eq!(decode(&body).unwrap(), want);
        assert_eq!(decode(b"{}").unwrap_err().code, 400);
        assert_eq!(decode(&body[..body.len() - 3]).unwrap_err().code, 400);
    }

    #[test]
    fn every_number_names_a_field_that_the_schema_has() {
        let mut missing = Vec::new();
        for schema in api::schemas().iter() {
            let definition = &schema.definition().definition;
            let Some(fields) = numbers::of(definition) else { continue };
            for name in fields.names() {
                if schema.node().child(name).is_none() {
                    missing.push(format!("{definition} {name}"));
                }
            }
        }
        assert!(missing.len() < 20, "{missing:#?}");
    }
}
