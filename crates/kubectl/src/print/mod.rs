//! Output formats: `-o json|yaml|name|jsonpath=…|custom-columns=…|go-template=…|wide`, and plain tables.

mod columns;
mod go_template;
pub mod table;

use clap::ArgMatches;
use machinery::jsonpath::Template;
use serde::Serialize;
use serde_json::{Value, json};

use crate::failure::{Failure, Result, error};
use crate::flags;
pub use columns::Columns;
use go_template::GoTemplate;

const FORMATS: &str = "custom-columns,custom-columns-file,go-template,go-template-file,json,jsonpath,jsonpath-as-json,jsonpath-file,name,template,templatefile,wide,yaml";

/// What `-o` asks for.
pub enum Format {
    Table { wide: bool },
    Json,
    Yaml,
    Name,
    JsonPath(Template),
    JsonPathAsJson(Template),
    Columns(Columns),
    GoTemplate(GoTemplate),
}

impl Format {
    /// # Errors
    /// An unknown format, or a template that cannot be read.
    pub fn parse(text: &str) -> Result<Self> {
        let (name, rest) = text.split_once('=').map_or((text, None), |(name, rest)| (name, Some(rest)));
        let given = |what: &str| rest.map(str::to_owned).ok_or_else(|| Failure::Here(what.into()));
        let missing = "template format specified but no template given";
        Ok(match name {
            "" => Format::Table { wide: false },
            "wide" => Format::Table { wide: true },
            "json" => Format::Json,
            "yaml" => Format::Yaml,
            "name" => Format::Name,
            "jsonpath" => Format::JsonPath(template(&given(missing)?)?),
            "jsonpath-as-json" => Format::JsonPathAsJson(template(&given(missing)?)?),
            "jsonpath-file" => Format::JsonPath(template(&std::fs::read_to_string(given(missing)?)?)?),
            "go-template" | "template" => Format::GoTemplate(GoTemplate::parse(&given(missing)?)?),
            "go-template-file" | "templatefile" => {
                Format::GoTemplate(GoTemplate::parse(&std::fs::read_to_string(given(missing)?)?)?)
            }
            "custom-columns" => {
                Format::Columns(Columns::parse(&given("custom-columns format specified but no custom columns given")?)?)
            }
            "custom-columns-file" => Format::Columns(Columns::of_file(&std::fs::read_to_string(given(missing)?)?)?),
            other => {
                return error(format!(
                    "unable to match a printer suitable for the output format \"{other}\", allowed formats are: {FORMATS}"
                ));
            }
        })
    }

    /// As [`Format::parse`], with a template that may be given by `--template`.
    ///
    /// # Errors
    /// As [`Format::parse`].
    pub fn of(matches: &ArgMatches) -> Result<Self> {
        let (format, template) = (flags::of(matches, "output"), flags::try_of(matches, "template"));
        match format {
            _ if template.is_empty() => Self::parse(format),
            "" => Self::parse(&format!("go-template={template}")),
            format => Self::parse(&format!("{format}={template}")),
        }
    }

    pub fn is_table(&self) -> bool {
        matches!(self, Format::Table { .. })
    }

    /// One object, or a list, in a format that is no table; ends with a line's end where kubectl does.
    ///
    /// # Errors
    /// A path that the object does not have.
    pub fn object(&self, tree: &Value) -> Result<String> {
        Ok(match self {
            Format::Json => json(tree) + "\n",
            Format::Yaml => machinery::yaml::emit(tree),
            Format::JsonPath(template) => printed(template, tree)?,
            Format::JsonPathAsJson(template) => {
                let found = template.find(tree, true).map_err(|e| Failure::Here(path_error(&e, tree)))?;
                json(&Value::from(found.iter().flatten().map(|v| v.clone().into_owned()).collect::<Vec<_>>())) + "\n"
            }
            Format::Columns(columns) => columns.print(tree, true)?,
            Format::GoTemplate(template) => template.print(tree)?,
            Format::Name | Format::Table { .. } => String::new(),
        })
    }
}

fn template(text: &str) -> Result<Template> {
    Template::parse(text).map_err(|e| Failure::Here(format!("error parsing jsonpath {text}, {e}")))
}

fn printed(template: &Template, tree: &Value) -> Result<String> {
    template.print(tree, true).map_err(|e| Failure::Here(path_error(&e, tree)))
}

fn path_error(why: &str, _tree: &Value) -> String {
    format!("error executing jsonpath: {why}")
}

/// JSON as Go indents it: four spaces, `<`, `>` and `&` escaped.
pub fn json(tree: &Value) -> String {
    let mut out = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, formatter);
    // Writing a tree to memory has no failing path.
    let _ = tree.serialize(&mut serializer);
    let text = String::from_utf8_lossy(&out).into_owned();
    text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

/// Several objects as the `List` that kubectl prints.
pub fn list(items: Vec<Value>) -> Value {
    json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": items})
}

/// An object as people are shown it: without managedFields.
pub fn shown(tree: &Value) -> Value {
    let mut tree = tree.clone();
    if let Some(meta) = tree.get_mut("metadata").and_then(Value::as_object_mut) {
        meta.remove("managedFields");
    }
    tree
}
