//! A field's page from an OpenAPI v3 document: kind, description, and the fields below with their types.
//!
//! ```text
//!   paths ─▶ the resource's kind ─▶ its schema ─▶ follow the field path ─▶ description, list of fields
//!            $ref, allOf, items and additionalProperties are looked through on the way
//! ```

use std::collections::BTreeSet;

use serde_json::Value;

use super::wrap::wrapped;
use crate::commands::describe::page::{entries, items, shown};
use crate::failure::{Failure, Result, error};

const GVK: &str = "x-kubernetes-group-version-kind";
const WIDTH: usize = 80;
const INDENT: usize = 2;
/// So many values of an enumeration are shown in a list of fields.
const VALUES_SHOWN_MAX: usize = 4;

/// An OpenAPI v3 document.
pub struct Document<'a> {
    pub tree: &'a Value,
    pub recursive: bool,
}

/// What was seen on the way: references, so that types that hold themselves end.
type Seen = BTreeSet<String>;

impl Document<'_> {
    /// `KIND:` and `VERSION:` of a resource, and its schema.
    ///
    /// # Errors
    /// The document knows no such resource.
    pub fn kind(&self, group: &str, version: &str, plural: &str) -> Result<(String, &Value)> {
        let root = if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
        let paths = ["", "/namespaces/{namespace}"].map(|scope| format!("{root}{scope}/{plural}"));
        let gvk = paths.iter().flat_map(|path| [path.clone(), format!("{path}/{{name}}")]).find_map(|path| {
            let methods = &self.tree["paths"][path];
            ["get", "post", "put", "patch", "delete"]
                .iter()
                .map(|method| &methods[method][GVK])
                .find(|gvk| !gvk.is_null())
        });
        let Some(gvk) = gvk else {
            return error(format!("GVR ({group}/{version}, Resource={plural}) not found in OpenAPI schema"));
        };
        let mut head = String::new();
        if gvk["group"].as_str().is_some_and(|group| !group.is_empty()) {
            head.push_str(&format!("GROUP:      {}\n", shown(&gvk["group"])));
        }
        head.push_str(&format!("KIND:       {}\nVERSION:    {}\n\n", shown(&gvk["kind"]), shown(&gvk["version"])));
        let mut schemas = entries(&self.tree["components"]["schemas"]);
        match schemas.find(|(_, schema)| items(&schema[GVK]).contains(gvk)) {
            Some((_, schema)) => Ok((head, schema)),
            None => error(format!("GVK {gvk} not found in OpenAPI schema")),
        }
    }

    /// The page of a field below a schema.
    ///
    /// # Errors
    /// `field "x" does not exist`.
    pub fn page(&self, schema: &Value, path: &[String]) -> Result<String> {
        let text = self.field(schema, path, &Seen::new());
        if text.is_empty() {
            return Err(Failure::Here(format!("field {:?} does not exist", path.last().cloned().unwrap_or_default())));
        }
        Ok(text)
    }

    /// The page at the end of the path; nothing when there is no such field.
    fn field(&self, schema: &Value, path: &[String], seen: &Seen) -> String {
        let reference = schema["$ref"].as_str().unwrap_or_default();
        let resolved = self.resolved(schema);
        let Some((first, rest)) = path.split_first() else { return self.section(resolved) };
        if !reference.is_empty() && seen.contains(reference) {
            return String::new();
        }
        let mut seen = seen.clone();
        seen.insert(reference.to_owned());
        let below = &resolved["properties"][first];
        if !below.is_null() {
            let mut text = String::new();
            if rest.is_empty() {
                text = format!("FIELD: {first} <{}>\n{}\n\n", self.type_of(below), values(below, None));
            }
            return text + &self.field(below, rest, &Seen::new());
        }
        if let Some(inner) = inner(resolved) {
            return self.field(inner, path, &seen);
        }
        let all = items(&resolved["allOf"]).iter().map(|part| self.field(part, path, &seen));
        all.into_iter().find(|text| !text.is_empty()).unwrap_or_default()
    }

    fn section(&self, schema: &Value) -> String {
        let mut description = self.description(schema);
        if description.is_empty() {
            description.push_str("<empty>");
        }
        let fields = self.fields(schema, 1, &Seen::new());
        let title = if fields.is_empty() { "" } else { "FIELDS:\n" };
        format!("DESCRIPTION:\n{}\n{title}{fields}", indented(&wrapped(&description, WIDTH - 4), 4))
    }

    fn resolved<'a>(&'a self, schema: &'a Value) -> &'a Value {
        let pointer = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
        pointer.and_then(|pointer| self.tree.pointer(pointer)).unwrap_or(schema)
    }

    /// A schema's description with those of what it is made of.
    fn description(&self, schema: &Value) -> String {
        let schema = self.resolved(schema);
        let mut text = shown(&schema["description"]);
        if !text.is_empty() {
            text.push('\n');
        }
        items(&schema["allOf"]).iter().for_each(|part| text.push_str(&self.description(part)));
        for inner in [&schema["items"], &schema["additionalProperties"]] {
            if inner.is_object() {
                text.push_str(&self.description(inner));
            }
        }
        text
    }

    fn fields(&self, schema: &Value, level: usize, seen: &Seen) -> String {
        let reference = schema["$ref"].as_str().unwrap_or_default();
        if !reference.is_empty() && seen.contains(reference) {
            return String::new();
        }
        let mut seen = seen.clone();
        seen.insert(reference.to_owned());
        let resolved = self.resolved(schema);
        let mut text = String::new();
        for (name, field) in entries(&resolved["properties"]) {
            let is_required = items(&resolved["required"]).iter().any(|required| required == name);
            text.push_str(&self.line(name, field, is_required, level));
            if self.recursive {
                text.push_str(&self.fields(field, level + 1, &seen));
            }
        }
        let parts = items(&resolved["allOf"]).iter();
        parts.for_each(|part| text.push_str(&self.fields(part, level, &seen)));
        for inner in [&resolved["items"], &resolved["additionalProperties"]] {
            if inner.is_object() {
                text.push_str(&self.fields(inner, level, &seen));
            }
        }
        text
    }

    fn line(&self, name: &str, field: &Value, is_required: bool, level: usize) -> String {
        let depth = level * INDENT;
        let required = if is_required { " -required-" } else { "" };
        let head =
            format!("{}{name}\t<{}>{required}{}\n", " ".repeat(depth), self.type_of(field), values(field, Some(depth)));
        if self.recursive {
            return head;
        }
        let description = match field["description"].as_str() {
            None | Some("") => "<no description>",
            Some(text) => text,
        };
        format!("{head}{}\n\n", indented(&wrapped(description, WIDTH - INDENT - depth), depth + INDENT))
    }

    /// `string`, `[]Container`, `map[string]string`, `PodSpec`.
    fn type_of(&self, schema: &Value) -> String {
        let own = || match schema["type"].as_str() {
            None | Some("" | "object") => "Object".to_owned(),
            Some(other) => other.to_owned(),
        };
        if schema["items"].is_object() {
            return format!("[]{}", self.type_of(&schema["items"]));
        }
        if schema["additionalProperties"].is_object() {
            return format!("map[string]{}", self.type_of(&schema["additionalProperties"]));
        }
        if let ([only], true) = (items(&schema["allOf"]), schema["properties"].is_null()) {
            return self.type_of(only);
        }
        let Some(reference) = schema["$ref"].as_str() else { return own() };
        match self.resolved(schema)["type"].as_str() {
            None | Some("" | "object") => reference.rsplit(['/', '.']).next().unwrap_or("Object").to_owned(),
            Some(primitive) => primitive.to_owned(),
        }
    }
}

