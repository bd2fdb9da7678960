//! `kubectl get`: tables from the server, objects in other formats, and watches of both.

mod watch;

use std::io::Write;

use clap::{ArgMatches, Command};
use client::Options;
use http::Method;
use machinery::jsonpath::{Template, relaxed};
use machinery::request::Verb;
use machinery::table::{Column, Row, Table};
use serde_json::Value;

use super::Entry;
use crate::failure::{Failure, Result};
use crate::print::{self, Format, table};
use crate::select::{self, Named};
use crate::session::Session;
use crate::{files, flags};

pub const ENTRY: Entry = Entry { build, run: |matches| Box::pin(run(matches)) };

const TABLE: &str =
    "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";

fn build() -> Command {
    Command::new("get")
        .about("Display one or many resources.")
        .arg(flags::resources())
        .arg(flags::filenames())
        .arg(flags::recursive())
        .arg(flags::selector())
        .arg(flags::field_selector())
        .arg(flags::all_namespaces())
        .arg(flags::output("Output format. One of: (json, yaml, name, jsonpath, jsonpath-as-json, jsonpath-file, custom-columns, custom-columns-file, wide)."))
        .arg(flags::switch("watch", "After listing/getting the requested object, watch for changes.").short('w'))
        .arg(flags::switch("watch-only", "Watch for changes to the requested object(s), without listing/getting first."))
        .arg(flags::switch("output-watch-events", "Output watch event objects when --watch or --watch-only is used."))
        .arg(flags::switch("no-headers", "When using the default or custom-column output format, don't print headers."))
        .arg(flags::switch("show-labels", "When printing, show all labels as the last column."))
        .arg(flags::switch("show-kind", "If present, list the resource type for the requested object(s)."))
        .arg(flags::switch("show-managed-fields", "If true, keep the managedFields when printing objects in JSON or YAML format."))
        .arg(flags::switch("ignore-not-found", "If the requested object does not exist the command will return exit code 0."))
        .arg(flags::text("label-columns", "Accepts a comma separated list of labels that are going to be presented as columns.").short('L').action(clap::ArgAction::Append))
        .arg(flags::text("sort-by", "If non-empty, sort list types using this field specification."))
        .arg(flags::text("chunk-size", "Return large lists in chunks rather than all at once.").default_value("500"))
        .arg(flags::text("raw", "Raw URI to request from the server."))
}

async fn run(matches: &ArgMatches) -> Result {
    let session = Session::open(matches).await?;
    let raw = flags::of(matches, "raw");
    if !raw.is_empty() {
        let answer = session.https.raw(Method::GET, raw, "application/json, */*", None).await?;
        return Ok(std::io::stdout().write_all(&answer.body)?);
    }
    let format = Format::of(matches)?;
    let named = named(&session, matches).await?;
    if flags::is_set(matches, "watch") || flags::is_set(matches, "watch-only") {
        return watch::run(&session, matches, &format, &named).await;
    }
    if format.is_table() {
        return tables(&session, matches, &format, &named).await;
    }
    objects(&session, matches, &format, &named).await
}

async fn named(session: &Session, matches: &ArgMatches) -> Result<Vec<Named>> {
    let filenames = flags::all(matches, "filename");
    if filenames.is_empty() {
        let words = flags::all(matches, "resources");
        if words.is_empty() {
            return Err(Failure::Plain("You must specify the type of resource to get. Use \"kubectl api-resources\" for a complete list of supported resources.\n\nerror: Required resource not specified.\nUse \"kubectl explain <resource>\" for a detailed description of that resource (e.g. kubectl explain pods).\nSee 'kubectl get -h' for help and examples".into()));
        }
        select::agree(&words, select::is_selected(matches))?;
        return select::words(session, &words).await;
    }
    let discovery = session.discovery().await?;
    let mut named = Vec::new();
    for given in files::read(&filenames, flags::is_set(matches, "recursive")).await? {
        let served =
            discovery.of_kind(machinery::meta::api_version(&given.tree), machinery::meta::kind(&given.tree))?;
        named.push(Named { served: served.clone(), names: vec![machinery::meta::name(&given.tree).into()] });
    }
    Ok(named)
}

fn options(matches: &ArgMatches) -> Options {
    Options {
        label_selector: flags::of(matches, "selector").into(),
        field_selector: flags::of(matches, "field-selector").into(),
        limit: flags::of(matches, "chunk-size").parse().ok().filter(|size| *size > 0),
        ..Options::default()
    }
}

