//! Server-side apply: merges a configuration into the live object, and refuses to take what others manage.

use serde_json::Value;

use super::compare::{compare, fields_of};
use super::entries::{self, Entries, Entry};
use super::last_applied::{follow, taken_over};
use super::prune::{merge, prune};
use super::sets::{self, Fields, field};
use super::{Writer, ignored, track};
use crate::schema::Schema;
use crate::status::{Cause, Details, Status};

/// The object after an apply.
#[derive(Debug)]
pub struct Applied {
    /// With its managedFields; not canonical and not defaulted yet.
    pub object: Value,
    /// Nothing changed but, perhaps, who manages what.
    pub same: bool,
}

/// Applies a configuration (decoded, not defaulted; only the fields that the applier has an opinion on) to the
/// live object (null on create).
///
/// # Errors
/// 409 with upstream's message when others manage fields with other values, unless `force`.
pub fn apply(
    schema: &Schema,
    live: &Value,
    config: &Value,
    writer: &Writer<'_>,
    force: bool,
) -> Result<Applied, Status> {
    if !config["metadata"]["managedFields"].is_null() {
        return Err(Status::bad_request("metadata.managedFields must be nil"));
    }
    let mut entries = Entries::read(&live["metadata"]["managedFields"]).unwrap_or_default();
    if entries.is_empty() && !live.is_null() {
        entries = before_first_apply(schema, live, writer);
    }
    let base = if live.is_null() { schema.zero() } else { live.clone() };
    let merged = merge(schema.node(), &base, config);
    let mut set = fields_of(schema.node(), config);
    set.remove(&field(ignored(schema, writer.subresource)));
    let last = entries.find(writer, "Apply").map(|entry| entry.fields.clone()).unwrap_or_default();
    entries.own(writer, "Apply").fields = set.clone();
    let object = prune(schema.node(), merged, &last, &entries);
    let changed = compare(schema.node(), &base, &object, ignored(schema, writer.subresource));
    let contested = sets::difference(&changed.touched, &taken_over(schema, live, writer));
    let conflicts = conflicts(&entries, &contested, writer);
    if !force && !conflicts.is_empty() {
        return Err(refusal(&conflicts));
    }
    let same = changed.is_empty();
    for entry in entries.0.iter_mut().filter(|entry| !is_own(entry, writer)) {
        sets::subtract(&mut entry.fields, &changed.touched);
        sets::subtract(&mut entry.fields, &changed.removed);
    }
    entries.0.retain(|entry| !entry.fields.is_empty());
    if (!same || set != last) && !set.is_empty() {
        entries.own(writer, "Apply").time = Some(writer.now.to_owned());
    }
    let mut object = object;
    entries::write(&mut object, entries);
    follow(&mut object, config, writer);
    Ok(Applied { object, same })
}

fn is_own(entry: &Entry, writer: &Writer<'_>) -> bool {
    entry.operation == "Apply" && entry.manager == writer.manager && entry.subresource == writer.subresource
}

/// Fields of an object that nobody managed belong to a manager of that name from the first apply on.
fn before_first_apply(schema: &Schema, live: &Value, writer: &Writer<'_>) -> Entries {
    let mut object = live.clone();
    let before = Writer { manager: "before-first-apply", subresource: "", ..*writer };
    track(schema, &Value::Null, &mut object, &before);
    Entries::read(&object["metadata"]["managedFields"]).unwrap_or_default()
}

/// What others own of the fields that changed.
fn conflicts<'a>(entries: &'a Entries, touched: &Fields, writer: &Writer<'_>) -> Vec<(&'a Entry, Vec<String>)> {
    let others = entries.0.iter().filter(|entry| !is_own(entry, writer));
    let theirs = others.map(|entry| (entry, sets::paths(&sets::intersection(&entry.fields, touched))));
    let mut conflicts: Vec<_> = theirs.filter(|(_, paths)| !paths.is_empty()).collect();
    conflicts.sort_by_key(|(entry, _)| (&entry.manager, &entry.operation, &entry.api_version, &entry.subresource));
    conflicts
}

fn shown(entry: &Entry) -> String {
    let mut text = format!("{:?}", entry.manager);
    if !entry.subresource.is_empty() {
        text.push_str(&format!(" with subresource {:?}", entry.subresource));
    }
    if entry.operation == "Update" {
        text.push_str(&format!(" using {}", entry.api_version));
    }
    text
}

fn refusal(conflicts: &[(&Entry, Vec<String>)]) -> Status {
    let count: usize = conflicts.iter().map(|(_, paths)| paths.len()).sum();
    let message = match conflicts {
        [(entry, paths)] if count == 1 => {
            format!("Apply failed with 1 conflict: conflict with {}: {}", shown(entry), paths[0])
        }
        _ => {
            let mut lines = Vec::new();
            for (entry, paths) in conflicts {
                lines.push(format!("conflicts with {}:", shown(entry)));
                lines.extend(paths.iter().map(|path| format!("- {path}")));
            }
            format!("Apply failed with {count} conflicts: {}", lines.join("\n"))
        }
    };
    let causes = conflicts.iter().flat_map(|(entry, paths)| {
        let message = format!("conflict with {}", shown(entry));
        paths.iter().map(move |path| Cause {
            reason: "FieldManagerConflict".into(),
            message: message.clone(),
            field: path.clone(),
        })
    });
    let details = Details { causes: causes.collect(), ..Details::default() };
    Status { details: Some(Box::new(details)), ..Status::failure(409, "Conflict", message) }
}
