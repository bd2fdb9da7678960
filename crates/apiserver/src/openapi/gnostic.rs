//! An OpenAPI v2 document in gnostic's protobuf encoding, which kubectl 1.20 to 1.28 insist on.
//!
//! Only the messages and fields that our documents use are written; field numbers are gnostic's
//! `openapi.v2` ones.

use serde_json::{Map, Value};

/// The whole document, from its JSON form.
pub fn encode(document: &Value) -> Vec<u8> {
    let mut out = Writer::default();
    out.text(1, &document["swagger"]);
    out.message(2, |info| {
        info.text(1, &document["info"]["title"]);
        info.text(2, &document["info"]["version"]);
    });
    out.message(8, |paths| {
        for (name, item) in entries(&document["paths"]) {
            paths.message(2, |named| {
                named.string(1, name);
                named.message(2, |value| path_item(value, item));
            });
        }
    });
    out.message(9, |definitions| named_schemas(definitions, &document["definitions"]));
    out.0
}

/// Writes protobuf fields; empty strings and absent values are left out.
#[derive(Default)]
struct Writer(Vec<u8>);

const LENGTH_DELIMITED: u64 = 2;

impl Writer {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(u8::try_from(value & 0x7f).unwrap_or(0) | 0x80);
            value >>= 7;
        }
        self.0.push(u8::try_from(value).unwrap_or(0));
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.varint(field << 3 | LENGTH_DELIMITED);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn string(&mut self, field: u64, text: &str) {
        if !text.is_empty() {
            self.bytes(field, text.as_bytes());
        }
    }

    fn text(&mut self, field: u64, value: &Value) {
        self.string(field, value.as_str().unwrap_or_default());
    }

    fn texts(&mut self, field: u64, values: &Value) {
        for value in values.as_array().into_iter().flatten() {
            self.bytes(field, value.as_str().unwrap_or_default().as_bytes());
        }
    }

    fn flag(&mut self, field: u64, value: &Value) {
        if value.as_bool() == Some(true) {
            self.varint(field << 3);
            self.varint(1);
        }
    }

    /// A submessage; written when empty too, because presence counts in `oneof`.
    fn message(&mut self, field: u64, write: impl FnOnce(&mut Writer)) {
        let mut inner = Writer::default();
        write(&mut inner);
        self.bytes(field, &inner.0);
    }

    /// `x-…` members as NamedAny; their value is YAML text, and JSON is YAML.
    fn extensions(&mut self, field: u64, tree: &Value) {
        for (name, value) in entries(tree).filter(|(name, _)| name.starts_with("x-")) {
            self.message(field, |named| {
                named.string(1, name);
                named.message(2, |any| any.string(2, &format!("{value}\n")));
            });
        }
    }
}

fn entries(tree: &Value) -> impl Iterator<Item = (&String, &Value)> {
    tree.as_object().into_iter().flat_map(Map::iter)
}

fn path_item(out: &mut Writer, item: &Value) {
    for (method, field) in [("get", 2), ("put", 3), ("post", 4), ("delete", 5), ("patch", 8)] {
        if item[method].is_object() {
            out.message(field, |value| operation(value, &item[method]));
        }
    }
}

fn operation(out: &mut Writer, tree: &Value) {
    out.texts(1, &tree["tags"]);
    out.text(5, &tree["operationId"]);
    out.texts(6, &tree["produces"]);
    out.texts(7, &tree["consumes"]);
    for one in tree["parameters"].as_array().into_iter().flatten() {
        out.message(8, |item| item.message(1, |value| parameter(value, one)));
    }
    out.message(9, |responses| {
        for (code, response) in entries(&tree["responses"]) {
            responses.message(1, |named| {
                named.string(1, code);
                named.message(2, |value| value.message(1, |body| answer(body, response)));
            });
        }
    });
    out.texts(10, &tree["schemes"]);
    out.extensions(13, tree);
}

fn answer(out: &mut Writer, response: &Value) {
    out.text(1, &response["description"]);
    if response["schema"].is_object() {
        out.message(2, |item| item.message(1, |value| schema(value, &response["schema"])));
    }
}

/// Parameter: a body, or one of query and path.
fn parameter(out: &mut Writer, tree: &Value) {
    match tree["in"].as_str() {
        Some("body") => out.message(1, |body| {
            body.text(2, &tree["name"]);
            body.text(3, &tree["in"]);
            body.flag(4, &tree["required"]);
            body.message(5, |value| schema(value, &tree["schema"]));
        }),
        place => out.message(2, |other| {
            let (field, type_field, unique_field) = if place == Some("path") { (4, 5, 19) } else { (3, 6, 20) };
            other.message(field, |value| {
                value.flag(1, &tree["required"]);
                value.text(2, &tree["in"]);
                value.text(4, &tree["name"]);
                value.text(type_field, &tree["type"]);
                value.flag(unique_field, &tree["uniqueItems"]);
            });
        }),
    }
}

fn named_schemas(out: &mut Writer, schemas: &Value) {
    for (name, tree) in entries(schemas) {
        out.message(1, |named| {
            named.string(1, name);
            named.message(2, |value| schema(value, tree));
        });
    }
}

fn schema(out: &mut Writer, tree: &Value) {
    out.text(1, &tree["$ref"]);
    out.text(2, &tree["format"]);
    out.text(4, &tree["description"]);
    if !tree["default"].is_null() {
        out.message(5, |any| any.string(2, &format!("{}\n", tree["default"])));
    }
    out.texts(19, &tree["required"]);
    if tree["additionalProperties"].is_object() {
        out.message(21, |item| item.message(1, |value| schema(value, &tree["additionalProperties"])));
    }
    if tree["type"].is_string() {
        out.message(22, |item| item.text(1, &tree["type"]));
    }
    if tree["items"].is_object() {
        out.message(23, |item| item.message(1, |value| schema(value, &tree["items"])));
    }
    if tree["properties"].is_object() {
        out.message(25, |properties| named_schemas(properties, &tree["properties"]));
    }
    out.extensions(31, tree);
}