fn is_everywhere(matches: &ArgMatches) -> bool {
    flags::is_set(matches, "all-namespaces")
}

// === tables ===

fn look(matches: &ArgMatches, format: &Format, named: &Named, several: bool) -> table::Look {
    let with_kind = several || flags::is_set(matches, "show-kind");
    table::Look {
        wide: matches!(format, Format::Table { wide: true }),
        show_labels: flags::is_set(matches, "show-labels"),
        label_columns: flags::all(matches, "label-columns")
            .iter()
            .flat_map(|l| l.split(','))
            .map(str::to_owned)
            .collect(),
        with_namespace: named.served.is_namespaced && is_everywhere(matches),
        kind: with_kind.then(|| named.served.singular_qualified()),
    }
}

async fn tables(session: &Session, matches: &ArgMatches, format: &Format, all: &[Named]) -> Result {
    let several = all.len() > 1;
    let (mut failures, mut printed) = (Vec::new(), 0);
    for named in all {
        let (found, refused) = rows(session, matches, named).await?;
        failures.extend(refused);
        if found.rows.is_empty() {
            continue;
        }
        let look = look(matches, format, named, several);
        let mut lines = Vec::new();
        if !flags::is_set(matches, "no-headers") {
            lines.push(look.header(&found.column_definitions));
        }
        lines.extend(found.rows.iter().map(|row| look.row(&found.column_definitions, row)));
        let gap = if printed > 0 { "\n" } else { "" };
        print!("{gap}{}", table::aligned(&lines));
        printed += 1;
    }
    if printed == 0 && failures.is_empty() && !flags::is_set(matches, "ignore-not-found") {
        match all.iter().any(|named| named.served.is_namespaced) && !is_everywhere(matches) {
            true => eprintln!("No resources found in {} namespace.", session.namespace),
            false => eprintln!("No resources found"),
        }
    }
    Failure::all(failures)
}

/// The table of what is named, sorted as asked; and what could not be had.
async fn rows(session: &Session, matches: &ArgMatches, named: &Named) -> Result<(Table, Vec<Failure>)> {
    let namespace = select::namespace(session, &named.served, is_everywhere(matches));
    let (mut whole, mut failures) = (Table::default(), Vec::new());
    if named.names.is_empty() {
        let mut options = options(matches);
        loop {
            let path = path(named, &namespace, "", &options, false);
            let page = table_at(session, &path, flags::of(matches, "sort-by")).await;
            let mut page = page.map_err(|failure| match failure {
                Failure::Server(status) => Failure::Server(select::not_listed(status, &named.served, &options)),
                other => other,
            })?;
            if whole.column_definitions.is_empty() {
                whole.column_definitions = std::mem::take(&mut page.column_definitions);
            }
            whole.rows.append(&mut page.rows);
            options.continue_token = page.metadata.get("continue").and_then(Value::as_str).unwrap_or_default().into();
            if options.continue_token.is_empty() {
                break;
            }
        }
    }
    for name in &named.names {
        let path = path(named, &namespace, name, &Options::default(), false);
        match table_at(session, &path, flags::of(matches, "sort-by")).await {
            Ok(page) => {
                whole.column_definitions = page.column_definitions;
                whole.rows.extend(page.rows);
            }
            Err(Failure::Server(s)) if s.is_not_found() && flags::is_set(matches, "ignore-not-found") => {}
            Err(failure) => failures.push(failure),
        }
    }
    sort(&mut whole.rows, flags::of(matches, "sort-by"), |row| &row.object)?;
    Ok((whole, failures))
}

fn path(named: &Named, namespace: &str, name: &str, options: &Options, watch: bool) -> String {
    let verb = if watch { Verb::Watch } else { Verb::List };
    let mut path = named.served.resource().request(verb, namespace).name(name).path();
    let mut glue = '?';
    let limit = options.limit.map(|limit| limit.to_string()).unwrap_or_default();
    for (key, value) in [
        ("labelSelector", options.label_selector.as_str()),
        ("fieldSelector", &options.field_selector),
        ("limit", &limit),
        ("continue", &options.continue_token),
        ("resourceVersion", &options.resource_version),
        ("watch", if watch { "true" } else { "" }),
    ] {
        if !value.is_empty() {
            path.push(glue);
            path.push_str(key);
            path.push('=');
            path.push_str(&client::https::escape(value));
            glue = '&';
        }
    }
    path
}

