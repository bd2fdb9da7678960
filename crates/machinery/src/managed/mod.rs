//! `metadata.managedFields`: who manages which field of an object.
//!
//! A set of fields is held as its own JSON form, FieldsV1: a trie whose keys are path elements (`f:name`,
//! `k:{"name":"a"}`, `v:"x"`) and whose empty leaves and `.` entries are members. So entries are read, changed and
//! written without being decoded. Source: <https://kubernetes.io/docs/reference/using-api/server-side-apply/>.
//!
//! ```text
//!   old, new ──compare──▶ touched, removed ──▶ the writer gains touched, all lose removed, others lose touched
//! ```

mod apply;
mod compare;
mod entries;
mod last_applied;
mod prune;
mod sets;
#[cfg(test)]
mod tests;

use serde_json::Value;

pub use apply::{Applied, apply};

use crate::schema::{Schema, Type};
use crate::tree;
use compare::{Comparison, compare};
use entries::{Entries, Entry};

/// Who writes, and how: what identifies an entry of `managedFields`.
#[derive(Clone, Copy, Debug)]
pub struct Writer<'a> {
    /// The field manager, from the request or the user agent's first word.
    pub manager: &'a str,
    /// `apps/v1`.
    pub api_version: &'a str,
    /// Empty for the object itself.
    pub subresource: &'a str,
    /// RFC 3339.
    pub now: &'a str,
}

/// Tracks an update: sets `new`'s managedFields from what changed since `old` (null on create).
///
/// The writer owns what it added or changed; everyone loses what was removed, others what was changed. Fields of
/// the other half (`status` for the object, `spec` for its status) are not looked at, since the write does not
/// change them. Called after defaults and before admission and the kind's `prepare`, as upstream does.
#[expect(clippy::too_many_arguments, reason = "the agreed form; `track` takes the writer as a value")]
pub fn update(
    schema: &Schema,
    old: &Value,
    new: &mut Value,
    manager: &str,
    operation: &str,
    api_version: &str,
    subresource: &str,
    now: &str,
) {
    // Server-side apply has its own function; an entry of that operation is made there only.
    if operation == "Update" {
        track(schema, old, new, &Writer { manager, api_version, subresource, now });
    }
}

/// The same with the writer as a value.
pub fn track(schema: &Schema, old: &Value, new: &mut Value, writer: &Writer<'_>) {
    let stored = &old["metadata"]["managedFields"];
    let changed = if old.is_null() {
        compare(schema.node(), &schema.zero(), new, ignored(schema, writer.subresource))
    } else {
        compare(schema.node(), old, new, ignored(schema, writer.subresource))
    };
    let sent = &new["metadata"]["managedFields"];
    if changed.is_empty() && (sent.is_null() || sent == stored) {
        if sent != stored {
            tree::set(new, "metadata.managedFields", stored.clone());
        }
        return;
    }
    let mut entries = starting_entries(stored, sent, writer);
    // An object that nobody manages stays so until somebody applies to it.
    if !entries.is_empty() || old["metadata"]["uid"].is_null() {
        gain(&mut entries, changed, writer);
    }
    entries::write(new, entries);
}

/// The entries to start from: those that the request carries, else the stored ones; none after a reset by a
/// single empty entry, and none where they cannot be read.
fn starting_entries(stored: &Value, sent: &Value, writer: &Writer<'_>) -> Entries {
    if writer.subresource.is_empty() {
        if is_reset(sent) {
            return Entries::default();
        }
        if let Some(sent) = Entries::read(sent).filter(|e| !e.is_empty()) {
            return sent;
        }
    }
    Entries::read(stored).unwrap_or_default()
}

/// `managedFields: [{}]` asks for a new beginning.
fn is_reset(sent: &Value) -> bool {
    matches!(sent.as_array().map(Vec::as_slice), Some([Value::Object(only)]) if only.is_empty())
}

/// Top-level fields that a write through this subresource leaves as they are.
fn ignored(schema: &Schema, subresource: &str) -> &'static str {
    let has_status = schema.definition().field("status").is_some_and(|f| matches!(f.ty, Type::Struct(_)));
    match subresource {
        "" if has_status => "status",
        "status" => "spec",
        _ => "",
    }
}

fn gain(entries: &mut Entries, changed: Comparison, writer: &Writer<'_>) {
    for entry in &mut entries.0 {
        sets::subtract(&mut entry.fields, &changed.touched);
        sets::subtract(&mut entry.fields, &changed.removed);
    }
    // Whoever lost everything is gone, unless it is this writer, who gains now.
    if !changed.touched.is_empty() {
        let own = entries.own(writer, "Update");
        sets::unite(&mut own.fields, changed.touched);
        own.time = Some(writer.now.to_owned());
    }
    entries.0.retain(|entry: &Entry| !entry.fields.is_empty());
    entries.cap();
}
