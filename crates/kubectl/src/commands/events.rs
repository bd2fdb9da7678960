//! `kubectl events`: what happened, oldest first.

use std::io::Write;

use clap::{ArgMatches, Command};
use client::Options;
use futures::StreamExt;
use machinery::request::Change;
use serde_json::Value;

use super::Entry;
use super::describe::events::interval;
use super::describe::page::shown;
use crate::failure::{Result, error};
use crate::print::{Format, list, shown as without_managed, table};
use crate::session::Session;
use crate::{flags, select};

pub const ENTRY: Entry = Entry { build, run: |matches| Box::pin(run(matches)) };

fn build() -> Command {
    Command::new("events")
        .about("List events.")
        .arg(flags::all_namespaces())
        .arg(flags::output("Output format. One of: (json, yaml, name, jsonpath, …)."))
        .arg(flags::switch("watch", "After listing the requested events, watch for more events.").short('w'))
        .arg(flags::text("for", "Filter events to only those pertaining to the specified resource."))
        .arg(flags::text("types", "Output only events of given types.").value_delimiter(','))
        .arg(flags::switch("no-headers", "When using the default output format, don't print headers."))
}

async fn run(matches: &ArgMatches) -> Result {
    let session = Session::open(matches).await?;
    let format = Format::parse(flags::of(matches, "output"))?;
    let types: Vec<String> = flags::all(matches, "types").iter().map(|t| t.to_lowercase()).collect();
    if let Some(other) = types.iter().find(|t| !matches!(t.as_str(), "normal" | "warning")) {
        return error(format!("valid --types are Normal or Warning: {other:?} is given"));
    }
    let everywhere = flags::is_set(matches, "all-namespaces");
    let served = session.discovery().await?.of_kind("v1", "Event")?;
    let namespace = select::namespace(&session, served, everywhere);
    let mut options = Options { field_selector: about(&session, matches).await?, ..Options::default() };
    let found = select::list(&session, served, &namespace, options.clone()).await?;
    let is_wanted = |event: &Value| types.is_empty() || types.contains(&shown(&event["type"]).to_lowercase());
    let mut events: Vec<Value> = found.items.iter().map(|object| Value::clone(&object.tree())).collect();
    events.retain(&is_wanted);
    events.sort_by_key(last_seen);
    if !format.is_table() {
        print!("{}", format.object(&list(events.iter().map(without_managed).collect()))?);
        return Ok(());
    }
    let watching = flags::is_set(matches, "watch");
    if events.is_empty() && !watching {
        match everywhere {
            true => eprintln!("No events found."),
            false => eprintln!("No events found in {namespace} namespace."),
        }
        return Ok(());
    }
    let header = !flags::is_set(matches, "no-headers");
    print!("{}", lines(&events, everywhere, header));
    if !watching {
        return Ok(());
    }
    options.resource_version = found.revision.to_string();
    let mut more = session.client.dynamic(served.resource()).watch(&namespace, options).await?;
    while let Some(event) = more.next().await {
        let event = event?;
        let tree = event.object.tree();
        if !matches!(event.change, Change::Bookmark | Change::Deleted) && is_wanted(&tree) {
            print!("{}", lines(&[Value::clone(&tree)], everywhere, false));
            std::io::stdout().flush()?;
        }
    }
    Ok(())
}

/// `--for pod/x` as a field selector.
async fn about(session: &Session, matches: &ArgMatches) -> Result<String> {
    let word = flags::of(matches, "for");
    if word.is_empty() {
        return Ok(String::new());
    }
    let Some((kind, name)) = word.split_once('/') else {
        return error("--for must be in resource/name form");
    };
    let served = session.discovery().await?.find(kind)?;
    Ok(format!("involvedObject.kind={},involvedObject.name={name}", served.kind))
}

/// When it happened last.
fn last_seen(event: &Value) -> String {
    let times = [&event["series"]["lastObservedTime"], &event["lastTimestamp"], &event["eventTime"]];
    times.into_iter().map(shown).find(|time| !time.is_empty()).unwrap_or_default()
}

fn lines(events: &[Value], everywhere: bool, header: bool) -> String {
    let mut rows = Vec::new();
    if header {
        rows.push(["NAMESPACE", "LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"].map(str::to_owned).to_vec());
    }
    for event in events {
        let about = &event["involvedObject"];
        rows.push(vec![
            machinery::meta::namespace(event).to_owned(),
            interval(event),
            shown(&event["type"]),
            shown(&event["reason"]),
            format!("{}/{}", shown(&about["kind"]), shown(&about["name"])),
            shown(&event["message"]).trim().to_owned(),
        ]);
    }
    if !everywhere {
        rows.iter_mut().for_each(|row| _ = row.remove(0));
    }
    table::aligned(&rows)
}