/// What a list or a map holds.
fn inner(schema: &Value) -> Option<&Value> {
    [&schema["items"], &schema["additionalProperties"]].into_iter().find(|inner| inner.is_object())
}

/// The values of an enumeration: all of them below each other, or the first ones in a line at a depth.
fn values(schema: &Value, depth: Option<usize>) -> String {
    let all = items(&schema["enum"]).iter().map(|value| match shown(value) {
        empty if empty.is_empty() => "\"\"".to_owned(),
        text => text,
    });
    let all: Vec<String> = all.collect();
    match depth {
        _ if all.is_empty() => String::new(),
        None => format!("ENUM:{}", all.iter().map(|value| format!("\n    {value}")).collect::<String>()),
        Some(depth) => {
            let more = if all.len() > VALUES_SHOWN_MAX { ", ...." } else { "" };
            let first: Vec<String> = all.into_iter().take(VALUES_SHOWN_MAX).collect();
            format!("\n{}enum: {}{more}", " ".repeat(depth), first.join(", "))
        }
    }
}

fn indented(text: &str, depth: usize) -> String {
    let pad = " ".repeat(depth);
    format!("{pad}{}", text.replace('\n', &format!("\n{pad}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn types_that_hold_themselves_end() {
        let tree = json!({"components": {"schemas": {"x.Tree": {
            "type": "object", "description": "A tree.", "required": ["name"],
            "properties": {
                "name": {"type": "string", "enum": ["", "a"]},
                "below": {"type": "array", "items": {"$ref": "#/components/schemas/x.Tree"}},
            },
        }}}});
        let schema = json!({"$ref": "#/components/schemas/x.Tree"});
        let document = Document { tree: &tree, recursive: true };
        let text = document.page(&schema, &[]).unwrap();
        let below = "    below\t<[]Tree>\n    name\t<string> -required-\n    enum: \"\", a\n";
        let wanted = format!(
            "DESCRIPTION:\n    A tree.\n    \nFIELDS:\n  below\t<[]Tree>\n{below}  name\t<string> -required-\n  enum: \"\", a\n"
        );
        assert_eq!(text, wanted);
        assert!(
            document
                .page(&schema, &["below".into(), "below".into(), "name".into()])
                .unwrap()
                .starts_with("FIELD: name")
        );
        assert_eq!(document.page(&schema, &["x".into()]).unwrap_err().to_string(), "error: field \"x\" does not exist");
    }
}
