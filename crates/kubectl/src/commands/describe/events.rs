//! The last section of a description: what was told about the object.

use client::Options;
use serde_json::Value;

use super::Subject;
use super::page::{self, Page, shown};
use crate::select;

/// Whose events are meant; empty parts are not asked for.
pub struct About<'a> {
    pub name: &'a str,
    pub namespace: &'a str,
    pub kind: &'a str,
    pub uid: &'a str,
}

/// Adds the events of the described object.
pub async fn append(subject: &Subject<'_>, page: &mut Page) {
    append_of(subject, page, &[about(subject.tree)]).await;
}

/// The object as its events name it.
pub fn about(tree: &Value) -> About<'_> {
    use machinery::meta;
    About { name: meta::name(tree), namespace: meta::namespace(tree), kind: meta::kind(tree), uid: meta::uid(tree) }
}

/// Adds the events of several references. Events that may not be read leave the section out, as upstream does.
pub async fn append_of(subject: &Subject<'_>, page: &mut Page, all: &[About<'_>]) {
    if !subject.show_events {
        return;
    }
    let mut found = Vec::new();
    for about in all {
        let Some(events) = search(subject, about).await else { return };
        found.extend(events);
    }
    describe(page, &mut found);
}

async fn search(subject: &Subject<'_>, about: &About<'_>) -> Option<Vec<Value>> {
    let served = subject.session.discovery().await.ok()?.of_kind("v1", "Event").ok()?;
    let mut selector = format!("involvedObject.name={},involvedObject.namespace={}", about.name, about.namespace);
    for (field, value) in [("kind", about.kind), ("uid", about.uid)] {
        if !value.is_empty() {
            selector.push_str(&format!(",involvedObject.{field}={value}"));
        }
    }
    let options = Options { field_selector: selector, ..Options::default() };
    let list = select::list(subject.session, served, about.namespace, options).await.ok()?;
    Some(list.items.iter().map(|object| Value::clone(&object.tree())).collect())
}

fn describe(page: &mut Page, events: &mut [Value]) {
    if events.is_empty() {
        return page.field(0, "Events", "<none>");
    }
    events.sort_by_key(|event| shown(&event["lastTimestamp"]));
    page.line(0, "Events:");
    page.line(1, "Type\tReason\tAge\tFrom\tMessage");
    page.line(1, "----\t------\t----\t----\t-------");
    for event in events.iter() {
        let cells = [
            shown(&event["type"]),
            shown(&event["reason"]),
            interval(event),
            page::or(&event["source"]["component"], &shown(&event["reportingComponent"])),
            shown(&event["message"]).trim().to_owned(),
        ];
        page.line(1, cells.join("\t"));
    }
}

/// `5m`, or `10s (x3 over 5m)` for what happened again.
pub fn interval(event: &Value) -> String {
    let first = match &event["eventTime"] {
        Value::Null => page::since(&event["firstTimestamp"]),
        time => page::since(time),
    };
    let series = &event["series"];
    if !series.is_null() {
        return format!(
            "{} (x{} over {first})",
            page::since(&series["lastObservedTime"]),
            page::number(&series["count"])
        );
    }
    match page::number(&event["count"]) {
        count if count > 1 => format!("{} (x{count} over {first})", page::since(&event["lastTimestamp"])),
        _ => first,
    }
}
