//! The list in `metadata.managedFields`: its entries, their identity and order.

use std::cmp::Ordering;

use serde_json::{Map, Value, json};

use super::Writer;
use super::sets::{self, Fields};
use crate::tree;

/// Upstream's limit on entries made by updates; the oldest become one.
const UPDATERS_MAX: usize = 10;
const BUCKET: &str = "ancient-changes";

#[derive(Clone, Debug, Default)]
pub struct Entry {
    pub manager: String,
    /// `Apply` or `Update`.
    pub operation: String,
    pub api_version: String,
    pub subresource: String,
    pub time: Option<String>,
    pub fields: Fields,
}

impl Entry {
    /// Applying has one entry per manager and subresource, updating one per version too.
    fn is_of(&self, writer: &Writer<'_>, operation: &str) -> bool {
        self.manager == manager_name(writer)
            && self.operation == operation
            && self.subresource == writer.subresource
            && (operation == "Apply" || self.api_version == writer.api_version)
    }

    fn order(&self, other: &Self) -> Ordering {
        let by = |e: &Self| {
            (e.operation.clone(), e.time.clone(), e.manager.clone(), e.api_version.clone(), e.subresource.clone())
        };
        by(self).cmp(&by(other))
    }
}

fn manager_name<'a>(writer: &Writer<'a>) -> &'a str {
    if writer.manager.is_empty() { "unknown" } else { writer.manager }
}

#[derive(Clone, Debug, Default)]
pub struct Entries(pub Vec<Entry>);

impl Entries {
    /// Reads the list; `None` when an entry is malformed, which upstream takes for no list at all.
    pub fn read(list: &Value) -> Option<Self> {
        list.as_array().into_iter().flatten().map(read_entry).collect::<Option<Vec<_>>>().map(Self)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn find(&self, writer: &Writer<'_>, operation: &str) -> Option<&Entry> {
        self.0.iter().find(|entry| entry.is_of(writer, operation))
    }

    /// The writer's own entry, made when it is not there.
    pub fn own(&mut self, writer: &Writer<'_>, operation: &str) -> &mut Entry {
        let at = self.0.iter().position(|entry| entry.is_of(writer, operation)).unwrap_or_else(|| {
            self.0.push(Entry {
                manager: manager_name(writer).to_owned(),
                operation: operation.to_owned(),
                subresource: writer.subresource.to_owned(),
                ..Entry::default()
            });
            self.0.len() - 1
        });
        let entry = &mut self.0[at];
        entry.api_version = writer.api_version.to_owned();
        entry
    }

    /// Brings the number of updaters under the limit: the oldest of a version are put into one bucket.
    pub fn cap(&mut self) {
        let mut updaters = self.0.iter().filter(|e| e.operation == "Update").count();
        if updaters <= UPDATERS_MAX {
            return;
        }
        self.0.sort_by(|a, b| a.time.cmp(&b.time).then_with(|| a.manager.cmp(&b.manager)));
        let mut kept: Vec<Entry> = Vec::with_capacity(self.0.len());
        for entry in std::mem::take(&mut self.0) {
            let bucket = kept.iter_mut().find(|e| e.operation == "Update" && e.api_version == entry.api_version);
            match bucket {
                Some(bucket) if updaters > UPDATERS_MAX && entry.operation == "Update" => {
                    bucket.manager = BUCKET.to_owned();
                    bucket.subresource = String::new();
                    bucket.time = entry.time;
                    sets::unite(&mut bucket.fields, entry.fields);
                    updaters -= 1;
                }
                _ => kept.push(entry),
            }
        }
        self.0 = kept;
    }
}

fn read_entry(entry: &Value) -> Option<Entry> {
    let text = |name: &str| entry[name].as_str().unwrap_or("").to_owned();
    let good = matches!(entry["operation"].as_str(), Some("Apply" | "Update")) && entry["fieldsType"] == "FieldsV1";
    if !good || text("apiVersion").is_empty() {
        return None;
    }
    Some(Entry {
        manager: text("manager"),
        operation: text("operation"),
        api_version: text("apiVersion"),
        subresource: text("subresource"),
        time: entry["time"].as_str().map(str::to_owned),
        fields: entry["fieldsV1"].as_object().cloned().unwrap_or_default(),
    })
}

/// Puts the entries into an object, sorted as upstream sorts them; none leave no list.
pub fn write(object: &mut Value, mut entries: Entries) {
    if entries.is_empty() {
        tree::remove(object, "metadata.managedFields");
        return;
    }
    entries.0.sort_by(Entry::order);
    let list: Vec<Value> = entries.0.into_iter().map(write_entry).collect();
    tree::map_mut(object, "metadata").insert("managedFields".to_owned(), Value::Array(list));
}

fn write_entry(entry: Entry) -> Value {
    let mut out = Map::new();
    let texts = [
        ("apiVersion", entry.api_version),
        ("fieldsType", "FieldsV1".to_owned()),
        ("manager", entry.manager),
        ("operation", entry.operation),
        ("subresource", entry.subresource),
        ("time", entry.time.unwrap_or_default()),
    ];
    out.extend(
        texts.into_iter().filter(|(_, text)| !text.is_empty()).map(|(name, text)| (name.to_owned(), json!(text))),
    );
    out.insert("fieldsV1".to_owned(), Value::Object(entry.fields));
    Value::Object(out)
}