async fn table_at(session: &Session, path: &str, sort_by: &str) -> Result<Table> {
    let glue = if path.contains('?') { '&' } else { '?' };
    // Sorting may look at any field, so the rows must carry their objects.
    let path = if sort_by.is_empty() { path.to_owned() } else { format!("{path}{glue}includeObject=Object") };
    let answer = session.https.raw(Method::GET, &path, TABLE, None).await?;
    let tree: Value = serde_json::from_slice(&answer.body).map_err(|e| Failure::Here(e.to_string()))?;
    table_of(tree)
}

/// A server that makes no tables gives objects: then names and ages are shown.
fn table_of(tree: Value) -> Result<Table> {
    if tree["kind"] == "Table" {
        return Table::from_tree(tree).ok_or_else(|| Failure::Here("the server's table cannot be read".into()));
    }
    let column = |name: &str, format: &str| Column { name: name.into(), format: format.into(), ..Column::default() };
    let items = match tree["items"].as_array() {
        Some(items) => items.clone(),
        None => vec![tree],
    };
    let row = |object: Value| {
        let cells = vec![object["metadata"]["name"].clone(), object["metadata"]["creationTimestamp"].clone()];
        Row { cells, object, ..Row::default() }
    };
    let column_definitions = vec![column("Name", "name"), column("Created At", "")];
    Ok(Table { column_definitions, rows: items.into_iter().map(row).collect(), ..Table::default() })
}

// === objects ===

async fn objects(session: &Session, matches: &ArgMatches, format: &Format, all: &[Named]) -> Result {
    let (mut items, mut failures) = (Vec::new(), Vec::new());
    for named in all {
        let namespace = select::namespace(session, &named.served, is_everywhere(matches));
        if named.names.is_empty() {
            let list = select::list(session, &named.served, &namespace, options(matches)).await?;
            items.extend(list.items.iter().map(|object| (named, object.tree())));
        }
        for name in &named.names {
            match session.client.dynamic(named.served.resource()).get(&namespace, name).await {
                Ok(object) => items.push((named, object.tree())),
                Err(s) if s.is_not_found() && flags::is_set(matches, "ignore-not-found") => {}
                Err(status) => failures.push(Failure::Server(status)),
            }
        }
    }
    let single = matches!(all, [only] if only.names.len() == 1);
    if matches!(format, Format::Name) {
        for (named, tree) in &items {
            println!("{}/{}", named.served.singular_qualified(), machinery::meta::name(tree));
        }
        return Failure::all(failures);
    }
    let keep = flags::is_set(matches, "show-managed-fields");
    let mut trees: Vec<Value> =
        items.iter().map(|(_, tree)| if keep { Value::clone(tree) } else { print::shown(tree) }).collect();
    sort(&mut trees, flags::of(matches, "sort-by"), |tree| tree)?;
    let whole = match (single, trees.pop()) {
        (true, Some(only)) => only,
        (true, None) => return Failure::all(failures),
        (false, last) => {
            trees.extend(last);
            print::list(trees)
        }
    };
    let text = match format {
        Format::Columns(columns) => columns.print(&whole, !flags::is_set(matches, "no-headers"))?,
        other => other.object(&whole)?,
    };
    print!("{text}");
    std::io::stdout().flush()?;
    Failure::all(failures)
}

/// Sorts by the value at a path; what lacks it comes first, numbers by size, text by letters.
fn sort<T>(items: &mut [T], path: &str, object: impl Fn(&T) -> &Value) -> Result {
    if path.is_empty() {
        return Ok(());
    }
    let path = relaxed(path).and_then(|path| Template::parse(&path)).map_err(Failure::Here)?;
    let key = |item: &T| {
        path.find(object(item), true)
            .ok()
            .and_then(|found| found.iter().flatten().next().map(|v| v.clone().into_owned()))
    };
    items.sort_by(|a, b| compare(key(a), key(b)));
    Ok(())
}

fn compare(a: Option<Value>, b: Option<Value>) -> std::cmp::Ordering {
    match (a, b) {
        (Some(Value::Number(a)), Some(Value::Number(b))) => {
            a.as_f64().partial_cmp(&b.as_f64()).unwrap_or(std::cmp::Ordering::Equal)
        }
        (Some(Value::String(a)), Some(Value::String(b))) => {
            let quantity = |text: &str| machinery::quantity::Quantity::parse(text).ok().map(|q| q.as_f64());
            match (quantity(&a), quantity(&b)) {
                (Some(x), Some(y)) => x.partial_cmp(&y).unwrap_or(std::cmp::Ordering::Equal),
                _ => a.cmp(&b),
            }
        }
        (a, b) => a.is_some().cmp(&b.is_some()),
    }
}
