//! `kubectl get -w`: what is there, then what changes, until the server or the user ends it.

use std::io::Write;

use clap::ArgMatches;
use client::Options;
use futures::StreamExt;
use machinery::request::Change;
use machinery::table::{Column, Table};
use serde_json::Value;

use super::{TABLE, is_everywhere, look, options, path, table_at, table_of};
use crate::commands::lines;
use crate::failure::{Failure, Result, error};
use crate::flags;
use crate::print::{self, Format, table};
use crate::select::{self, Named};
use crate::session::Session;

/// As wide as the longest event, MODIFIED.
const EVENT_WIDTH: usize = 8;

pub async fn run(session: &Session, matches: &ArgMatches, format: &Format, all: &[Named]) -> Result {
    let [named] = all else { return error("you may only specify a single resource type") };
    if named.names.len() > 1 {
        return error("you may only watch a single resource or type of resource at a time");
    }
    let namespace = select::namespace(session, &named.served, is_everywhere(matches));
    let mut options = options(matches);
    options.limit = None;
    if let Some(name) = named.names.first() {
        session.client.dynamic(named.served.resource()).get(&namespace, name).await?;
        options.field_selector = format!("metadata.name={name}");
    }
    if format.is_table() {
        return tables(session, matches, format, named, &namespace, options).await;
    }
    if flags::is_set(matches, "watch-only") {
        let list = select::list(session, &named.served, &namespace, options.clone()).await?;
        options.resource_version = list.revision.to_string();
    }
    objects(session, matches, format, named, &namespace, options).await
}

async fn objects(
    session: &Session,
    matches: &ArgMatches,
    format: &Format,
    named: &Named,
    namespace: &str,
    options: Options,
) -> Result {
    let with_events = flags::is_set(matches, "output-watch-events");
    let mut events = session.client.dynamic(named.served.resource()).watch(namespace, options).await?;
    while let Some(event) = events.next().await {
        let event = event?;
        let change = match event.change {
            Change::Added => "ADDED",
            Change::Modified => "MODIFIED",
            Change::Deleted => "DELETED",
            Change::Bookmark => continue,
        };
        let mut tree = print::shown(&event.object.tree());
        let name = machinery::meta::name(&tree).to_owned();
        if with_events {
            tree = serde_json::json!({"type": change, "object": tree});
        }
        match format {
            Format::Name => println!("{}/{name}", named.served.singular_qualified()),
            Format::Yaml => print!("---\n{}", format.object(&tree)?),
            _ => print!("{}", format.object(&tree)?),
        }
        std::io::stdout().flush()?;
    }
    Ok(())
}

async fn tables(
    session: &Session,
    matches: &ArgMatches,
    format: &Format,
    named: &Named,
    namespace: &str,
    mut options: Options,
) -> Result {
    let first = table_at(session, &path(named, namespace, "", &options, false), "").await?;
    options.resource_version = first.metadata.get("resourceVersion").and_then(Value::as_str).unwrap_or_default().into();
    let mut printer = Printer {
        look: look(matches, format, named, false),
        with_events: flags::is_set(matches, "output-watch-events"),
        with_header: !flags::is_set(matches, "no-headers"),
        columns: Vec::new(),
        widths: Vec::new(),
    };
    if !flags::is_set(matches, "watch-only") {
        printer.print(first, "ADDED")?;
    } else {
        printer.columns = first.column_definitions;
    }
    let path = path(named, namespace, "", &options, true);
    let mut lines = lines::of(&session.https, &path, TABLE).await?;
    while let Some(line) = lines.next().await {
        let event: Value = serde_json::from_str(&line?).map_err(|e| Failure::Here(e.to_string()))?;
        match event["type"].as_str().unwrap_or_default() {
            "BOOKMARK" => {}
            "ERROR" => {
                let status = serde_json::from_value(event["object"].clone()).unwrap_or_default();
                return Err(Failure::Server(status));
            }
            change => printer.print(table_of(event["object"].clone())?, change)?,
        }
    }
    Ok(())
}

/// Later lines keep the widths of earlier ones.
struct Printer {
    look: table::Look,
    with_events: bool,
    /// Until it is printed.
    with_header: bool,
    columns: Vec<Column>,
    widths: Vec<usize>,
}

impl Printer {
    fn print(&mut self, table: Table, change: &str) -> Result {
        if !table.column_definitions.is_empty() {
            self.columns = table.column_definitions;
        }
        let mut rows: Vec<Vec<String>> = table.rows.iter().map(|row| self.look.row(&self.columns, row)).collect();
        if self.with_events {
            rows.iter_mut().for_each(|row| row.insert(0, format!("{change:<EVENT_WIDTH$}")));
        }
        if rows.is_empty() {
            return Ok(());
        }
        if std::mem::take(&mut self.with_header) {
            let mut head = self.look.header(&self.columns);
            if self.with_events {
                head.insert(0, format!("{:<EVENT_WIDTH$}", "EVENT"));
            }
            rows.insert(0, head);
        }
        print!("{}", table::aligned_on(&rows, &mut self.widths));
        Ok(std::io::stdout().flush()?)
    }
}
