//! `kubectl api-resources` and `api-versions`: what the server serves.

use std::collections::BTreeSet;

use clap::{ArgMatches, Command};

use super::Entry;
use crate::discovery::Served;
use crate::failure::{Result, error};
use crate::flags;
use crate::print::table;
use crate::session::Session;

pub const RESOURCES: Entry = Entry { build, run: |matches| Box::pin(run(matches)) };
pub const VERSIONS: Entry = Entry { build: build_versions, run: |matches| Box::pin(versions(matches)) };

fn build() -> Command {
    Command::new("api-resources")
        .about("Print the supported API resources on the server.")
        .arg(flags::text("api-group", "Limit to resources in the specified API group."))
        .arg(flags::text("namespaced", "If false, non-namespaced resources will be returned, otherwise returning namespaced resources by default.").num_args(0..=1).require_equals(true).default_missing_value("true"))
        .arg(flags::text("verbs", "Limit to resources that support the specified verbs.").value_delimiter(','))
        .arg(flags::text("categories", "Limit to resources that belong to the specified categories.").value_delimiter(','))
        .arg(flags::text("sort-by", "If non-empty, sort list of resources using specified field: name or kind."))
        .arg(flags::switch("cached", "Taken for compatibility: nothing is cached."))
        .arg(flags::switch("no-headers", "When using the default or custom-column output format, don't print headers."))
        .arg(flags::output("Output format. One of: (wide, name)."))
}

async fn run(matches: &ArgMatches) -> Result {
    let session = Session::open(matches).await?;
    let mut all: Vec<&Served> = Vec::new();
    for served in &session.discovery().await?.all {
        let is_preferred = !all.iter().any(|known| known.group == served.group && known.plural == served.plural);
        if is_preferred && is_wanted(matches, served) {
            all.push(served);
        }
    }
    match flags::of(matches, "sort-by") {
        "" => all.sort_by_key(|served| (served.group.clone(), served.plural.clone())),
        "name" => all.sort_by_key(|served| served.plural.clone()),
        "kind" => all.sort_by_key(|served| served.kind.clone()),
        _ => return error("--sort-by accepts only name or kind"),
    }
    let is_wide = match flags::of(matches, "output") {
        "" => false,
        "wide" => true,
        "name" => {
            all.iter().for_each(|served| println!("{}", served.qualified()));
            return Ok(());
        }
        other => return error(format!("--output {other} is not available")),
    };
    let mut rows = Vec::new();
    if !flags::is_set(matches, "no-headers") {
        let mut header: Vec<String> =
            ["NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND"].map(String::from).into();
        if is_wide {
            header.extend(["VERBS", "CATEGORIES"].map(String::from));
        }
        rows.push(header);
    }
    rows.extend(all.into_iter().map(|served| row(served, is_wide)));
    print!("{}", table::aligned(&rows));
    Ok(())
}

fn is_wanted(matches: &ArgMatches, served: &Served) -> bool {
    let group = matches.get_one::<String>("api-group");
    let namespaced = matches.get_one::<String>("namespaced").map(|text| text == "true");
    group.is_none_or(|group| *group == served.group)
        && namespaced.is_none_or(|wanted| wanted == served.is_namespaced)
        && flags::all(matches, "verbs").iter().all(|verb| served.has_verb(verb))
        && flags::all(matches, "categories").iter().all(|wanted| served.categories.iter().any(|c| c == wanted))
}

fn row(served: &Served, is_wide: bool) -> Vec<String> {
    let mut row = vec![
        served.plural.clone(),
        served.short_names.join(","),
        served.api_version(),
        served.is_namespaced.to_string(),
        served.kind.clone(),
    ];
    if is_wide {
        row.extend([served.verbs.join(","), served.categories.join(",")]);
    }
    row
}

fn build_versions() -> Command {
    Command::new("api-versions")
        .about("Print the supported API versions on the server, in the form of \"group/version\".")
}

async fn versions(matches: &ArgMatches) -> Result {
    let session = Session::open(matches).await?;
    let versions: BTreeSet<String> = session.discovery().await?.all.iter().map(Served::api_version).collect();
    versions.iter().for_each(|version| println!("{version}"));
    Ok(())
}
