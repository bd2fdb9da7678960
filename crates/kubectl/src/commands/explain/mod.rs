//! `kubectl explain`: what a resource's fields are, from the server's OpenAPI v3.

mod schema;
mod wrap;

use clap::{Arg, ArgMatches, Command};
use http::Method;
use serde_json::Value;

use super::Entry;
use crate::discovery::{Discovery, Served};
use crate::failure::{Failure, Result, error};
use crate::flags;
use crate::session::Session;
use schema::Document;

pub const ENTRY: Entry = Entry { build, run: |matches| Box::pin(run(matches)) };

fn build() -> Command {
    Command::new("explain")
        .about("Get documentation for a resource.")
        .arg(Arg::new("words").num_args(0..).value_name("TYPE"))
        .arg(flags::switch("recursive", "When true, print the name of all the fields recursively. Otherwise, print the available fields with their description."))
        .arg(flags::text("api-version", "Use given api-version (group/version) of the resource."))
        .arg(flags::output("Format in which to render the schema. Valid values are: (plaintext).").short(None).default_value("plaintext"))
}

async fn run(matches: &ArgMatches) -> Result {
    let words = flags::all(matches, "words");
    let [word] = words.as_slice() else {
        return error(if words.is_empty() {
            "You must specify the type of resource to explain. Use \"kubectl api-resources\" for a complete list of supported resources."
        } else {
            "We accept only this format: explain RESOURCE"
        });
    };
    let session = Session::open(matches).await?;
    let (served, path) = named(session.discovery().await?, word)?;
    match flags::of(matches, "output") {
        "plaintext" => {}
        "plaintext-openapiv2" => return error("the format plaintext-openapiv2 is not supported: use plaintext"),
        other => return error(format!("unrecognized format: {other}")),
    }
    let given = flags::of(matches, "api-version");
    let own = served.api_version();
    let (group, version) = match given {
        "" => own.split_once('/').unwrap_or(("", &own)),
        given => given.split_once('/').unwrap_or(("", given)),
    };
    let tree = document(&session, group, version, &served.plural).await?;
    let document = Document { tree: &tree, recursive: flags::is_set(matches, "recursive") };
    let (head, schema) = document.kind(group, version, &served.plural)?;
    print!("{head}");
    print!("{}", document.page(schema, &path)?);
    println!();
    Ok(())
}

/// `pod.spec.containers`, or with a group `deployments.apps.spec`: the resource and the fields' names.
fn named<'a>(discovery: &'a Discovery, word: &str) -> Result<(&'a Served, Vec<String>)> {
    let word = word.strip_suffix('.').unwrap_or(word);
    if word.contains('[') {
        return error("invalid jsonpath syntax, first node must be field node");
    }
    let (name, rest) = word.split_once('.').unwrap_or((word, ""));
    let Ok(first) = discovery.find(name) else {
        return Err(Failure::Plain(format!("the server doesn't have a resource type {name:?}")));
    };
    let grouped =
        discovery.all.iter().filter(|served| served.is_called(&name.to_lowercase()) && !served.group.is_empty());
    let grouped = grouped.filter_map(|served| Some((served, word.strip_prefix(&served.qualified())?)));
    let (served, rest) = grouped.into_iter().next().unwrap_or((first, rest));
    Ok((served, rest.split('.').filter(|part| !part.is_empty()).map(str::to_owned).collect()))
}

/// The OpenAPI v3 document of one group and version.
async fn document(session: &Session, group: &str, version: &str, plural: &str) -> Result<Value> {
    let json = |body: &[u8]| {
        serde_json::from_slice(body).map_err(|e| Failure::Here(format!("failed to parse openapi schema: {e}")))
    };
    let index = session.https.raw(Method::GET, "/openapi/v3", "application/json", None).await?;
    let index: Value = json(&index.body)?;
    let key = if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") };
    let Some(path) = index["paths"][&key]["serverRelativeURL"].as_str() else {
        return error(format!("couldn't find resource for \"{group}/{version}, Resource={plural}\""));
    };
    json(&session.https.raw(Method::GET, path, "application/json", None).await?.body)
}
